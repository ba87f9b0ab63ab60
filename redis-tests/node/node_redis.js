// node-redis 5 (the package `redis`): its own names for commands, its pipelines, transactions, scripts, subscriptions.
'use strict';
const assert = require('assert');
const redis = require('redis');
const { BasicClientSideCache } = require('@redis/client');
const { host, port, until, blocked, ask, run } = require('./resident');

async function connected(options = {}) {
    const client = redis.createClient({ socket: { host, port }, ...options });
    client.on('error', (e) => console.error(e));
    return client.connect();
}

// The test with a client of its own, closed in the end.
function withClient(test, options) {
    return async () => {
        const client = await connected(options);
        try {
            await test(client);
        } finally {
            client.destroy();
        }
    };
}

async function commands(c) {
    assert.equal(await c.set('s', 'v', { EX: 100, NX: true }), 'OK');
    assert.equal(await c.set('s', 'w', { NX: true }), null);
    assert.equal(await c.get('s'), 'v');
    assert.ok((await c.ttl('s')) > 90);
    assert.equal(await c.incrBy('n', 5), 5);
    assert.deepEqual(await c.mGet(['s', 'none', 'n']), ['v', null, '5']);
    assert.equal(await c.hSet('h', { a: 1, b: 'two' }), 2);
    assert.deepEqual({ ...(await c.hGetAll('h')) }, { a: '1', b: 'two' });
    assert.deepEqual(await c.hmGet('h', ['a', 'none']), ['1', null]);
    assert.equal(await c.rPush('l', ['a', 'b', 'c']), 3);
    assert.deepEqual(await c.lRange('l', 0, -1), ['a', 'b', 'c']);
    assert.equal(await c.lMove('l', 'm', 'LEFT', 'RIGHT'), 'a');
    assert.equal(await c.sAdd('set', ['x', 'y']), 2);
    assert.deepEqual((await c.sMembers('set')).sort(), ['x', 'y']);
    assert.equal(await c.zAdd('z', [{ score: 1, value: 'one' }, { score: 2.5, value: 'two' }]), 2);
    assert.deepEqual((await c.zRangeWithScores('z', 0, -1)).map((e) => ({ ...e })),
        [{ value: 'one', score: 1 }, { value: 'two', score: 2.5 }]);
    assert.equal(await c.zScore('z', 'none'), null);
    assert.equal(await c.geoAdd('g', { longitude: 13.361389, latitude: 38.115556, member: 'Palermo' }), 1);
    assert.equal(await c.pfAdd('p', ['a', 'b']), 1);
    assert.equal(await c.type('z'), 'zset');
    assert.equal(await c.exists(['s', 'h', 'none']), 2);
    assert.equal(await c.unlink(['s', 'h']), 2);
    await assert.rejects(c.incr('l'), /^Error: WRONGTYPE|WRONGTYPE/);
    const seen = [];
    for (let i = 0; i < 100; i++) c.set(`k:${i}`, i);
    for await (const keys of c.scanIterator({ MATCH: 'k:*', COUNT: 30 })) seen.push(...keys);
    assert.equal(new Set(seen).size, 100);
}

const tests = {
    commands: withClient(commands),
    'commands in RESP3': withClient(commands, { RESP: 3 }),

    binary: withClient(async (c) => {
        const value = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
        await c.set(Buffer.concat([Buffer.from('key '), value]), value);
        const b = c.withTypeMapping({ [redis.RESP_TYPES.BLOB_STRING]: Buffer });
        assert.deepEqual(await b.get(Buffer.concat([Buffer.from('key '), value])), value);
        assert.equal(Buffer.compare((await b.keys('key *'))[0].subarray(4), value), 0);
        const large = Buffer.alloc(3 << 20, 'x\r\n$');
        await c.set('large', large);
        assert.equal(Buffer.compare(await b.get('large'), large), 0);
    }),

    'pipelines in order': withClient(async (c) => {
        const sent = [];
        for (let i = 1; i <= 3000; i++) sent.push(c.incr('n'), c.get('n'));
        const got = await Promise.all(sent);
        for (let i = 0; i < 3000; i++) assert.deepEqual([got[2 * i], got[2 * i + 1]], [i + 1, String(i + 1)]);
        assert.deepEqual(await c.multi().set('a', 1).get('a').execAsPipeline(), ['OK', '1']);
    }),

    'multi and watch': withClient(async (c) => {
        assert.deepEqual(await c.multi().set('a', 'x').get('a').incr('n').exec(), ['OK', 'x', 1]);
        await assert.rejects(c.multi().set('a', 'y').incr('a').get('a').exec(), redis.MultiErrorReply);
        assert.equal(await c.get('a'), 'y');
        const other = c.duplicate();
        await other.connect();
        await c.watch('a');
        await other.set('a', 'changed');
        await assert.rejects(c.multi().set('a', 'mine').exec(), redis.WatchError);
        await c.watch('a');
        assert.deepEqual(await c.multi().set('a', 'mine').exec(), ['OK']);
        other.destroy();
    }),

    blocking: withClient(async (c) => {
        const other = c.duplicate();
        await other.connect();
        const popped = other.blPop(['l1', 'l2'], 10);
        await blocked(1);
        await c.rPush('l2', 'v');
        assert.deepEqual({ ...(await popped) }, { key: 'l2', element: 'v' });
        assert.equal(await other.blPop('none', 0.05), null);
        const score = other.bzPopMin('z', 10);
        await c.zAdd('z', { score: 3, value: 'm' });
        assert.deepEqual({ ...(await score) }, { key: 'z', value: 'm', score: 3 });
        other.destroy();
    }),

    scripts: withClient(async (c) => {
        assert.equal(await c.addOrSet('n', 5), 5);
        assert.equal(await c.addOrSet('n', 7), 12);
        assert.deepEqual(await c.eval("return {KEYS[1], ARGV[1], 3, redis.call('get', 'n')}", { keys: ['k'], arguments: ['a'] }),
            ['k', 'a', 3, '12']);
        const sha = await c.scriptLoad('return cjson.encode({1, 2, {}})');
        assert.equal(await c.evalSha(sha), '[1,2,{}]');
        assert.deepEqual(await c.scriptExists([sha, 'f'.repeat(40)]), [1, 0]);
        await assert.rejects(c.evalSha('f'.repeat(40)), /NOSCRIPT/);
        assert.deepEqual(await c.multi().addOrSet('n', 1).get('n').exec(), [13, '13']);
    }, {
        scripts: {
            addOrSet: redis.defineScript({
                NUMBER_OF_KEYS: 1,
                SCRIPT: "return redis.call('incrby', KEYS[1], ARGV[1])",
                parseCommand(parser, key, by) { parser.pushKey(key); parser.push(String(by)); },
                transformReply: undefined,
            }),
        },
    }),

    functions: withClient(async (c) => {
        await c.functionLoad("#!lua name=mine\nredis.register_function('twice', function(keys, args) " +
            "return redis.call('append', keys[1], args[1] .. args[1]) end)", { REPLACE: true });
        assert.equal(await c.fCall('twice', { keys: ['k'], arguments: ['ab'] }), 4);
        assert.equal((await c.functionList())[0].library_name, 'mine');
        await c.functionDelete('mine');
    }),

    'publish and subscribe': withClient(async (c) => {
        const sub = c.duplicate();
        await sub.connect();
        const heard = [];
        await sub.subscribe(['news', 'weather'], (message, channel) => heard.push([channel, message]));
        await sub.pSubscribe('n*s', (message, channel) => heard.push(['pattern', channel, message]));
        await sub.sSubscribe('shard', (message, channel) => heard.push(['shard', channel, message]));
        assert.equal(await c.publish('news', 'one'), 2);
        assert.equal(await c.publish('weather', 'two'), 1);
        assert.equal(await c.sPublish('shard', 'three'), 1);
        await until('four messages', () => heard.length === 4);
        assert.deepEqual(heard, [['news', 'one'], ['pattern', 'news', 'one'], ['weather', 'two'], ['shard', 'shard', 'three']]);
        assert.deepEqual((await c.pubSubChannels()).sort(), ['news', 'weather']);
        assert.equal(await c.pubSubNumPat(), 1);
        await sub.unsubscribe('news');
        assert.equal(await c.publish('news', 'pattern only'), 1);
        await sub.unsubscribe('weather');
        await sub.pUnsubscribe('n*s');
        await sub.sUnsubscribe('shard');
        assert.equal(await sub.ping(), 'PONG');
        sub.destroy();
    }),

    'publish and subscribe in RESP3': withClient(async (c) => {
        const heard = [];
        await c.subscribe('news', (message) => heard.push(message), true);
        assert.equal(await c.publish('news', Buffer.from([0, 255, 13, 10])), 1);
        await until('the message', () => heard.length === 1);
        assert.deepEqual(heard[0], Buffer.from([0, 255, 13, 10]));
        assert.equal(await c.ping(), 'PONG');
    }, { RESP: 3 }),

    'client side caching': async () => {
        const cache = new BasicClientSideCache({ ttl: 0, maxEntries: 0 });
        const c = await connected({ RESP: 3, clientSideCache: cache });
        const other = await connected();
        await other.set('k', 'one');
        assert.equal(await c.get('k'), 'one');
        assert.equal(await c.get('k'), 'one');
        assert.ok(cache.stats().hitCount >= 1);
        await other.set('k', 'two');
        await until('the invalidation', async () => (await c.get('k')) === 'two');
        c.destroy();
        other.destroy();
    },

    streams: withClient(async (c) => {
        const other = c.duplicate();
        await other.connect();
        const read = other.xRead({ key: 's', id: '$' }, { BLOCK: 10000 });
        await blocked(1);
        const id = await c.xAdd('s', '*', { field: 'value' });
        const got = await read;
        assert.equal(got[0].name, 's');
        assert.deepEqual(got[0].messages.map((m) => [m.id, { ...m.message }]), [[id, { field: 'value' }]]);
        await c.xGroupCreate('s', 'g', '0', { MKSTREAM: true });
        const mine = await c.xReadGroup('g', 'me', { key: 's', id: '>' }, { COUNT: 10 });
        assert.equal(mine[0].messages[0].id, id);
        assert.equal((await c.xPending('s', 'g')).pending, 1);
        assert.equal(await c.xAck('s', 'g', id), 1);
        assert.equal((await c.xInfoStream('s')).length, 1);
        assert.equal((await c.xRange('s', '-', '+')).length, 1);
        other.destroy();
    }),

    'pool and many clients': async () => {
        const pool = redis.createClientPool({ socket: { host, port } }, { minimum: 2, maximum: 8 });
        await pool.connect();
        await Promise.all(Array.from({ length: 500 }, () => pool.incr('n')));
        assert.equal(await pool.get('n'), '500');
        await pool.close();
    },

    'names and databases': async () => {
        const c = await connected({ url: `redis://${host}:${port}/3`, name: 'resident', socket: undefined });
        await c.set('k', 'three');
        assert.equal((await c.clientInfo()).db, 3);
        assert.equal(await c.clientGetName(), 'resident');
        const zero = await connected();
        assert.equal(await zero.get('k'), null);
        await c.close();
        zero.destroy();
    },

    'it connects again': withClient(async (c) => {
        const me = await c.clientId();
        const other = await connected();
        assert.equal(await other.clientKill({ filter: 'ID', id: me }), 1);
        await until('another connection', async () => (await c.clientId().catch(() => me)) !== me);
        await c.set('k', 'v');
        assert.equal(await c.get('k'), 'v');
        other.destroy();
    }),
};

const whenLeaderDies = {
    'writes and subscriptions go on': withClient(async (c) => {
        const sub = c.duplicate();
        sub.on('error', (e) => console.error(e.message));
        await sub.connect();
        const heard = new Set();
        await sub.subscribe('news', (message) => heard.add(message));
        await sub.pSubscribe('w*', (message) => heard.add(message));
        await sub.sSubscribe('shard', (message) => heard.add(message));
        const said = [];
        let errors = 0;
        let over = false;
        const writer = (async () => {
            for (let n = 1; !over; n++) await c.append('text', `${n} `).then(() => said.push(n), () => { errors++; });
        })();
        await until('progress', () => said.length > 20);
        await ask('kill');
        const before = said.length;
        await until('progress after it', () => said.length > before + 20);
        over = true;
        await writer;
        const there = (await c.get('text')).trim().split(' ').map(Number);
        assert.deepEqual(there, [...new Set(there)].sort((a, b) => a - b), 'twice, or out of order');
        assert.ok(said.every((n) => there.includes(n)), 'answered, but not there');
        assert.ok(errors <= 1, `${errors} errors`);
        await until('all three again', async () => {
            await Promise.all([c.publish('news', 'one'), c.publish('weather', 'two'), c.sPublish('shard', 'three')]);
            return heard.size === 3;
        });
        sub.destroy();
    }),
};

run(tests, whenLeaderDies);
