<?php
// What the PHP residents share: run([name => function, ...]), each on an emptied server; a line for each result.
declare(strict_types=1);
error_reporting(E_ALL & ~E_DEPRECATED);

define('HOST', $argv[1]);
define('PORT', (int)$argv[2]);
const PATIENCE_S = 30;

// One command over a bare socket, at the leader where there are several nodes; only for setting up.
function resp(int $port, string ...$words): string
{
    $s = stream_socket_client('tcp://' . HOST . ':' . $port, $code, $text, 5);
    fwrite($s, '*' . count($words) . "\r\n" . implode('', array_map(fn($w) => '$' . strlen($w) . "\r\n$w\r\n", $words)));
    return fread($s, 65536);
}

function equal($got, $expected): void
{
    if ($got !== $expected) {
        throw new Exception('got ' . json_encode($got) . ', expected ' . json_encode($expected));
    }
}

function raises(string $text, callable $call): void
{
    try {
        $call();
    } catch (Throwable $e) {
        if (strpos($e->getMessage(), $text) === false) {
            throw new Exception("error '{$e->getMessage()}', expected '$text'");
        }
        return;
    }
    throw new Exception("no error '$text'");
}

// Another process that does one thing with the server; PHP has no threads. Its output when it has ended.
function another(string $code): array
{
    $p = proc_open([PHP_BINARY, '-r', $code, '--', HOST, (string)PORT], [1 => ['pipe', 'w']], $pipes);
    return [$p, $pipes[1]];
}

function output(array $other): string
{
    $text = stream_get_contents($other[1]);
    proc_close($other[0]);
    return $text;
}

function waitUntil(string $what, callable $condition)
{
    $deadline = microtime(true) + PATIENCE_S;
    while (!($got = $condition())) {
        if (microtime(true) > $deadline) {
            throw new Exception('not seen within ' . PATIENCE_S . " s: $what");
        }
        usleep(20000);
    }
    return $got;
}

function waitUntilBlocked(int $count): void
{
    $leader = (int)(getenv('LEADER_PORT') ?: PORT);
    waitUntil("$count blocked", fn() => strpos(resp($leader, 'INFO', 'clients'), "blocked_clients:$count\r") !== false);
}

function run(array $tests): void
{
    $failed = 0;
    foreach ($tests as $name => $test) {
        try {
            resp(PORT, 'FLUSHALL');
            $test();
            echo "ok $name\n";
        } catch (Throwable $e) {
            $failed = 1;
            echo "not ok $name: " . str_replace("\n", ' | ', $e->getMessage() . ' at line ' . $e->getLine() . ' ' .
                $e->getTraceAsString()), "\n";
        }
    }
    exit($failed);
}
