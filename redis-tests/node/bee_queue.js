// bee-queue: on node-redis 3, with scripts that it loads once and never again.
'use strict';
const assert = require('assert');
const Queue = require('bee-queue');
const { host, port, until, sleep, ask, run } = require('./resident');

const made = (settings = {}) => {
    const queue = new Queue('bees', { redis: { host, port }, ...settings });
    queue.on('error', (e) => console.error(e.message));
    return queue;
};

const tests = {
    'jobs, results, progress': async () => {
        const producer = made({ isWorker: false });
        const worker = made();
        let progressed = 0;
        const jobs = [];
        for (let n = 0; n < 30; n++) {
            const job = producer.createJob({ n });
            job.on('progress', () => progressed++);
            jobs.push(new Promise((resolve, reject) => { job.on('succeeded', resolve); job.on('failed', reject); }));
            await job.save();
        }
        // Not before: news of a job whose id the producer has not heard yet is lost on it, with any server.
        worker.process(3, async (job) => {
            job.reportProgress({ half: true });
            return job.data.n * 2;
        });
        assert.deepEqual(await Promise.all(jobs), Array.from({ length: 30 }, (_, n) => 2 * n));
        await until('progress', () => progressed === 30);
        assert.equal((await producer.checkHealth()).succeeded, 30);
        await Promise.all([producer.close(), worker.close()]);
    },

    'retries and delayed jobs': async () => {
        const queue = made({ activateDelayedJobs: true });
        let tries = 0;
        const done = [];
        queue.process(async (job) => {
            if (job.data.name === 'stubborn' && ++tries < 3) throw new Error('not yet');
            done.push(job.data.name);
        });
        await queue.createJob({ name: 'stubborn' }).retries(5).save();
        await queue.createJob({ name: 'late' }).delayUntil(Date.now() + 200).save();
        await queue.saveAll(['x', 'y'].map((name) => queue.createJob({ name })));
        await until('all', () => done.length === 4);
        assert.equal(tries, 3);
        assert.deepEqual([...done].sort(), ['late', 'stubborn', 'x', 'y']);
        await queue.close();
    },
};

const whenLeaderDies = {
    // It loads its scripts once and never again, so the next leader must know them.
    'no job is lost when the leader dies': async () => {
        const [producer, worker] = [made({ isWorker: false }), made({ stallInterval: 1000 })];
        const done = new Map();
        worker.process(4, async (job) => {
            await sleep(5);
            done.set(job.data.n, (done.get(job.data.n) || 0) + 1);
        });
        const watch = setInterval(() => worker.checkStalledJobs().catch((e) => console.error(e.message)), 1000);
        const added = [];
        let over = false, refused = 0;
        const adding = (async () => {
            for (let n = 0; !over; n++) {
                await producer.createJob({ n }).save().then(() => added.push(n), () => { refused++; });
                await sleep(3);
            }
        })();
        await until('work under way', () => done.size > 50);
        await ask('kill');
        const before = done.size;
        await until('work under way again', () => done.size > before + 50);
        over = true;
        await adding;
        await until('all jobs', () => added.every((n) => done.has(n)));
        console.log(`# ${added.length} jobs added, ${refused} refused, ${[...done.values()].filter((t) => t > 1).length} ran twice`);
        clearInterval(watch);
    },
};

run(tests, whenLeaderDies);
