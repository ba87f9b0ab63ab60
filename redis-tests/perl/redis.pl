#!/usr/bin/perl
# Perl's Redis from Debian: commands, pipelines, transactions, scripts, subscriptions, binary values.
use strict;
use warnings;
use Redis;
use Time::HiRes qw(sleep time);

my ($host, $port) = @ARGV;
my $server = "$host:$port";
$| = 1;

sub connected { return Redis->new(server => $server, reconnect => 10, every => 100_000, @_) }

sub text {
    my ($value) = @_;
    return 'undef' unless defined $value;
    return '[' . join(',', map { text($_) } @$value) . ']' if ref $value;
    return $value;
}

sub equal {
    my ($got, $expected) = @_;
    die 'got ' . text($got) . ', expected ' . text($expected) . "\n" if text($got) ne text($expected);
}

sub raises {
    my ($pattern, $call) = @_;
    eval { $call->(); 1 } and die "no error $pattern\n";
    $@ =~ $pattern or die "error $@, expected $pattern\n";
}

sub wait_until {
    my ($what, $condition) = @_;
    my $deadline = time + 30;
    until ($condition->()) {
        die "not seen: $what\n" if time > $deadline;
        sleep 0.02;
    }
}

sub wait_until_blocked {
    my $leader = Redis->new(server => "$host:" . ($ENV{LEADER_PORT} || $port));
    wait_until('it waits', sub { $leader->info('clients')->{blocked_clients} == 1 });
}

# Another process that does one thing; what it returns when it has ended.
sub another {
    my ($work) = @_;
    pipe(my $in, my $out) or die;
    my $pid = fork;
    if (!$pid) {
        print {$out} text($work->(connected()));
        close $out;
        require POSIX;
        POSIX::_exit(0);
    }
    close $out;
    return sub { my $got = do { local $/; <$in> }; waitpid $pid, 0; return $got };
}

my @tests = (
    'commands' => sub {
        my $r = connected();
        equal($r->set('s', 'v', 'EX', 100, 'NX'), 'OK');
        equal($r->get('s'), 'v');
        equal($r->get('none'), undef);
        equal([$r->mget('s', 'none')], ['v', undef]);
        equal($r->incrby('n', 5), 5);
        equal($r->hset('h', 'a', 1), 1);
        equal({ $r->hgetall('h') }->{a}, 1);
        equal($r->rpush('l', 'a', 'b', 'c'), 3);
        equal([$r->lrange('l', 0, -1)], [qw(a b c)]);
        equal($r->sadd('set', 'x'), 1);
        equal($r->zadd('z', 2.5, 'two'), 1);
        equal([$r->zrange('z', 0, -1, 'WITHSCORES')], ['two', '2.5']);
        raises(qr/WRONGTYPE/, sub { $r->incr('l') });
        equal([sort $r->keys('*')], [qw(h l n s set z)]);
        equal($r->info->{redis_version} =~ /^7\.0/ ? 1 : 0, 1);
    },
    'binary' => sub {
        my $r = connected();
        my $bytes = join '', map { chr } 0 .. 255;
        $r->set($bytes, $bytes);
        equal($r->get($bytes), $bytes);
        my $large = "x\r\n\$" x (1 << 19);
        $r->set('large', $large);
        equal($r->get('large') eq $large ? 1 : 0, 1);
    },
    'pipelines and transactions' => sub {
        my $r = connected();
        my @got;
        $r->incr('n', sub { push @got, $_[0] }) for 1 .. 1000;
        $r->wait_all_responses;
        equal(\@got, [1 .. 1000]);
        $r->multi;
        $r->set('a', 'x');
        $r->get('a');
        equal([$r->exec], ['OK', 'x']);
        $r->watch('a');
        connected()->set('a', 'changed');
        $r->multi;
        $r->set('a', 'mine');
        my @answer = $r->exec;
        equal(scalar(grep { defined } @answer), 0);
        equal($r->get('a'), 'changed');
    },
    'blocking' => sub {
        my $other = another(sub { [$_[0]->blpop('l1', 'l2', 10)] });
        wait_until_blocked();
        connected()->rpush('l2', 'v');
        equal($other->(), '[l2,v]');
    },
    'scripts' => sub {
        my $r = connected();
        equal([$r->eval('return {KEYS[1], ARGV[1], 3}', 1, 'k', 'a')], ['k', 'a', 3]);
        my ($sha) = $r->script_load("return redis.call('incrby', KEYS[1], ARGV[1])");
        $sha = $sha->[0] if ref $sha;
        equal($r->evalsha($sha, 1, 'n', 7), 7);
        raises(qr/NOSCRIPT/, sub { $r->evalsha('f' x 40, 0) });
    },
    'publish and subscribe' => sub {
        my $other = another(sub {
            my ($r) = @_;
            my (%heard, $deadline);
            $r->subscribe('news', sub { $heard{"$_[1] $_[0]"} = 1 });
            $r->psubscribe('w*', sub { $heard{"$_[2] $_[1] $_[0]"} = 1 });
            $deadline = time + 20;
            $r->wait_for_messages(0.05) while keys %heard < 2 && time < $deadline;
            return [sort keys %heard];
        });
        my $r = connected();
        wait_until('both', sub { $r->pubsub('numpat') == 1 && { $r->pubsub('numsub', 'news') }->{news} == 1 });
        equal([$r->publish('news', 'one'), $r->publish('weather', 'two')], [1, 1]);
        # What arrived in one piece with the reply to PSUBSCRIBE, this client looks at when more comes: so more comes.
        wait_until('its end', sub { sleep 0.2; $r->publish('news', 'one') + $r->publish('weather', 'two') == 0 });
        equal($other->(), '[news one,w* weather two]');
    },
    'streams' => sub {
        my $r = connected();
        my $id = $r->xadd('s', '*', 'f', 'v');
        equal($r->xgroup('CREATE', 's', 'g', 0), 'OK');
        equal([$r->xreadgroup('GROUP', 'g', 'me', 'STREAMS', 's', '>')], [['s', [[$id, ['f', 'v']]]]]);
        equal($r->xack('s', 'g', $id), 1);
    },
    'it connects again' => sub {
        my $r = connected(name => 'resident');
        connected()->client_kill($_) for map { /addr=(\S+).*name=resident/ ? $1 : () } split /\n/, connected()->client_list;
        equal($r->set('k', 'v'), 'OK');
        equal($r->get('k'), 'v');
    },
);

my $failed = 0;
while (my ($name, $test) = splice @tests, 0, 2) {
    connected()->flushall;
    if (eval { local $SIG{ALRM} = sub { die "hangs\n" }; alarm 60; $test->(); alarm 0; 1 }) {
        print "ok $name\n";
    } else {
        alarm 0;
        (my $why = $@) =~ s/\n/ | /g;
        print "not ok $name: $why\n";
        $failed = 1;
    }
}
exit $failed;
