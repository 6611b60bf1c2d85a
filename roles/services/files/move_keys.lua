-- Rename each KEYS[i] from prefix ARGV[1] to prefix ARGV[2]; what is in the way goes to prefix ARGV[3] first.
-- One script, so that no job is seen in two places or in none.
local moved = 0
for _, key in ipairs(KEYS) do
  local from, to = ARGV[1] .. key, ARGV[2] .. key
  if redis.call('EXISTS', to) == 1 and ARGV[3] ~= '' then
    redis.call('RENAME', to, ARGV[3] .. key)
    moved = moved + 1
  end
  if redis.call('EXISTS', from) == 1 then
    redis.call('RENAME', from, to)
    moved = moved + 1
  end
end
return moved
