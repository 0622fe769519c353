-- Remove one head, and the pieces that only it listed. Returns 1; 0 when there is none; -1 when it is pinned.
-- Other unlisted pieces stay: they may be on their way into the owner's next head.
--
-- KEYS: as in advance.lua. ARGV: position.
local heads, needs, tokens, pins, pieces = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local position = ARGV[1]

if redis.call('HEXISTS', heads, position) == 0 then return 0 end
for _, at in ipairs(redis.call('HVALS', pins)) do
  if at == position then return -1 end
end

local gone = redis.call('HGET', needs, position)
redis.call('HDEL', heads, position)
redis.call('HDEL', needs, position)
redis.call('HDEL', tokens, position)

local live = {}
for _, listed in ipairs(redis.call('HVALS', needs)) do
  for at = 1, #listed, 64 do live[string.sub(listed, at, at + 63)] = true end
end
for at = 1, #gone, 64 do
  local digest = string.sub(gone, at, at + 63)
  if not live[digest] then redis.call('HDEL', pieces, digest) end
end
return 1
