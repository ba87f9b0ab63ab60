"""Users: the same on all nodes, whatever becomes of nodes; what they may do is asked where they are connected and at the leader."""

import os
import signal

from cases_nodes import Together
from cases_waiting import leader_and_follower, process_id
from harness import Error, Wire, encode, expect, expect_that, once, wait_until

NO_KEY = Error('NOPERM this user has no permissions to access one of the keys used as arguments')
NO_AUTH = Error('NOAUTH Authentication required.')
WRONG = Error('WRONGPASS invalid username-password pair or user is disabled.')


def no_command(name):
    return Error(f"NOPERM this user has no permissions to run the '{name}' command")


def login(to, user, password):
    c = Wire(to)
    c.ok('AUTH', user, password)
    return c


def users_outlive_the_process(run):
    s = run.server()
    s.call('ACL', 'SETUSER', 'bob', 'on', '>one', '+get', '+set', '~a*', '(%R~b +get)')
    before = s.call('ACL', 'LIST')
    for how in (s.stop, s.kill, s.stop):
        how()
        s.start()
        expect(s.call('ACL', 'LIST'), before)
        with login(s.port, 'bob', 'one') as c:
            c.ok('SET', 'a', 1)
            expect(c.call('GET', 'c'), NO_KEY)
            expect(c.call('DEL', 'a'), no_command('del'))
    expect_that(b'one' not in s.call('ACL', 'LIST')[0], 'no password is shown')


def no_password_is_written(run):
    """Neither the log nor the state nor what the server says has a password in it."""
    s = run.server('--slowlog-log-slower-than', '0', '--requirepass', 'word-of-the-file')
    with s.connect() as c:
        c.ok('AUTH', 'word-of-the-file')
        c.ok('ACL', 'SETUSER', 'bob', 'on', '>word-of-bob')
        c.ok('ACL', 'SETUSER', 'bob', '<word-of-bob', '>word-of-bob-2')
        expect(c.call('AUTH', 'bob', 'word-of-a-guess'), WRONG)
        c.ok('MULTI')
        expect(c.call('ACL', 'SETUSER', 'eve', '>word-of-eve'), 'QUEUED')
        expect(c.call('EXEC'), ['OK'])
        c.ok('CONFIG', 'SET', 'requirepass', 'word-of-config')
        for said in (c.call('SLOWLOG', 'GET', -1), c.call('ACL', 'LOG'), c.call('ACL', 'LIST')):
            expect_that('word-of' not in str(said), f'{said} has a password')
    s.stop()
    for folder, _, files in os.walk(s.dir):
        for name in files:
            with open(os.path.join(folder, name), 'rb') as f:
                expect_that(b'word-of' not in f.read(), f'{name} has a password')
    expect_that('word-of' not in s.log(), 'the log has a password')


def order_in_a_pipeline(run):
    """What follows a change of users on a connection is asked by what has changed."""
    s = run.server()
    with s.connect() as c:
        c.send(encode('ACL', 'SETUSER', 'me', 'on', 'nopass', '+@all', '~*') + encode('AUTH', 'me', 'x') + encode('SET', 'k', 1)
               + encode('ACL', 'SETUSER', 'me', '-set') + encode('SET', 'k', 2) + encode('GET', 'k')
               + encode('ACL', 'SETUSER', 'me', '+set', '>pw') + encode('ACL', 'SETUSER', 'me', '<pw')
               + encode('ACL', 'SETUSER', 'me', '<pw') + encode('ACL', 'DELUSER', 'me') + encode('GET', 'k'))
        expect(c.replies(9), ['OK', 'OK', 'OK', 'OK', no_command('set'), b'1', 'OK', 'OK', Error(
            "ERR Error in ACL SETUSER modifier '<pw': The password you are trying to remove from the user does not exist")])
        expect(c.reply(), 1)    # it deletes itself: the answer still comes, and nothing after it
        c.expect_end()
    expect(s.call('GET', 'k'), b'1')


def asked_again_at_exec(run):
    s = run.server()
    s.call('ACL', 'SETUSER', 'bob', 'on', 'nopass', '+@all', '~*')
    with login(s.port, 'bob', 'x') as c, s.connect() as admin:
        for reads_only in (False, True):
            admin.ok('ACL', 'SETUSER', 'bob', '+@all', '~*')
            c.ok('MULTI')
            queued = [('GET', 'a'), ('GET', 'b')] if reads_only else [('SET', 'a', 1), ('SET', 'b', 1), ('GET', 'a')]
            for command in queued:
                expect(c.call(*command), 'QUEUED')
            admin.ok('ACL', 'SETUSER', 'bob', 'resetkeys', '~a')
            got = c.call('EXEC')
            expect(got[1], Error('NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. '
                                 'This command is no longer allowed for the following reason: no permission to touch the '
                                 'specified keys'))
            expect(got[0::2], [b'1'] if reads_only else ['OK', b'1'])
            expect(admin.call('EXISTS', 'b'), 0)
            expect(admin.call('ACL', 'LOG', 1)[0][5], b'multi')


def scripts_have_their_callers_rights(run):
    """What they may not do they do not do, here and when the log is replayed."""
    s = run.server()
    key = "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments"
    s.call('ACL', 'SETUSER', 'bob', 'on', 'nopass', '+@all', '-incr', '~a*')
    tries = "redis.call('set', 'a1', 1) redis.pcall('set', 'b', 1) redis.pcall('incr', 'a1') return redis.acl_check_cmd('get', 'b')"
    with login(s.port, 'bob', 'x') as c:
        expect(c.call('EVAL', tries, 0), None)      # false: it may not
        got = c.call('EVAL', "return redis.call('set', 'b', 1)", 0)
        expect(got.split(' script:')[0], key)
        expect(c.call('EVAL', "return redis.call('incr', 'a1')", 0).split(' script:')[0],
               "ERR The user executing the script can't run this command or subcommand")
        expect(c.call('EVAL_RO', "return redis.call('get', 'b')", 0).split(' script:')[0], key)
        expect(c.call('EVAL', 'return 1', 1, 'b'), NO_KEY)
        sort = 'ERR GET option of SORT denied due to insufficient ACL permissions.'
        expect(c.call('SORT', 'alist', 'GET', 'b*'), Error(sort))
        expect(c.call('EVAL', "return redis.call('sort', 'alist', 'get', 'b*')", 0).split(' script:')[0], sort)
        c.ok('MULTI')
        expect(c.call('EVAL', tries.replace("'b'", "'c'"), 0), 'QUEUED')
        expect(c.call('SET', 'a2', 2), 'QUEUED')
        c.call('EXEC')
    log = s.call('ACL', 'LOG')
    expect({(e[3], e[5], e[7]) for e in log}, {(b'key', b'lua', b'b'), (b'command', b'lua', b'incr'), (b'key', b'toplevel', b'b'),
                                              (b'key', b'lua', b'c')})
    for how in (s.kill, s.stop):
        how()
        s.start()
        expect(s.call('MGET', 'a1', 'a2', 'b', 'c'), [b'1', b'2', None, None])


def passwords_of_files(run):
    """What the configuration says fills a cluster without users; a requirepass that is new there is everybody's."""
    s = run.server()
    s.ok = lambda *a: expect(s.call(*a), 'OK')
    s.ok('SET', 'k', 'v')
    s.stop()
    s.options = ['--requirepass', 'first']
    s.start()
    wait_until(lambda: s.call('GET', 'k') == NO_AUTH, 'the password is needed')
    login(s.port, 'default', 'first').close()
    s.stop()
    s.options = []              # forgotten in the file: it stands in the state
    s.start()
    expect(s.call('GET', 'k'), NO_AUTH)
    with login(s.port, 'default', 'first') as c:
        c.ok('CONFIG', 'SET', 'requirepass', 'second')
    s.stop()
    s.options = ['--requirepass', 'first']      # an old file brings no old password back
    s.start()
    with Wire(s.port) as c:
        expect(c.call('AUTH', 'first'), WRONG)
    with login(s.port, 'default', 'second') as c:
        c.ok('CONFIG', 'SET', 'requirepass', '')
        c.ok('CONFIG', 'SET', 'requirepass', '')
    expect(s.call('GET', 'k'), b'v')
    s.stop()                    # the file still says one, and there is none: nobody is to find an open server
    s.start()
    wait_until(lambda: s.call('GET', 'k') == NO_AUTH, 'the password is needed')
    login(s.port, 'default', 'first').close()


def users_of_files(run):
    s = run.server(start=False)
    config = os.path.join(s.top, 'redis.conf')
    with open(config, 'w') as f:
        f.write('user default off\nuser alice on >"a b" ~* &* +@all\nuser bob on nopass +@read ~x (+set ~y)\n')
    s.start([s.program, config, '--bind', '127.0.0.1', '--port', str(s.port), '--dir', s.dir])
    with login(s.port, 'alice', 'a b') as c:
        wait_until(lambda: c.call('DEBUG', 'OBJECT', 'x') is not None and len(c.call('ACL', 'LIST')) == 3, 'users')
        c.ok('CONFIG', 'REWRITE')
        with open(config) as f:
            text = f.read()
        expect(text.count('user '), 3)
        expect_that('a b' not in text, 'hashes only')
        expect(c.call('ACL', 'SAVE').split(' ')[1], 'This')
    s.stop()
    with open(os.path.join(s.dir, 'users.acl'), 'w') as f:
        f.write('user default on nopass ~* &* +@all\nuser carol on nopass +get ~*\n')
    s.start(s.arguments(['--aclfile', 'users.acl']))
    with login(s.port, 'alice', 'a b') as c, login(s.port, 'bob', 'x') as bob:
        expect(len(c.call('ACL', 'LIST')), 3)       # the cluster has users: the file is for ACL LOAD
        c.ok('ACL', 'LOAD')
        c.expect_end()
        bob.expect_end()
    expect(s.call('ACL', 'USERS'), [b'carol', b'default'])
    expect(s.call('ACL', 'SETUSER', 'dave', '>secret'), 'OK')
    expect(s.call('ACL', 'SAVE'), 'OK')
    with open(os.path.join(s.dir, 'users.acl')) as f:
        text = f.read()
    expect(len(text.splitlines()), 3)
    expect_that('secret' not in text, 'hashes only')
    with open(os.path.join(s.dir, 'users.acl'), 'a') as f:
        f.write('user eve foo\n')
    expect(s.call('ACL', 'LOAD'), Error('ERR users.acl:4: Syntax error. WARNING: ACL errors detected, no change to the previously '
                                        'active ACL rules was performed'))
    expect(s.call('ACL', 'USERS'), [b'carol', b'dave', b'default'])
    s.stop()
    code, said = once(s.arguments(['--aclfile', 'nosuch.acl', '--dir', os.path.join(s.top, 'fresh')]))
    expect((code, 'nosuch.acl' in said), (1, True))


def the_same_on_all_nodes(run):
    t = Together(run).start()
    leader, follower = leader_and_follower(t)
    other = next(p for p in t.ports if p not in (leader, follower))
    with Wire(follower) as admin:
        admin.ok('ACL', 'SETUSER', 'bob', 'on', '>x', '+@all', '-config', '~a*')
        for port in t.ports:    # at once: a node that has not heard of it yet waits a moment
            with login(port, 'bob', 'x') as c:
                c.ok('SET', f'a{port}', 1)
                expect(c.call('SET', 'b', 1), NO_KEY)
                expect(c.call('CONFIG', 'GET', 'port'), no_command('config|get'))
                expect(c.call('ACL', 'WHOAMI'), b'bob')
                expect(c.call('AUTH', 'bob', 'y'), WRONG)
                c.ok('MULTI')
                expect(c.call('GET', 'b'), NO_KEY)
                expect(c.call('EXEC').split(' ')[0], 'EXECABORT')
        # The user changes on a connection whose way to the leader is open.
        c = Wire(follower)
        c.ok('SET', 'b', 1)
        c.ok('AUTH', 'bob', 'x')
        expect(c.call('SET', 'b', 2), NO_KEY)
        c.ok('AUTH', 'default', 'x')
        c.ok('SET', 'b', 3)
        # And in a transaction that went there.
        c.ok('MULTI')
        expect(c.call('AUTH', 'bob', 'x'), 'QUEUED')
        expect(c.call('EXEC'), ['OK'])
        c.expect_end()
        # Rights that change are new at once everywhere, and who is deleted goes.
        bobs = [login(port, 'bob', 'x') for port in t.ports]
        waiting = login(other, 'bob', 'x')
        waiting.command('BLPOP', 'alist', 0)
        listener = login(follower, 'bob', 'x')
        admin.ok('ACL', 'SETUSER', 'bob', '&news')
        expect(listener.call('SUBSCRIBE', 'news'), [b'subscribe', b'news', 1])
        admin.ok('ACL', 'SETUSER', 'bob', '+config', 'resetchannels')
        listener.expect_end()
        for c in bobs:
            expect(len(c.call('CONFIG', 'GET', 'port')), 2)
        expect(admin.call('ACL', 'DELUSER', 'bob'), 1)
        for c in bobs + [waiting]:
            c.expect_end()
        expect(Wire(other).call('AUTH', 'bob', 'x'), WRONG)
        # A password for everybody, and at once for who comes to the node that was told.
        for _ in range(20):
            admin.ok('CONFIG', 'SET', 'requirepass', '')
            expect(Wire(follower).call('GET', 'k'), None)
            admin.ok('CONFIG', 'SET', 'requirepass', 'secret')
            expect(admin.call('CONFIG', 'GET', 'requirepass'), [b'requirepass', b'secret'])
            with Wire(follower) as c:
                expect(c.call('GET', 'k'), NO_AUTH)
                c.ok('AUTH', 'secret')
                expect(c.call('GET', 'k'), None)
    for port in t.ports:
        wait_until(lambda: Wire(port).call('GET', 'k') == NO_AUTH, 'the password is needed everywhere')
        login(port, 'default', 'secret').close()
    login(leader, 'default', 'secret').call('CONFIG', 'SET', 'requirepass', '')
    for port in t.ports:
        wait_until(lambda: Wire(port).call('GET', 'k') != NO_AUTH, 'the password is not needed any more')


def who_joins_learns_of_users(run):
    """By a snapshot: from then on the cluster's users are there, and not those of its own configuration."""
    first = run.server('--requirepass', 'theirs')
    with login(first.port, 'default', 'theirs') as c:
        c.ok('ACL', 'SETUSER', 'bob', 'on', '>x', '+@all', '~a*')
        c.ok('SET', 'b', 1)
    second = run.server('--join', f'127.0.0.1:{first.port}', '--requirepass', 'own', start=False)
    second.spawn()

    def bob_is_there():
        try:
            with Wire(second.port) as c:
                return c.call('AUTH', 'bob', 'x') == 'OK'
        except OSError:
            return False
    wait_until(bob_is_there, 'the second node knows bob')
    with login(second.port, 'bob', 'x') as c:
        c.ok('SET', 'a', 1)
        expect(c.call('GET', 'b'), NO_KEY)
    with Wire(second.port) as c:
        expect(c.call('GET', 'b'), NO_AUTH)
        expect(c.call('AUTH', 'own'), WRONG)
        c.ok('AUTH', 'theirs')
        expect(c.call('GET', 'b'), b'1')


def users_survive_a_leader(run):
    t = Together(run).start()
    leader, follower = leader_and_follower(t)
    t.call(follower, 'ACL', 'SETUSER', 'bob', 'on', '>x', '+@all', '~a*')
    with login(follower, 'bob', 'x') as c:
        c.ok('SET', 'a', 1)
        os.kill(process_id(t, leader), signal.SIGKILL)
        left = [p for p in t.ports if p != leader]
        expect(c.call('GET', 'a'), b'1')    # the same connection, through another leader or at it
        expect(c.call('GET', 'b'), NO_KEY)
        for port in left:
            with login(port, 'bob', 'x') as d:
                d.ok('SET', 'a', 2)
                expect(d.call('SET', 'b', 1), NO_KEY)
    t.end(signal.SIGTERM, 1)


CASES = [users_outlive_the_process, no_password_is_written, order_in_a_pipeline, asked_again_at_exec,
         scripts_have_their_callers_rights, passwords_of_files, users_of_files, who_joins_learns_of_users,
         the_same_on_all_nodes, users_survive_a_leader]
