-- lua-redis from Debian: commands, pipelines, transactions with WATCH, scripts, subscriptions, binary values.
local redis = require 'redis'
local host, port = arg[1], tonumber(arg[2])

local function connected() return redis.connect(host, port) end

local function text(value)
    if type(value) ~= 'table' then return tostring(value) end
    local parts = {}
    for k, v in pairs(value) do parts[#parts + 1] = (type(k) == 'number' and '' or tostring(k) .. '=') .. text(v) end
    if #value == 0 then table.sort(parts) end
    return '{' .. table.concat(parts, ',') .. '}'
end

local function equal(got, expected)
    if text(got) ~= text(expected) then error('got ' .. text(got) .. ', expected ' .. text(expected), 2) end
end

local function raises(pattern, call)
    local fine, e = pcall(call)
    if fine or not tostring(e):find(pattern) then error('no error ' .. pattern .. ' but ' .. text(e), 2) end
end

local tests = {
    {'commands', function()
        local r = connected()
        equal(r:set('s', 'v'), true)
        equal(r:get('s'), 'v')
        equal(r:get('none'), nil)
        equal(r:expire('s', 100), true)
        equal(r:incrby('n', 5), 5)
        equal(r:hset('h', 'a', 1), true)
        equal(r:hgetall('h'), {a = '1'})
        equal(r:rpush('l', 'a', 'b', 'c'), 3)
        equal(r:lrange('l', 0, -1), {'a', 'b', 'c'})
        equal(r:sadd('set', 'x'), 1)
        equal(r:zadd('z', 2.5, 'two'), 1)
        equal(r:zrange('z', 0, -1), {'two'})
        raises('WRONGTYPE', function() r:incr('l') end)
        equal(#r:keys('*'), 6)
        equal(r:info().server.redis_version:sub(1, 3), '7.0')
    end},
    {'binary', function()
        local r = connected()
        local bytes = {}
        for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
        bytes = table.concat(bytes)
        r:set(bytes, bytes)
        assert(r:get(bytes) == bytes)
        local large = ('x\r\n$'):rep(524288)
        r:set('large', large)
        assert(r:get('large') == large)
    end},
    {'pipelines and transactions', function()
        local r = connected()
        local got = r:pipeline(function(p) for _ = 1, 1000 do p:incr('n') end end)
        equal({#got, got[1000]}, {1000, 1000})
        local tries = 0
        local answers = r:transaction({watch = 'a', cas = true, retry = 3}, function(t)
            tries = tries + 1
            if tries == 1 then connected():set('a', 'changed') end
            local was = t:get('a')
            t:multi()
            t:set('a', was .. ' and mine')
            t:get('a')
        end)
        equal({tries, answers[2]}, {2, 'changed and mine'})
    end},
    {'blocking', function()
        local r = connected()
        r:rpush('l', 'v')
        equal(r:blpop('l', 1), {'l', 'v'})
        equal(r:brpop('l', 1), nil)
    end},
    {'scripts', function()
        local r = connected()
        equal(r:eval('return {KEYS[1], ARGV[1], 3}', 1, 'k', 'a'), {'k', 'a', 3})
        local sha = r:script('load', "return redis.call('incrby', KEYS[1], ARGV[1])")
        equal(r:evalsha(sha, 1, 'n', 7), 7)
        raises('NOSCRIPT', function() r:evalsha(('f'):rep(40), 0) end)
    end},
    {'publish and subscribe', function()
        local r, heard, subscribed = connected(), {}, 0
        for message, stop in connected():pubsub({subscribe = {'news'}, psubscribe = {'w*'}}) do
            if message.kind == 'subscribe' or message.kind == 'psubscribe' then
                subscribed = subscribed + 1
                if subscribed == 2 then equal({r:publish('news', 'one'), r:publish('weather', 'two')}, {1, 1}) end
            elseif message.kind == 'message' or message.kind == 'pmessage' then
                heard[#heard + 1] = message.channel .. ' ' .. message.payload
                if #heard == 2 then stop() end
            end
        end
        equal(heard, {'news one', 'weather two'})
    end},
}

local failed = 0
for _, row in ipairs(tests) do
    connected():flushall()
    local fine, why = pcall(row[2])
    if fine then
        print('ok ' .. row[1])
    else
        print('not ok ' .. row[1] .. ': ' .. tostring(why):gsub('\n', ' | '))
        failed = 1
    end
end
os.exit(failed)
