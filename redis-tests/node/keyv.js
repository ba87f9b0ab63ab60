// keyv over @keyv/redis: values that live for a while, namespaces, many at once.
'use strict';
const assert = require('assert');
const { Keyv } = require('keyv');
const { default: KeyvRedis } = require('@keyv/redis');
const { host, port, sleep, run } = require('./resident');

run({
    'values, namespaces, deadlines': async () => {
        const made = (namespace) => new Keyv({ store: new KeyvRedis(`redis://${host}:${port}`), namespace, useKeyPrefix: false });
        const [users, posts] = [made('users'), made('posts')];
        await users.set('a', { name: 'Ada', tags: [1, 'two', null] });
        await posts.set('a', 'a post');
        assert.deepEqual(await users.get('a'), { name: 'Ada', tags: [1, 'two', null] });
        await users.set('short', 'lived', 60);
        assert.equal(await users.get('short'), 'lived');
        await sleep(100);
        assert.equal(await users.get('short'), undefined);
        await users.setMany([{ key: 'b', value: 1 }, { key: 'c', value: 2 }]);
        assert.deepEqual(await users.getMany(['b', 'none', 'c']), [1, undefined, 2]);
        const seen = [];
        for await (const [key, value] of users.iterator()) seen.push([key, value]);
        assert.deepEqual(seen.map(([key]) => key).sort(), ['a', 'b', 'c']);
        assert.equal(await users.delete('b'), true);
        assert.deepEqual([await users.has('b'), await users.has('c')], [false, true]);
        await users.clear();
        assert.deepEqual([await users.get('a'), await posts.get('a')], [undefined, 'a post']);
        await users.disconnect();
        await posts.disconnect();
    },
});
