// BullMQ: a queue and its workers as an app starts them; when the leader dies under them, no job is lost.
'use strict';
const assert = require('assert');
const { Queue, Worker, QueueEvents, FlowProducer } = require('bullmq');
const { host, port, until, sleep, ask, run } = require('./resident');

const connection = { host, port };

// The test with a queue, and a way to start workers; all closed in the end.
function withQueue(test) {
    return async () => {
        const queue = new Queue('work', { connection });
        const open = [queue];
        const worker = (process, options = {}) => {
            const w = new Worker('work', process, { connection, ...options });
            w.on('error', (e) => console.error('worker:', e.message));
            open.push(w);
            return w;
        };
        queue.on('error', (e) => console.error('queue:', e.message));
        try {
            await test(queue, worker, open);
        } finally {
            await Promise.all(open.reverse().map((o) => o.close(true)));
        }
    };
}

const tests = {
    'jobs and results': withQueue(async (queue, worker, open) => {
        const events = new QueueEvents('work', { connection });
        open.push(events);
        await events.waitUntilReady();
        worker(async (job) => job.data.n * 2, { concurrency: 5 });
        const jobs = await queue.addBulk(Array.from({ length: 50 }, (_, n) => ({ name: 'double', data: { n } })));
        const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 20000)));
        assert.deepEqual(results, Array.from({ length: 50 }, (_, n) => 2 * n));
        assert.deepEqual(await queue.getJobCounts('completed', 'waiting', 'active', 'failed', 'paused'),
            { completed: 50, waiting: 0, active: 0, failed: 0, paused: 0 });
    }),

    'order, priority, delay': withQueue(async (queue, worker) => {
        const done = [];
        await queue.add('late', {}, { delay: 200 });
        await queue.add('low', {}, { priority: 10 });
        await queue.add('high', {}, { priority: 1 });
        await queue.add('first', {});
        await queue.add('second', {});
        worker(async (job) => { done.push(job.name); });
        await until('five jobs', () => done.length === 5);
        assert.deepEqual(done.slice(0, 2), ['first', 'second']);
        assert.ok(done.indexOf('high') < done.indexOf('low'));
        assert.ok(done.includes('late'));
    }),

    'failures are tried again': withQueue(async (queue, worker) => {
        let tries = 0;
        worker(async (job) => {
            tries++;
            if (job.name === 'hopeless' || tries < 3) throw new Error('not yet');
            return 'at last';
        });
        const job = await queue.add('stubborn', {}, { attempts: 5, backoff: { type: 'fixed', delay: 10 } });
        await until('the job', async () => (await job.getState()) === 'completed');
        assert.equal(tries, 3);
        const bad = await queue.add('hopeless', {}, { attempts: 2 });
        await until('the failure', async () => (await bad.getState()) === 'failed');
        assert.equal((await queue.getJob(bad.id)).failedReason, 'not yet');
    }),

    'flows, logs, progress': withQueue(async (queue, worker, open) => {
        const flow = new FlowProducer({ connection });
        open.push(flow);
        worker(async (job) => {
            await job.updateProgress(50);
            await job.log('a line');
            return job.name === 'parent' ? Object.values(await job.getChildrenValues()).sort() : job.data.v;
        }, { concurrency: 3 });
        const tree = await flow.add({
            name: 'parent', queueName: 'work',
            children: ['a', 'b', 'c'].map((v) => ({ name: 'child', queueName: 'work', data: { v } })),
        });
        await until('the parent', async () => (await tree.job.getState()) === 'completed');
        const job = await queue.getJob(tree.job.id);
        assert.deepEqual(job.returnvalue, ['a', 'b', 'c']);
        assert.equal(job.progress, 50);
        assert.deepEqual((await queue.getJobLogs(job.id)).logs, ['a line']);
    }),

    'schedulers, rate limit, pause': withQueue(async (queue, worker) => {
        let seen = 0;
        await queue.upsertJobScheduler('tick', { every: 100 }, { name: 'tick' });
        const w = worker(async () => { seen++; }, { limiter: { max: 2, duration: 100 } });
        await until('three ticks', () => seen >= 3);
        assert.equal((await queue.getJobSchedulers()).length, 1);
        assert.ok(await queue.removeJobScheduler('tick'));
        await queue.pause();
        assert.ok(await queue.isPaused());
        await queue.add('waits', {});
        await queue.resume();
        await until('it went on', async () => (await queue.getJobCountByTypes('completed')) > seen - 1);
        await w.close();
        await queue.obliterate({ force: true });
    }),
};

const whenLeaderDies = {
    'no job is lost when the leader dies': withQueue(async (queue, worker) => {
        const done = new Map();
        let moving = true, refused = 0;
        const options = { concurrency: 4, lockDuration: 2000, stalledInterval: 1000, maxStalledCount: 20 };
        const work = async (job) => {
            await sleep(5);
            done.set(job.data.n, (done.get(job.data.n) || 0) + 1);
        };
        worker(work, options);
        worker(work, options);
        const added = [];
        const producer = (async () => {
            for (let n = 0; moving; n++) {
                await queue.add('job', { n }).then(() => added.push(n), () => { refused++; });
                await sleep(3);
            }
        })();
        await until('work under way', () => done.size > 50);
        await ask('kill');
        const before = done.size;
        await until('work under way again', () => done.size > before + 50);
        moving = false;
        await producer;
        await until('all jobs', () => added.every((n) => done.has(n)));
        await until('nothing left', async () => {
            const left = await queue.getJobCounts('waiting', 'active', 'delayed');
            return left.waiting + left.active + left.delayed === 0;
        });
        assert.equal((await queue.getJobCounts('failed')).failed, 0);
        console.log(`# ${added.length} jobs added, ${refused} refused, ${[...done.values()].filter((t) => t > 1).length} ran twice`);
    }),
};

run(tests, whenLeaderDies);
