// ioredis 5: commands, pipelines, transactions, its own way with scripts, subscriptions, streams, and its retries.
'use strict';
const assert = require('assert');
const Redis = require('ioredis');
const { host, port, until, blocked, ask, run } = require('./resident');

const connected = (options = {}) => new Redis({ host, port, ...options });

// The test with a client of its own, closed in the end.
function withClient(test, options) {
    return async () => {
        const client = connected(options);
        try {
            await test(client);
        } finally {
            client.disconnect();
        }
    };
}

const tests = {
    commands: withClient(async (c) => {
        assert.equal(await c.set('s', 'v', 'EX', 100, 'NX'), 'OK');
        assert.equal(await c.get('s'), 'v');
        assert.ok((await c.pttl('s')) > 90000);
        assert.deepEqual(await c.mget('s', 'none'), ['v', null]);
        assert.equal(await c.mset(new Map([['a', 1], ['b', 2]])), 'OK');
        assert.equal(await c.hset('h', { a: 1, b: 'two' }), 2);
        assert.deepEqual(await c.hgetall('h'), { a: '1', b: 'two' });
        assert.equal(await c.rpush('l', 'a', 'b', 'c'), 3);
        assert.equal(await c.linsert('l', 'BEFORE', 'b', 'x'), 4);
        assert.deepEqual(await c.lrange('l', 0, -1), ['a', 'x', 'b', 'c']);
        assert.equal(await c.sadd('set', 'x', 'y'), 2);
        assert.equal(await c.zadd('z', 1, 'one', 2.5, 'two'), 2);
        assert.deepEqual(await c.zrange('z', 0, -1, 'WITHSCORES'), ['one', '1', 'two', '2.5']);
        assert.deepEqual(await c.bitfield('bits', 'SET', 'u8', 0, 255, 'GET', 'u4', 0), [0, 15]);
        await assert.rejects(c.incr('l'), /WRONGTYPE/);
        assert.equal(await c.call('OBJECT', 'ENCODING', 'n'), null);
        assert.equal(await c.del('s', 'h', 'none'), 2);
        const seen = [];
        for await (const keys of c.scanStream({ count: 2 })) seen.push(...keys);
        assert.deepEqual([...new Set(seen)].sort(), ['a', 'b', 'bits', 'l', 'set', 'z']);
    }),

    binary: withClient(async (c) => {
        const value = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
        await c.set(value, value);
        assert.deepEqual(await c.getBuffer(value), value);
        await c.hset('h', value, value);
        assert.deepEqual((await c.hgetallBuffer('h'))[value.toString()], value);
        await c.set('large', Buffer.alloc(3 << 20, 'x\r\n$'));
        assert.equal(await c.strlen('large'), 3 << 20);
    }),

    pipelines: withClient(async (c) => {
        const p = c.pipeline();
        for (let i = 1; i <= 3000; i++) p.incr('n').get('n');
        p.hset('n', 'a', 1);
        const got = await p.exec();
        for (let i = 0; i < 3000; i++) assert.deepEqual([got[2 * i][1], got[2 * i + 1][1]], [i + 1, String(i + 1)]);
        assert.match(got[6000][0].message, /WRONGTYPE/);
        const auto = connected({ enableAutoPipelining: true });
        assert.deepEqual(await Promise.all(Array.from({ length: 100 }, () => auto.incr('m'))),
            Array.from({ length: 100 }, (_, i) => i + 1));
        auto.disconnect();
    }),

    'multi and watch': withClient(async (c) => {
        assert.deepEqual(await c.multi().set('a', 'x').get('a').incr('n').exec(), [[null, 'OK'], [null, 'x'], [null, 1]]);
        await assert.rejects(c.multi().set('a').get('a').exec(), /EXECABORT/);
        const other = c.duplicate();
        await c.watch('a');
        await other.set('a', 'changed');
        assert.equal(await c.multi().set('a', 'mine').exec(), null);
        await c.multi({ pipeline: false });
        assert.equal(await c.set('a', 'queued'), 'QUEUED');
        assert.deepEqual(await c.exec(), [[null, 'OK']]);
        other.disconnect();
    }),

    blocking: withClient(async (c) => {
        const other = c.duplicate();
        const popped = other.blpop('l1', 'l2', 10);
        await blocked(1);
        await c.rpush('l2', 'v');
        assert.deepEqual(await popped, ['l2', 'v']);
        assert.equal(await other.brpop('none', 0.05), null);
        const moved = other.blmove('from', 'to', 'LEFT', 'RIGHT', 10);
        await blocked(1);
        await c.rpush('from', 'w');
        assert.equal(await moved, 'w');
        other.disconnect();
    }),

    scripts: withClient(async (c) => {
        c.defineCommand('addTo', { numberOfKeys: 1, lua: "return redis.call('incrby', KEYS[1], ARGV[1])" });
        c.defineCommand('many', { lua: "return {#KEYS, #ARGV, KEYS[2] or false, cjson.decode(ARGV[1]).x}", readOnly: true });
        assert.equal(await c.addTo('n', 5), 5);
        assert.equal(await c.addTo('n', 7), 12);
        assert.deepEqual(await c.many(2, 'a', 'b', '{"x":7}'), [2, 1, 'b', 7]);
        await c.script('FLUSH');
        assert.equal(await c.addTo('n', 1), 13);
        assert.deepEqual(await c.pipeline().addTo('n', 1).get('n').exec(), [[null, 14], [null, '14']]);
        assert.deepEqual(await c.multi().addTo('n', 1).get('n').exec(), [[null, 15], [null, '15']]);
        await assert.rejects(c.eval("return redis.error_reply('MINE of my own')", 0), /^ReplyError: MINE of my own$/);
        await assert.rejects(c.evalsha('f'.repeat(40), 0), /NOSCRIPT/);
        assert.deepEqual(await c.evalBuffer('return ARGV[1]', 0, Buffer.from([0, 255])), Buffer.from([0, 255]));
    }),

    'publish and subscribe': withClient(async (c) => {
        const sub = c.duplicate();
        const heard = [];
        sub.on('message', (channel, message) => heard.push([channel, message]));
        sub.on('pmessage', (pattern, channel, message) => heard.push([pattern, channel, message]));
        assert.equal(await sub.subscribe('news', 'weather'), 2);
        assert.equal(await sub.psubscribe('n*'), 3);
        assert.equal(await c.publish('news', 'one'), 2);
        assert.equal(await c.publish('weather', 'two'), 1);
        await until('three messages', () => heard.length === 3);
        assert.deepEqual(heard, [['news', 'one'], ['n*', 'news', 'one'], ['weather', 'two']]);
        assert.deepEqual(await c.pubsub('NUMSUB', 'news', 'none'), ['news', 1, 'none', 0]);
        await assert.rejects(sub.get('k'), /subscriber mode/);
        assert.equal(await sub.unsubscribe('news', 'weather'), 1);
        assert.equal(await sub.punsubscribe('n*'), 0);
        assert.equal(await sub.get('k'), null);
        sub.disconnect();
    }),

    streams: withClient(async (c) => {
        const other = c.duplicate();
        const read = other.xread('BLOCK', 10000, 'STREAMS', 's', '$');
        await blocked(1);
        const id = await c.xadd('s', 'MAXLEN', '~', 1000, '*', 'field', 'value');
        assert.deepEqual(await read, [['s', [[id, ['field', 'value']]]]]);
        await c.xgroup('CREATE', 's', 'g', 0);
        assert.deepEqual(await c.xreadgroup('GROUP', 'g', 'me', 'COUNT', 5, 'STREAMS', 's', '>'), [['s', [[id, ['field', 'value']]]]]);
        assert.deepEqual((await c.xautoclaim('s', 'g', 'you', 0, 0))[1], [[id, ['field', 'value']]]);
        assert.equal(await c.xack('s', 'g', id), 1);
        other.disconnect();
    }),

    monitor: withClient(async (c) => {
        const monitor = await c.monitor();
        const seen = [];
        monitor.on('monitor', (time, args) => seen.push(args.join(' ')));
        await c.set('watched', 'v');
        await until('the command', () => seen.includes('set watched v'));
        monitor.disconnect();
    }),

    'key prefix and database': withClient(async (c) => {
        await c.set('k', 'v');
        await c.sadd('set', 'a');
        const plain = connected({ db: 5 });
        assert.deepEqual((await plain.keys('*')).sort(), ['mine:k', 'mine:set']);
        assert.deepEqual(await c.sunion('set', 'none'), ['a']);
        plain.disconnect();
    }, { keyPrefix: 'mine:', db: 5, connectionName: 'resident' }),

    'it connects again and subscribes again': withClient(async (c) => {
        const sub = c.duplicate();
        const heard = [];
        sub.on('message', (channel, message) => heard.push(message));
        const id = await sub.client('ID');
        await sub.subscribe('news');
        assert.equal(await c.client('KILL', 'ID', id), 1);
        await until('a message', async () => { await c.publish('news', 'again'); return heard.length > 0; });
        sub.disconnect();
    }),
};

const whenLeaderDies = {
    'writes, waiting and subscriptions go on': withClient(async (c) => {
        const [sub, other] = [c.duplicate(), c.duplicate()];
        for (const client of [c, sub, other]) client.on('error', (e) => console.error(e.message));
        const heard = new Set();
        sub.on('message', (channel, message) => heard.add(message));
        sub.on('pmessage', (pattern, channel, message) => heard.add(message));
        await sub.subscribe('news');
        await sub.psubscribe('w*');
        // It asks again by itself when its connection ends, with what it had no answer to: so a number may be there twice.
        const popped = other.blpop('later', 60);
        const said = [];
        let over = false;
        const writer = (async () => {
            for (let n = 1; !over; n++) await c.append('text', `${n} `).then(() => said.push(n));
        })();
        await until('progress', () => said.length > 20);
        await ask('kill');
        const before = said.length;
        await until('progress after it', () => said.length > before + 20);
        over = true;
        await writer;
        const there = (await c.get('text')).trim().split(' ').map(Number);
        assert.deepEqual([...new Set(there)], said, 'lost, or out of order');
        assert.ok(there.length <= said.length + 1, 'sent again more than once');
        await until('both again', async () => {
            await Promise.all([c.publish('news', 'one'), c.publish('weather', 'two')]);
            return heard.size === 2;
        });
        await c.rpush('later', 'v');
        assert.deepEqual(await popped, ['later', 'v']);
        sub.disconnect();
        other.disconnect();
    }),
};

run(tests, whenLeaderDies);
