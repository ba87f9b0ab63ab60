"""Scripts that take long: what other clients hear meanwhile, what stops them, and what their own client gets."""

import time

from harness import NULL3, Error, Wire, encode, expect, expect_that, wait_until

BUSY = Error('BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.')
NOTBUSY = Error('NOTBUSY No scripts in execution right now.')
SPINS = 'while true do end'
WRITES = "local n = 0 while true do n = n + 1 redis.call('set', 'n', n) redis.call('rpush', 'l', n) end"
QUICK = ('--busy-reply-threshold', '100')


def says(got, word):
    expect_that(isinstance(got, Error) and word in str(got), f'an error with {word!r}, not {got!r}')


def expect_as_many(c):
    """What WRITES has done is the same by either count: it may have ended between two commands, not within one."""
    n, length = int(c.call('GET', 'n')), c.call('LLEN', 'l')
    expect_that(0 < n and length in (n - 1, n), f'n is {n}, and the list has {length}')


def wait_busy(c):
    wait_until(lambda: c.call('PING') == BUSY, 'clients are told that a script runs')


def others_are_told(run):
    """At first they wait, and then they are told; what ends the script is let through."""
    s = run.server('--busy-reply-threshold', '1500')
    with s.connect() as c, s.connect() as other, s.connect() as third:
        c.command('EVAL', SPINS, 0)
        time.sleep(0.5)     # it runs, and has not done so for long
        other.command('GET', 'k')
        expect_that(other.is_quiet(0.1), 'who asks early waits')
        expect(other.reply(), BUSY)
        for words in (('SET', 'k', 1), ('PING',), ('INFO',), ('EVAL', 'return 1', 0), ('CONFIG', 'GET', 'port'), ('SUBSCRIBE', 'x')):
            expect(other.call(*words), BUSY, words[0])
        says(other.call('GET'), 'wrong number of arguments')
        third.ok('MULTI')
        expect(third.call('INCR', 'k'), BUSY)
        says(third.call('EXEC'), 'EXECABORT')
        expect(other.call('SHUTDOWN'), BUSY)
        expect(other.call('FUNCTION', 'KILL'), BUSY)
        expect_that(isinstance(other.call('HELLO', 3), dict), 'HELLO is answered')
        other.ok('SCRIPT', 'KILL')
        says(c.reply(), 'Script killed by user with SCRIPT KILL')
        expect(other.call('SCRIPT', 'KILL'), NOTBUSY)
        expect(other.call('FUNCTION', 'KILL'), NOTBUSY)
        expect(other.call('GET', 'k'), NULL3)
        third.ok('SET', 'k', 'v')


def it_cannot_hold_on(run):
    """pcall does not catch the end, nor coroutines, nor sort with a comparison of one's own."""
    s = run.server(*QUICK)
    scripts = ('while true do pcall(function() while true do end end) end',
               'while true do pcall(string.rep, "x", 1000) end',
               "while true do pcall(redis.call, 'get', 'k') redis.pcall('get', 'k') end",
               'local c = coroutine and coroutine.wrap(function() while true do end end) while true do if c then pcall(c) end end',
               'table.sort({1, 2, 3, 4, 5}, function(a, b) while true do end end)',
               "string.gsub('xxxx', 'x', function() while true do end end)")
    if not s.sanitized:     # every error of these goes through all of the C stack, which a sanitizer then wipes: a minute of silence
        scripts += ('local function f() while true do pcall(f) end end f()',)
    with s.connect() as c, s.connect() as other:
        for script in scripts:
            c.command('EVAL', script, 0)
            wait_busy(other)
            other.ok('SCRIPT', 'KILL')
            says(c.reply(), 'killed by user')
            expect(other.call('PING'), 'PONG')


def what_has_written_goes_on(run):
    """Up to its limit; what it did stays."""
    s = run.server(*QUICK, '--script-run-ms-max', '1500')
    with s.connect() as c, s.connect() as other:
        c.command('EVAL', WRITES, 0)
        wait_busy(other)
        says(other.call('SCRIPT', 'KILL'), 'UNKILLABLE')
        says(c.reply(), 'script-run-ms-max')
        expect_as_many(other)
        # One that only reads, and is in no log.
        expect(c.call('EVAL_RO', 'return 1', 0), 1)
        c.command('EVAL_RO', SPINS, 0)
        says(c.reply(), 'script-run-ms-max')
        digest = other.call('DEBUG', 'DIGEST')
    s.kill()
    s.start()
    expect(s.call('DEBUG', 'DIGEST'), digest)


def one_in_no_log(run):
    """The second time its text is known, and it changes nothing: nothing of it is written down."""
    s = run.server(*QUICK)
    with s.connect() as c, s.connect() as other:
        script = "while redis.call('get', 'stop') == false do end return redis.call('get', 'k')"
        for _ in range(2):
            c.command('EVAL_RO', script, 0)
            wait_busy(other)
            other.ok('SCRIPT', 'KILL')
            says(c.reply(), 'killed by user')
        other.ok('SET', 'stop', 1)
        other.ok('SET', 'k', 'v')
        expect(c.call('EVAL_RO', script, 0), b'v')
        before = s.info('raft')['raft_commit_index']
        expect(c.call('EVAL_RO', script, 0), b'v')
        expect(s.info('raft')['raft_commit_index'], before)


def a_pipeline_keeps_its_order(run):
    """What is behind the script waits for it, also what would be answered to others."""
    s = run.server(*QUICK, '--script-run-ms-max', '1000')
    with s.connect() as c, s.connect() as other:
        c.send(encode('SET', 'a', 1) + encode('EVAL', SPINS, 0) + encode('GET', 'a') + encode('INCR', 'a') + encode('PING')
               + encode('MULTI') + encode('EVAL', SPINS, 0) + encode('INCR', 'a') + encode('EXEC') + encode('GET', 'a'))
        expect(c.reply(), 'OK')
        wait_busy(other)
        says(c.reply(), 'script-run-ms-max')
        expect(c.replies(6), [b'1', 2, 'PONG', 'OK', 'QUEUED', 'QUEUED'])
        got = c.reply()
        says(got[0], 'script-run-ms-max')
        expect(got[1], 3)
        expect(c.reply(), b'3')


def many_short_ones(run):
    """Together they take as long as a long one, in one entry: others are heard in between, and all is answered in order."""
    s = run.server(*QUICK)
    with s.connect() as c:
        script = "local n = 0 for i = 1, 2000000 do n = n + i end return redis.call('incr', KEYS[1])"
        c.send(encode('EVAL', script, 1, 'k') * 40)
        expect(c.replies(40), list(range(1, 41)))
        expect(c.call('GET', 'k'), b'40')


def its_client_goes(run):
    """It runs on, and nobody minds."""
    s = run.server(*QUICK, '--script-run-ms-max', '1500')
    with s.connect() as other:
        for script in (WRITES, SPINS, SPINS):
            gone = Wire(s.port)
            gone.command('EVAL' if script == WRITES else 'EVAL_RO', script, 0)
            wait_busy(other)
            gone.reset()
            wait_until(lambda: other.call('PING') == 'PONG', 'it has come to its end')
        expect_as_many(other)


def it_runs_again_after_a_restart(run):
    """It is in the log. A node alone lets clients in to stop it, and what it comes to is the same each time."""
    s = run.server(*QUICK, '--script-run-ms-max', '3000')
    with s.connect() as c, s.connect() as other:
        c.command('EVAL', WRITES, 0)
        wait_busy(other)
    s.kill()
    s.start()
    with s.connect() as other:
        wait_busy(other)
        wait_until(lambda: other.call('PING') == 'PONG', 'the limit has ended it')
        digest = other.call('DEBUG', 'DIGEST')
        expect_as_many(other)
    s.kill()
    s.start()
    with s.connect() as other:
        wait_until(lambda: other.call('PING') == 'PONG', 'it has run again')
        expect(other.call('DEBUG', 'DIGEST'), digest)


def stopping_in_the_middle(run):
    """SHUTDOWN NOSAVE does not wait; SIGTERM waits as it does for clients. Nothing of it is stored by halves."""
    s = run.server(*QUICK, '--script-run-ms-max', '4000', '--shutdown-timeout', '1')
    for nosave in (True, False):
        with s.connect() as c, s.connect() as other:
            c.ok('SET', 'before', nosave)
            c.command('EVAL', WRITES, 0)
            wait_busy(other)
            if nosave:
                other.command('SHUTDOWN', 'NOSAVE')
                expect(s.wait_exit(), 0)
            else:
                s.proc.terminate()
                expect(s.wait_exit(), 0)
        s.start()
        with s.connect() as other:
            wait_until(lambda: other.call('PING') == 'PONG', 'it has run again, to its end')
            expect(other.call('GET', 'before'), str(nosave).encode())
            expect_as_many(other)
            other.call('DEL', 'l', 'n')


def kill_of_a_function(run):
    s = run.server(*QUICK)
    with s.connect() as c, s.connect() as other:
        code = "#!lua name=lib\nredis.register_function('spin', function() while true do end end)"
        expect(c.call('FUNCTION', 'LOAD', code), b'lib')
        c.command('FCALL', 'spin', 0)
        busy = Error('BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.')
        wait_until(lambda: other.call('PING') == busy, 'clients are told that a function runs')
        expect(other.call('SCRIPT', 'KILL'), busy)
        got = other.call('FUNCTION', 'STATS')
        expect(got[0], b'running_script')
        expect(got[1][:4], [b'name', b'spin', b'command', [b'FCALL', b'spin', b'0']])
        expect_that(got[1][5] >= 100, 'how long it runs')
        other.ok('FUNCTION', 'KILL')
        says(c.reply(), 'Script killed by user with SCRIPT KILL... script: spin, on @user_function:2.')


CASES = (others_are_told, it_cannot_hold_on, what_has_written_goes_on, one_in_no_log, a_pipeline_keeps_its_order, many_short_ones,
         its_client_goes, it_runs_again_after_a_restart, stopping_in_the_middle, kill_of_a_function)
