// redlock: locks that exclude, run out, are extended and released.
'use strict';
const assert = require('assert');
const Redis = require('ioredis');
const { default: Redlock, ResourceLockedError } = require('redlock');
const { host, port, sleep, run } = require('./resident');

run({
    'one holder at a time': async () => {
        const clients = [new Redis({ host, port }), new Redis({ host, port })];
        const locks = clients.map((c) => new Redlock([c], { retryCount: 200, retryDelay: 10, retryJitter: 5 }));
        let inside = 0, most = 0, n = 0;
        await Promise.all(Array.from({ length: 20 }, (_, i) => locks[i % 2].using(['resource'], 5000, async () => {
            most = Math.max(most, ++inside);
            const was = n;
            await sleep(2);
            n = was + 1;
            inside--;
        })));
        assert.deepEqual([most, n], [1, 20]);
        const impatient = new Redlock([clients[0]], { retryCount: 0 });
        impatient.on('error', (e) => assert.ok(e instanceof ResourceLockedError));
        let lock = await impatient.acquire(['a', 'b'], 2000);
        await assert.rejects(impatient.acquire(['b', 'c'], 2000));
        lock = await lock.extend(5000);
        assert.ok((await clients[0].pttl('a')) > 3000);
        await lock.release();
        const short = await impatient.acquire(['b'], 50);
        await sleep(100);
        await (await impatient.acquire(['b'], 2000)).release();
        await assert.rejects(short.release());
        clients.forEach((c) => c.disconnect());
    },
});
