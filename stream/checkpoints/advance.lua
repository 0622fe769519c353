-- Make a head the newest of its task, and prune in the same atomic step. Returns 1, or 0 with nothing changed.
--
-- KEYS: heads (position -> signed head), needs (position -> digests, 64 characters each), tokens (position -> token),
--       pins (name -> position), pieces (digest -> bytes). All share one hash tag, so one slot.
-- ARGV: head, token, position, keep, digests.
local heads, needs, tokens, pins, pieces = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local token, position, keep = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local digests = ARGV[5]

-- Forward only: a zombie's token is older; a replay of the same position is no news.
-- What is no number, or has lost its token or its list, is none of our writing: it must not end our saving.
local positions = {}
for _, text in ipairs(redis.call('HKEYS', heads)) do
  if #text < 20 and string.match(text, '^%d+$') then positions[#positions + 1] = text end
end
table.sort(positions, function(a, b) return tonumber(a) > tonumber(b) end)
if #positions > 0 then
  local newest = positions[1]
  if token < (tonumber(redis.call('HGET', tokens, newest) or '') or 0) or position <= tonumber(newest) then return 0 end
end

-- A head whose pieces are not there would be a promise that cannot be kept.
local live = {}
for at = 1, #digests, 64 do
  local digest = string.sub(digests, at, at + 63)
  if redis.call('HEXISTS', pieces, digest) == 0 then return 0 end
  live[digest] = true
end

-- The first write is one that a full server refuses, so that a refusal changes nothing.
redis.call('HSET', heads, ARGV[3], ARGV[1])
redis.call('HSET', needs, ARGV[3], digests)
redis.call('HSET', tokens, ARGV[3], ARGV[2])

local pinned = {}
for _, at in ipairs(redis.call('HVALS', pins)) do pinned[at] = true end
for index, at in ipairs(positions) do
  if index < keep or pinned[at] then
    local listed = redis.call('HGET', needs, at) or ''
    for start = 1, #listed, 64 do live[string.sub(listed, start, start + 63)] = true end
  else
    redis.call('HDEL', heads, at)
    redis.call('HDEL', needs, at)
    redis.call('HDEL', tokens, at)
  end
end

-- Whatever no head lists goes: old chunks, and what a zombie put before it was refused.
for _, digest in ipairs(redis.call('HKEYS', pieces)) do
  if not live[digest] then redis.call('HDEL', pieces, digest) end
end
return 1
