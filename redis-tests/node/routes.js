// Node clients that look for the leader themselves, by Redis Cluster's way and by Sentinel's, while leadership moves.
//
// Every write appends a number to a text: what was answered must be there, in order. Where a client sends again by itself what it
// had no answer to (ioredis does), a number may be there twice: that is the client's choice, with any server.
'use strict';
const assert = require('assert');
const Redis = require('ioredis');
const redis = require('redis');
const { host, port, sleep, until, within, ask, run } = require('./resident');

const nodes = (process.env.NODE_PORTS || String(port)).split(',').map((p) => ({ host, port: Number(p) }));

// Writes while leadership moves, and gives what was answered; at most `lostMax` writes may end in an error.
async function writing(move, append, lostMax) {
    const said = [];
    const lost = [];
    let over = false;
    const writer = (async () => {
        for (let n = 1; !over; n++) {
            await append(`${n} `).then(() => said.push(n), (e) => { lost.push(e.message); });
            await sleep(3);
        }
    })();
    await until('progress', () => said.length > 20);
    await ask(move);
    const before = said.length;
    await until(`progress after ${move}; errors: ${lost.slice(-3)}`, () => said.length > before + 20);
    over = true;
    await writer;
    if (lost.length > 0) console.log(`# ${move}: ${said.length} writes, ${lost.length} errors, such as: ${lost[0]}`);
    assert.ok(lost.length <= lostMax, `${lost.length} errors: ${lost.slice(0, 3)}`);
    return said;
}

function check(text, said) {
    const there = text.trim().split(' ').map(Number);
    const once = [...new Set(there)];
    assert.deepEqual(once, [...once].sort((a, b) => a - b), 'out of order');
    const missing = said.filter((n) => !there.includes(n));
    assert.deepEqual(missing, [], 'answered, but not there');
}

const sentinels = { sentinels: nodes, name: 'mymaster' };

// By the last word of their names: those for Cluster want nodes that answer MOVED, those for Sentinel nodes that forward.
const tests = {
    'ioredis Cluster': async () => {
        const c = new Redis.Cluster(nodes, { scaleReads: 'master', slotsRefreshTimeout: 5000 });
        c.on('error', (e) => console.error(e.message));
        for (let i = 0; i < 200; i++) await c.set(`k:${i}`, i);
        assert.equal(await c.get('k:150'), '150');
        assert.deepEqual(await c.mget('{a}1', '{a}2'), [null, null]);
        assert.deepEqual(await c.pipeline().incr('n').get('n').exec(), [[null, 1], [null, '1']]);
        const heard = [];
        c.on('message', (channel, message) => heard.push(message));
        await c.subscribe('news');
        await until('a message', async () => { await c.publish('news', 'one'); return heard.length > 0; });
        assert.equal(c.nodes('master').length, 1);
        for (const move of ['transfer', 'kill']) {
            const said = await writing(move, (text) => c.append(`text ${move}`, text), 0);
            check(await c.get(`text ${move}`), said);
        }
        c.disconnect();
    },

    'ioredis Sentinel': async () => {
        const c = new Redis(sentinels);
        c.on('error', (e) => console.error(e.message));
        assert.equal((await c.role())[0], 'master');
        for (const move of ['transfer', 'kill']) {
            const said = await writing(move, (text) => c.append(`text ${move}`, text), 0);
            check(await c.get(`text ${move}`), said);
        }
        c.disconnect();
    },

    // While there is no leader it hands errors to the app, some of them; it goes on by itself.
    'node-redis Cluster': async () => {
        const c = redis.createCluster({ rootNodes: nodes.map((socket) => ({ socket })) });
        c.on('error', (e) => console.error(e.message));
        await c.connect();
        await Promise.all(Array.from({ length: 200 }, (_, i) => c.set(`k:${i}`, String(i))));
        assert.equal(await c.get('k:150'), '150');
        assert.deepEqual(await c.multi().set('{a}1', 'x').get('{a}1').exec(), ['OK', 'x']);
        const heard = [];
        await c.subscribe('news', (message) => heard.push(message));
        await until('a message', async () => { await c.publish('news', 'one'); return heard.length > 0; });
        await c.sSubscribe('shard', (message) => heard.push(message));
        await until('a shard message', async () => { await c.sPublish('shard', 'two'); return heard.includes('two'); });
        for (const [move, lostMax] of [['transfer', 0], ['kill', 50]]) {
            const said = await writing(move, (text) => c.append(`text ${move}`, text), lostMax);
            check(await c.get(`text ${move}`), said);
        }
        c.destroy();
    },

    'node-redis Sentinel': async () => {
        const c = redis.createSentinel({ name: 'mymaster', sentinelRootNodes: nodes });
        c.on('error', (e) => console.error(e.message));
        await c.connect();
        for (const move of ['transfer', 'kill']) {
            const said = await writing(move, (text) => c.append(`text ${move}`, text), 2);
            check(await c.get(`text ${move}`), said);
        }
        await within('its end', c.close());
    },
};

const wanted = process.argv[5] || '';
run({}, Object.fromEntries(Object.entries(tests).filter(([name]) => name.includes(wanted))));
