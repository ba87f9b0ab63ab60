// What the Node residents share. A file calls run({name: async function, ...}); each runs on an emptied server and its
// result is a line that programs.py reads. Nothing here knows a client.
'use strict';
const net = require('net');
const readline = require('readline');

const host = process.argv[2];
const port = Number(process.argv[3]);
const patienceMs = 30000;

// One command over a bare socket; only for setting up, so that a resident's own client stays what is tested.
function resp(...words) {
    return respAt(port, ...words);
}

function respAt(where, ...words) {
    return new Promise((resolve, reject) => {
        const socket = net.connect(where, host);
        socket.on('error', reject);
        socket.once('data', (data) => { socket.destroy(); resolve(data.toString()); });
        socket.write(`*${words.length}\r\n` + words.map((w) => `$${Buffer.byteLength(w)}\r\n${w}\r\n`).join(''));
    });
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Waits until the condition holds, and gives what it gave.
async function until(what, condition) {
    const end = Date.now() + patienceMs;
    for (;;) {
        const got = await condition();
        if (got) return got;
        if (Date.now() > end) throw new Error(`not seen within ${patienceMs} ms: ${what}`);
        await sleep(10);
    }
}

// Waits until so many clients wait in a blocking command. Where there are several nodes they wait at the leader.
function blocked(count) {
    const leader = Number(process.env.LEADER_PORT || port);
    return until(`${count} blocked`, async () => (await respAt(leader, 'INFO', 'clients')).includes(`blocked_clients:${count}\r`));
}

// Fails instead of hanging.
function within(what, promise, ms = patienceMs) {
    let timer;
    const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`hangs: ${what}`)), ms); });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const questions = [];
let answers = null;

// Something only the one who started us can do, such as `kill`: returns when it is done.
function ask(word) {
    if (!answers) {
        answers = readline.createInterface({ input: process.stdin });
        answers.on('line', () => questions.shift()());
    }
    return new Promise((resolve) => {
        questions.push(resolve);
        process.stdout.write(`? ${word}\n`);
    });
}

// With a third argument `failover`: only the tests for that, which ask for a leader's death.
async function run(all, whenLeaderDies = {}) {
    const tests = process.argv[4] === 'failover' ? whenLeaderDies : all;
    let failed = 0;
    for (const [name, test] of Object.entries(tests)) {
        try {
            await resp('FLUSHALL');
            await within(name, test(), 2 * patienceMs);
            console.log(`ok ${name}`);
        } catch (e) {
            failed = 1;
            console.log(`not ok ${name}: ${String((e && e.stack) || e).replace(/\n\s*/g, ' | ').slice(0, 1500)}`);
        }
    }
    process.exit(failed);
}

// A client that nobody listens to for errors would end the process; what matters shows in what is asserted.
process.on('unhandledRejection', (e) => { console.error('unhandled', e); });

module.exports = { host, port, resp, sleep, until, blocked, within, ask, run };
