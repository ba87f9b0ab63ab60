// rate-limiter-flexible: points that are used up and come back, over both clients.
'use strict';
const assert = require('assert');
const Redis = require('ioredis');
const redis = require('redis');
const { RateLimiterRedis, BurstyRateLimiter, RateLimiterQueue } = require('rate-limiter-flexible');
const { host, port, sleep, run } = require('./resident');

async function limits(options) {
    const limiter = new RateLimiterRedis({ points: 5, duration: 1, keyPrefix: 'limit', ...options });
    const tried = await Promise.allSettled(Array.from({ length: 20 }, () => limiter.consume('user')));
    assert.equal(tried.filter((t) => t.status === 'fulfilled').length, 5);
    const refused = tried.find((t) => t.status === 'rejected').reason;
    assert.ok(refused.msBeforeNext > 0 && refused.msBeforeNext <= 1000, String(refused));
    assert.equal((await limiter.get('user')).remainingPoints, 0);
    await sleep(refused.msBeforeNext + 50);
    assert.equal((await limiter.consume('user', 2)).remainingPoints, 3);
    await limiter.reward('user', 1);
    await limiter.penalty('user', 3);
    assert.equal((await limiter.get('user')).consumedPoints, 4);
    await limiter.block('user', 10);
    await assert.rejects(limiter.consume('user'));
    assert.ok(await limiter.delete('user'));
}

const tests = {
    'over ioredis': async () => {
        const client = new Redis({ host, port, enableOfflineQueue: false });
        await new Promise((resolve) => client.once('ready', resolve));
        await limits({ storeClient: client });
        const bursty = new BurstyRateLimiter(new RateLimiterRedis({ storeClient: client, points: 2, duration: 10 }),
            new RateLimiterRedis({ storeClient: client, keyPrefix: 'burst', points: 3, duration: 10 }));
        const tried = await Promise.allSettled(Array.from({ length: 9 }, () => bursty.consume('u')));
        assert.equal(tried.filter((t) => t.status === 'fulfilled').length, 5);
        const queue = new RateLimiterQueue(new RateLimiterRedis({ storeClient: client, keyPrefix: 'q', points: 10, duration: 1 }));
        assert.equal((await Promise.all(Array.from({ length: 10 }, () => queue.removeTokens(1)))).length, 10);
        client.disconnect();
    },
    'over node-redis': async () => {
        const client = await redis.createClient({ socket: { host, port } }).on('error', () => {}).connect();
        await limits({ storeClient: client, useRedisPackage: true });
        client.destroy();
    },
};

run(tests);
