// socket.io with its Redis adapter: rooms that span two servers, plain and sharded, and questions between servers.
'use strict';
const assert = require('assert');
const http = require('http');
const { Server } = require('socket.io');
const { io: connect } = require('socket.io-client');
const { createAdapter, createShardedAdapter } = require('@socket.io/redis-adapter');
const redis = require('redis');
const { host, port, until, run } = require('./resident');

async function site(adapter) {
    const pub = await redis.createClient({ socket: { host, port } }).on('error', () => {}).connect();
    const sub = await pub.duplicate().connect();
    const server = http.createServer();
    const io = new Server(server, { adapter: adapter(pub, sub) });
    io.on('connection', (socket) => {
        socket.on('join', (room, done) => { socket.join(room); done(); });
        socket.on('say', (room, text) => io.to(room).emit('said', text));
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const visitor = async () => {
        const socket = connect(`http://127.0.0.1:${server.address().port}`, { transports: ['websocket'] });
        const heard = [];
        socket.on('said', (text) => heard.push(text));
        socket.on('ask', (answer) => answer(socket.id));
        await new Promise((resolve) => socket.on('connect', resolve));
        return { socket, heard };
    };
    return { io, visitor, close: async () => { await io.close(); pub.destroy(); sub.destroy(); } };
}

async function rooms(adapter) {
    const [one, two] = [await site(adapter), await site(adapter)];
    const [a, b, c] = [await one.visitor(), await two.visitor(), await two.visitor()];
    await a.socket.emitWithAck('join', 'room');
    await b.socket.emitWithAck('join', 'room');
    await until('both servers know all', async () => (await one.io.in('room').fetchSockets()).length === 2);
    assert.equal((await two.io.fetchSockets()).length, 3);
    c.socket.emit('say', 'room', 'hello');
    await until('the room hears', () => a.heard.length === 1 && b.heard.length === 1);
    assert.deepEqual(c.heard, []);
    const answers = await one.io.timeout(5000).emitWithAck('ask');
    assert.deepEqual(answers.sort(), [a, b, c].map((v) => v.socket.id).sort());
    one.io.in('room').socketsLeave('room');
    await until('the room is empty', async () => (await two.io.in('room').fetchSockets()).length === 0);
    [a, b, c].forEach((v) => v.socket.disconnect());
    await one.close();
    await two.close();
}

run({
    'rooms over two servers': () => rooms((pub, sub) => createAdapter(pub, sub)),
    'rooms over two servers, sharded': () => rooms((pub, sub) => createShardedAdapter(pub, sub)),
});
