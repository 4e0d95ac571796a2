-- One request, all of its tiers: reads every count, and charges all of them or, where one refuses, none.
--
-- The steps are those of the algorithms in this crate, in the same whole numbers, and a test holds them against each
-- other. A number that Redis is given stays below 2^51, so that a double has it exactly.
--
-- KEYS: one for each tier. ARGV: the time in milliseconds, or 0 for the clock of the server; then for each tier
--   kind, limit, window, room, needed, charged, block, mode, period, period's end
-- Gives for each tier
--   passes, remaining, reset, retry after, delay, charged, milliseconds to the end of the window
--
-- What is kept of a tier: its kind, the window it was counted with, and three numbers. The limit is not kept: a change of
-- it changes no count.

local FIELDS, MOST = 10, 2251799813685248
local NORMAL, TRIAL, FORCED = 0, 1, 2
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + floor(time[2] / 1000)
end

local function seconds(ms) return max(ceil(ms / 1000), 1) end
local function whole(number) return string.format('%.0f', number) end
local function time_of(tier, level) return ceil(level / max(tier.limit, 1)) end

-- Sliding window: number of the window, count of the one before, count of this one.
local function roll(state, now)
  local window = state.window
  local index, elapsed = floor(now / window), now % window
  if index == state.a then return elapsed end
  if state.a == index + 1 then return 0 end
  state.b = index == state.a + 1 and state.c or 0
  state.a, state.c = index, 0
  return elapsed
end

local function weight(state, elapsed) return state.b * (state.window - elapsed) + state.c * state.window end

local function wait(state, tier, elapsed, more)
  local limit, rest = max(tier.limit - more, 0), tier.window - elapsed
  local room = limit - state.c
  if room <= 0 then
    local excess = (state.c - min(limit, state.c)) * tier.window
    return rest + min(floor(excess / max(state.c, 1)) + 1, tier.window)
  end
  local share = ceil(room * tier.window / max(state.b, 1))
  return max(rest - max(share - 1, 0), 0)
end

local window = {
  fresh = function(tier) return floor(now / tier.window), 0, 0 end,
  used = function(state)
    local elapsed = roll(state, now)
    return floor(weight(state, elapsed) / state.window)
  end,
  read = function(state, tier)
    local elapsed = roll(state, now)
    local free = max(tier.limit * tier.window - weight(state, elapsed), 0)
    local reset, more = ceil((state.a + 1) * tier.window / 1000), max(tier.needed - 1, 0)
    if free <= more * tier.window then
      return {passes = 0, reset = reset, retry = seconds(wait(state, tier, elapsed, more))}
    end
    local left = floor(free / tier.window)
    return {passes = 1, reset = reset, left = left, room = ceil(free / tier.window)}
  end,
  charge = function(state, tier, amount)
    state.c = max(min(state.c + amount, floor(MOST / state.window)), 0)
    return 0
  end,
}

-- Fixed windows, of a clock or a calendar: number of the period, its end, its count.
local fixed = {
  fresh = function(tier)
    if tier.kind == 'q' then return tier.period, tier.ends, 0 end
    local index = floor(now / tier.window)
    return index, (index + 1) * tier.window, 0
  end,
  used = function(state) return now < state.b and state.c or 0 end,
  read = function(state, tier, fresh)
    if fresh[1] ~= state.a and fresh[1] + 1 ~= state.a then state.a, state.b, state.c = unpack(fresh) end
    local reset = ceil(state.b / 1000)
    if state.c + tier.needed > tier.limit then
      return {passes = 0, reset = reset, retry = seconds(max(state.b - now, 0))}
    end
    local left = max(tier.limit - state.c, 0)
    return {passes = 1, reset = reset, left = left, room = left, ends = max(state.b - now, 0)}
  end,
  charge = function(state, tier, amount)
    state.c = max(min(state.c + amount, MOST), 0)
    return state.b
  end,
}

-- Buckets: level, when it was read, when it will be empty.
local function sink(state, tier)
  if now < state.b then
    if state.b - now > tier.window then state.b = now end
    return
  end
  state.a = max(state.a - (now - state.b) * tier.limit, 0)
  state.b = now
end

local function empty(tier, level) return ceil((now + time_of(tier, level)) / 1000) end

local function read_bucket(state, tier)
  local brim = tier.room * tier.window
  local needed = state.a + tier.needed * tier.window
  if needed > brim then
    return {passes = 0, reset = empty(tier, state.a), retry = seconds(time_of(tier, needed - brim))}
  end
  local left = floor((brim - state.a) / tier.window)
  return {passes = 1, level = state.a, left = left, room = left}
end

local function read_queue(state, tier)
  local brim = tier.room * tier.limit
  if state.a > brim then
    return {passes = 0, reset = empty(tier, state.a), retry = seconds(time_of(tier, state.a - brim))}
  end
  local left = floor((brim - state.a) / tier.window) + 1
  return {passes = 1, level = state.a, left = left, room = left, delay = time_of(tier, state.a)}
end

local bucket = {
  fresh = function() return 0, now, now end,
  used = function(state)
    local left, all = max(state.c - now, 0), max(state.c - state.b, 1)
    return ceil(floor(state.a * min(left, all) / all) / state.window)
  end,
  read = function(state, tier)
    sink(state, tier)
    return tier.kind == 'l' and read_queue(state, tier) or read_bucket(state, tier)
  end,
  charge = function(state, tier, amount)
    state.a = max(min(state.a + amount * tier.window, MOST), 0)
    state.c = state.b + time_of(tier, state.a)
    return state.c
  end,
}

local algorithms = {w = window, f = fixed, q = fixed, b = bucket, l = bucket}
local kept_as = {w = 'w', f = 'f', q = 'q', b = 'b', l = 'b'}

local function tier_at(number)
  local from = 2 + (number - 1) * FIELDS
  local tier = {kind = ARGV[from]}
  for place, name in ipairs({'limit', 'window', 'room', 'needed', 'charged', 'block', 'mode', 'period', 'ends'}) do
    tier[name] = tonumber(ARGV[from + place])
  end
  tier.algorithm = algorithms[tier.kind]
  return tier
end

local function state_of(key, tier)
  local fresh = {tier.algorithm.fresh(tier)}
  local state = {kind = kept_as[tier.kind], window = tier.window, a = fresh[1], b = fresh[2], c = fresh[3]}
  local text = redis.pcall('GET', key)
  -- What is not ours under this name counts nothing, and is written over.
  if type(text) ~= 'string' then return state, fresh end
  local kind, size, a, b, c = string.match(text, '^([wfqb]):(%d+):(%d+):(%d+):(%d+)$')
  if not kind then return state, fresh end
  local kept = {kind = kind, window = max(tonumber(size), 1), a = tonumber(a), b = tonumber(b), c = tonumber(c)}
  if kind == state.kind and kept.window == state.window then return kept, fresh end
  -- Another algorithm or window: what was used stays used.
  tier.algorithm.charge(state, tier, algorithms[kind].used(kept))
  state.is_new = true
  return state, fresh
end

local function amount_of(tier, reading)
  if tier.block == 0 then return tier.charged end
  return max(min(max(tier.block, tier.needed), reading.room), 0)
end

local asked, passes = {}, true
for number, key in ipairs(KEYS) do
  local tier = tier_at(number)
  local state, fresh = state_of(key, tier)
  local reading = tier.algorithm.read(state, tier, fresh)
  if tier.mode == FORCED then reading.passes = 1 end
  if reading.passes == 0 and tier.mode == NORMAL then passes = false end
  asked[number] = {key = key, tier = tier, state = state, reading = reading}
end

local function keep(one, amount)
  local state, tier = one.state, one.tier
  local ends = tier.algorithm.charge(state, tier, amount)
  local text = table.concat({state.kind, whole(state.window), whole(state.a), whole(state.b), whole(state.c)}, ':')
  redis.call('SET', one.key, text, 'PX', whole(max(2 * tier.window, ends - now + tier.window)))
end

local told = {}
for _, one in ipairs(asked) do
  local tier, reading, amount = one.tier, one.reading, 0
  if reading.passes == 1 then
    amount = amount_of(tier, reading)
    -- Of a bucket, when it is empty depends on what is charged.
    if reading.level then reading.reset = empty(tier, reading.level + amount * tier.window) end
    if not passes then amount = 0 end
  end
  if amount ~= 0 or one.state.is_new then keep(one, amount) end
  local left = max((reading.left or 0) - amount_of(tier, {room = reading.room or 0}), 0)
  told[#told + 1] = reading.passes
  told[#told + 1] = reading.passes == 1 and left or 0
  told[#told + 1] = reading.reset
  told[#told + 1] = reading.retry or 0
  told[#told + 1] = reading.delay or 0
  told[#told + 1] = amount
  told[#told + 1] = reading.ends or tier.window
end
return told
