<?php
// phpredis, the extension: commands, pipelines, transactions, scripts, subscriptions, streams, its session handler.
declare(strict_types=1);
require __DIR__ . '/resident.php';

function connected(): Redis
{
    $r = new Redis();
    $r->connect(HOST, PORT, 10);
    return $r;
}

const HEAD = '$r = new Redis(); $r->connect($argv[1], (int)$argv[2]); ';

run([
    'commands' => function () {
        $r = connected();
        equal($r->set('s', 'v', ['nx', 'ex' => 100]), true);
        equal($r->set('s', 'w', ['nx']), false);
        equal($r->get('s'), 'v');
        equal($r->ttl('s') > 90, true);
        equal($r->incrBy('n', 5), 5);
        equal($r->mGet(['s', 'none']), ['v', false]);
        equal($r->hMSet('h', ['a' => '1', 'b' => 'two']), true);
        equal($r->hGetAll('h'), ['a' => '1', 'b' => 'two']);
        equal($r->rPush('l', 'a', 'b', 'c'), 3);
        equal($r->lRange('l', 0, -1), ['a', 'b', 'c']);
        equal($r->sAdd('set', 'x', 'y'), 2);
        equal($r->sIsMember('set', 'x'), true);
        equal($r->zAdd('z', 1, 'one', 2.5, 'two'), 2);
        equal($r->zRange('z', 0, -1, true), ['one' => 1.0, 'two' => 2.5]);
        equal($r->incr('l'), false);
        equal(strpos($r->getLastError(), 'WRONGTYPE'), 0);
        $r->setOption(Redis::OPT_SCAN, (string)Redis::SCAN_RETRY);
        for ($i = 0; $i < 100; $i++) {
            $r->set("k:$i", (string)$i);
        }
        $seen = [];
        $at = null;
        while (($keys = $r->scan($at, 'k:*')) !== false) {
            array_push($seen, ...$keys);
        }
        equal(count(array_unique($seen)), 100);
        equal($r->select(3), true);
        equal($r->dbSize(), 0);
    },
    'binary and serialized' => function () {
        $r = connected();
        $bytes = implode('', array_map('chr', range(0, 255)));
        $r->set($bytes, $bytes);
        equal($r->get($bytes), $bytes);
        $large = str_repeat("x\r\n$", 1 << 19);
        $r->set('large', $large);
        equal(md5($r->get('large')), md5($large));
        $r->setOption(Redis::OPT_SERIALIZER, (string)Redis::SERIALIZER_PHP);
        $r->set('o', ['a' => [1, null, 2.5]]);
        equal($r->get('o'), ['a' => [1, null, 2.5]]);
    },
    'pipelines and transactions' => function () {
        $r = connected();
        $p = $r->multi(Redis::PIPELINE);
        for ($i = 0; $i < 1000; $i++) {
            $p->incr('n')->get('n');
        }
        $got = $p->exec();
        equal([count($got), $got[1998], $got[1999]], [2000, 1000, '1000']);
        equal($r->multi()->set('a', 'x')->get('a')->exec(), [true, 'x']);
        $other = connected();
        $r->watch('a');
        $other->set('a', 'changed');
        equal($r->multi()->set('a', 'mine')->exec(), false);
        $r->watch('a');
        equal($r->multi()->set('a', 'mine')->exec(), [true]);
    },
    'blocking' => function () {
        $other = another(HEAD . 'echo json_encode($r->blPop(["l1", "l2"], 10));');
        waitUntilBlocked(1);
        connected()->rPush('l2', 'v');
        equal(output($other), '["l2","v"]');
        equal(connected()->brPop(['none'], 1), []);
    },
    'scripts' => function () {
        $r = connected();
        equal($r->eval('return {KEYS[1], ARGV[1], 3}', ['k', 'a'], 1), ['k', 'a', 3]);
        $sha = $r->script('load', "return redis.call('incrby', KEYS[1], ARGV[1])");
        equal($r->evalSha($sha, ['n', '7'], 1), 7);
        equal($r->evalSha(str_repeat('f', 40)), false);
        equal(strpos($r->getLastError(), 'NOSCRIPT'), 0);
    },
    'publish and subscribe' => function () {
        $other = another(HEAD . '$r->setOption(Redis::OPT_READ_TIMEOUT, 20); try { $r->psubscribe(["n*"], ' .
            'function ($r, $pattern, $channel, $message) { echo "$pattern $channel $message"; $r->close(); }); } catch (RedisException $e) { }');
        $r = connected();
        waitUntil('a subscriber', fn() => $r->publish('news', 'one') === 1);
        equal(output($other), 'n* news one');
    },
    'streams' => function () {
        $r = connected();
        $id = $r->xAdd('s', '*', ['f' => 'v']);
        equal($r->xGroup('CREATE', 's', 'g', '0'), true);
        equal($r->xReadGroup('g', 'me', ['s' => '>']), ['s' => [$id => ['f' => 'v']]]);
        equal($r->xAck('s', 'g', [$id]), 1);
        $other = another(HEAD . 'echo json_encode($r->xRead(["s" => "$"], 1, 10000));');
        waitUntilBlocked(1);
        $second = $r->xAdd('s', '*', ['f' => 'w']);
        equal(json_decode(output($other), true), ['s' => [$second => ['f' => 'w']]]);
    },
    'sessions' => function () {
        // In processes of their own, as web requests are: the second visit knows what the first one said.
        $visit = 'ini_set("session.save_handler", "redis"); ini_set("session.use_cookies", "0"); ini_set("session.cache_limiter", ""); ' .
            'ini_set("session.save_path", "tcp://$argv[1]:$argv[2]?prefix=visit:"); ini_set("redis.session.locking_enabled", "1"); ' .
            'session_id("abc"); session_start(); ';
        equal(output(another($visit . '$_SESSION["user"] = 7;')), '');
        equal(connected()->exists('visit:abc'), 1);
        equal(output(another($visit . '$user = $_SESSION["user"]; session_destroy(); echo $user;')), '7');
        equal(connected()->exists('visit:abc'), 0);
    },
]);
