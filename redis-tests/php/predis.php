<?php
// Predis, in PHP alone: commands, pipelines, transactions with retries, scripts, subscriptions.
declare(strict_types=1);
require __DIR__ . '/resident.php';
require 'Predis/autoload.php';

function connected(array $options = []): Predis\Client
{
    return new Predis\Client(['host' => HOST, 'port' => PORT, 'read_write_timeout' => PATIENCE_S], $options);
}

const HEAD = 'require "Predis/autoload.php"; $r = new Predis\Client(["host" => $argv[1], "port" => (int)$argv[2], ' .
    '"read_write_timeout" => 30]); ';

class AddTo extends Predis\Command\ScriptCommand
{
    public function getKeysCount()
    {
        return 1;
    }

    public function getScript()
    {
        return "return redis.call('incrby', KEYS[1], ARGV[1])";
    }
}

run([
    'commands' => function () {
        $r = connected();
        equal((string)$r->set('s', 'v', 'EX', 100, 'NX'), 'OK');
        equal($r->set('s', 'w', 'NX'), null);
        equal($r->get('s'), 'v');
        equal($r->mget('s', 'none'), ['v', null]);
        equal((string)$r->hmset('h', ['a' => '1', 'b' => 'two']), 'OK');
        equal($r->hgetall('h'), ['a' => '1', 'b' => 'two']);
        equal($r->rpush('l', ['a', 'b', 'c']), 3);
        equal($r->lrange('l', 0, -1), ['a', 'b', 'c']);
        equal($r->sadd('set', ['x', 'y']), 2);
        equal($r->zadd('z', ['one' => 1, 'two' => 2.5]), 2);
        equal($r->zrange('z', 0, -1, 'WITHSCORES'), ['one' => '1', 'two' => '2.5']);
        raises('WRONGTYPE', fn() => $r->incr('l'));
        $bytes = implode('', array_map('chr', range(0, 255)));
        $r->set($bytes, $bytes);
        equal($r->get($bytes), $bytes);
        equal(count(iterator_to_array(new Predis\Collection\Iterator\Keyspace($r), false)), 6);
        equal(connected(['prefix' => 'mine:'])->exists('s'), 0);
        equal($r->info('server')['Server']['redis_mode'] ?? null, 'standalone');
    },
    'pipelines and transactions' => function () {
        $r = connected();
        $got = $r->pipeline(function ($p) {
            for ($i = 0; $i < 1000; $i++) {
                $p->incr('n');
            }
        });
        equal($got, range(1, 1000));
        equal($r->transaction()->set('a', 'x')->get('a')->execute()[1], 'x');
        $tries = 0;
        $r->transaction(['watch' => 'a', 'cas' => true, 'retry' => 3], function ($t) use (&$tries) {
            $was = $t->get('a');
            if ($tries++ === 0) {
                connected()->set('a', 'changed');
            }
            $t->multi();
            $t->set('a', "$was and mine");
        });
        equal([$tries, $r->get('a')], [2, 'changed and mine']);
    },
    'blocking' => function () {
        $other = another(HEAD . 'echo json_encode($r->blpop(["l1", "l2"], 10));');
        waitUntilBlocked(1);
        connected()->rpush('l2', 'v');
        equal(output($other), '["l2","v"]');
    },
    'scripts' => function () {
        $r = connected();
        $r->getProfile()->defineCommand('addto', 'AddTo');
        equal([$r->addto('n', 5), $r->addto('n', 7)], [5, 12]);
        equal($r->eval('return {KEYS[1], ARGV[1], 3}', 1, 'k', 'a'), ['k', 'a', 3]);
        raises('NOSCRIPT', fn() => $r->evalsha(str_repeat('f', 40), 0));
    },
    'publish and subscribe' => function () {
        $other = another(HEAD . '$l = $r->pubSubLoop(); $l->subscribe("news"); $l->psubscribe("w*"); foreach ($l as $m) { ' .
            'if (substr($m->kind, -7) === "message") { echo "$m->kind $m->channel $m->payload\n"; ' .
            'if ($m->payload === "end") { $l->unsubscribe(); $l->punsubscribe(); } } }');
        $r = connected();
        waitUntil('both', fn() => $r->pubsub('NUMSUB', 'news') == ['news' => 1] && $r->pubsub('NUMPAT') === 1);
        equal($r->publish('weather', 'rain'), 1);
        equal($r->publish('news', 'end'), 1);
        equal(output($other), "pmessage weather rain\nmessage news end\n");
    },
]);
