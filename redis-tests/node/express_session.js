// connect-redis under express-session: an HTTP server whose visitors are remembered in the store, by several servers alike.
'use strict';
const assert = require('assert');
const express = require('express');
const session = require('express-session');
const { RedisStore } = require('connect-redis');
const redis = require('redis');
const { host, port, run } = require('./resident');

async function site() {
    const client = await redis.createClient({ socket: { host, port } }).on('error', () => {}).connect();
    const store = new RedisStore({ client, prefix: 'visit:', ttl: 60 });
    const app = express();
    app.use(session({ store, secret: 's', resave: false, saveUninitialized: false }));
    app.get('/', (req, res) => {
        req.session.visits = (req.session.visits || 0) + 1;
        res.json(req.session.visits);
    });
    app.get('/out', (req, res) => req.session.destroy(() => res.json('bye')));
    const server = await new Promise((resolve) => { const s = app.listen(0, '127.0.0.1', () => resolve(s)); });
    const get = async (path, cookie) => {
        const answer = await fetch(`http://127.0.0.1:${server.address().port}${path}`, { headers: cookie ? { cookie } : {} });
        return { body: await answer.json(), cookie: (answer.headers.get('set-cookie') || '').split(';')[0] };
    };
    return { get, store, client, close: () => { server.close(); client.destroy(); } };
}

run({
    'visits are counted by two servers': async () => {
        const [one, two] = [await site(), await site()];
        const first = await one.get('/');
        assert.equal(first.body, 1);
        for (let n = 2; n <= 10; n++) assert.equal((await (n % 2 ? one : two).get('/', first.cookie)).body, n);
        assert.equal((await two.get('/')).body, 1);
        assert.equal(await new Promise((resolve) => one.store.length((_, n) => resolve(n))), 2);
        const keys = await one.client.keys('visit:*');
        assert.equal(keys.length, 2);
        assert.ok((await one.client.ttl(keys[0])) > 50);
        assert.equal((await one.get('/out', first.cookie)).body, 'bye');
        assert.equal((await two.get('/', first.cookie)).body, 1);
        one.close();
        two.close();
    },
});
