-- Keep a head under a name, or (without a name) let it go again. Returns 1, or 0 when there is no such head.
--
-- KEYS: as in advance.lua. ARGV: position, name (absent: unpin).
local heads, pins = KEYS[1], KEYS[4]
local position, name = ARGV[1], ARGV[2]

if redis.call('HEXISTS', heads, position) == 0 then return 0 end
if name then
  redis.call('HSET', pins, name, position)
  return 1
end
local names = redis.call('HGETALL', pins)
for at = 1, #names, 2 do
  if names[at + 1] == position then redis.call('HDEL', pins, names[at]) end
end
return 1
