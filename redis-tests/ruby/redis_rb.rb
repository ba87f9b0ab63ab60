# redis-rb 4.8 from Debian: commands, pipelines, transactions, scripts, subscriptions, streams.
require_relative 'resident'

def redis(**options)
  Redis.new(host: HOST, port: PORT, **options)
end

TESTS = {
  'commands' => lambda {
    r = redis
    equal r.set('s', 'v', ex: 100, nx: true), true
    equal r.set('s', 'w', nx: true), false
    equal r.get('s'), 'v'
    check r.ttl('s') > 90
    equal r.incrby('n', 5), 5
    equal r.mapped_mget('s', 'none'), { 's' => 'v', 'none' => nil }
    equal r.hset('h', { 'a' => 1, 'b' => 'two' }), 2
    equal r.hgetall('h'), { 'a' => '1', 'b' => 'two' }
    equal r.rpush('l', %w[a b c]), 3
    equal r.lrange('l', 0, -1), %w[a b c]
    equal r.sadd('set', %w[x y]), 2
    equal r.smembers('set').sort, %w[x y]
    equal r.zadd('z', [[1, 'one'], [2.5, 'two']]), 2
    equal r.zrange('z', 0, -1, with_scores: true), [['one', 1.0], ['two', 2.5]]
    equal r.zscore('z', 'none'), nil
    raises(Redis::CommandError, 'WRONGTYPE') { r.incr('l') }
    100.times { |i| r.set("k:#{i}", i) }
    equal r.scan_each(match: 'k:*').to_a.uniq.size, 100
    equal r.object('encoding', 'n'), 'int'
    check r.info['redis_version'].start_with?('7.0')
  },
  'binary' => lambda {
    r = redis
    bytes = (0..255).to_a.pack('C*')
    r.set(bytes, bytes)
    equal r.get(bytes).b, bytes
    large = "x\r\n$" * (1 << 19)
    r.set('large', large)
    equal r.get('large').b, large.b
  },
  'pipelines and transactions' => lambda {
    r = redis
    got = r.pipelined { |p| 1000.times { p.incr('n'); p.get('n') } }
    equal got, (1..1000).flat_map { |i| [i, i.to_s] }
    equal r.multi { |m| m.set('a', 'x'); m.get('a') }, %w[OK x]
    other = redis
    r.watch('a') do
      other.set('a', 'changed')
      equal(r.multi { |m| m.set('a', 'mine') }, nil)
    end
    r.watch('a') { equal(r.multi { |m| m.set('a', 'mine') }, ['OK']) }
    raises(Redis::CommandError, 'WRONGTYPE') { r.multi { |m| m.incr('n'); m.lpush('n', 1) } }
    equal r.get('n'), '1001'
  },
  'blocking' => lambda {
    r = redis
    popped = Thread.new { redis.blpop('l1', 'l2', timeout: 10) }
    wait_until_blocked(1)
    r.rpush('l2', 'v')
    equal popped.value, %w[l2 v]
    equal r.brpop('none', timeout: 0.05), nil
    moved = Thread.new { redis.blmove('from', 'to', 'LEFT', 'RIGHT', timeout: 10) }
    wait_until_blocked(1)
    r.rpush('from', 'w')
    equal moved.value, 'w'
  },
  'scripts' => lambda {
    r = redis
    equal r.eval('return {KEYS[1], ARGV[1], 3, {false}}', ['k'], ['a']), ['k', 'a', 3, [nil]]
    sha = r.script(:load, "return redis.call('incrby', KEYS[1], ARGV[1])")
    equal r.evalsha(sha, ['n'], [7]), 7
    equal r.script(:exists, [sha, 'f' * 40]), [true, false]
    raises(Redis::CommandError, 'NOSCRIPT') { r.evalsha('f' * 40) }
    equal r.multi { |m| m.evalsha(sha, ['n'], [1]); m.get('n') }, [8, '8']
  },
  'publish and subscribe' => lambda {
    heard = Queue.new
    ready = Queue.new
    listener = Thread.new do
      redis.psubscribe('n*') do |on|
        on.psubscribe { |*| ready << true }
        on.pmessage do |pattern, channel, message|
          heard << [pattern, channel, message]
        end
      end
    end
    subscriber = Thread.new do
      sub = redis
      sub.subscribe('news', 'weather') do |on|
        on.subscribe { |*| ready << true }
        on.message do |channel, message|
          heard << [channel, message]
          sub.unsubscribe if message == 'end'
        end
      end
    end
    3.times { ready.pop }
    r = redis
    equal r.publish('news', 'one'), 2
    equal [heard.pop, heard.pop].sort, [['n*', 'news', 'one'], %w[news one]]
    equal r.publish('weather', 'end'), 1
    equal heard.pop, %w[weather end]
    subscriber.join
    wait_until('nobody') { r.publish('weather', 'nobody').zero? }
    listener.kill
  },
  'streams' => lambda {
    r = redis
    id = r.xadd('s', { 'f' => 'v' })
    r.xgroup(:create, 's', 'g', '0')
    equal r.xreadgroup('g', 'me', 's', '>'), { 's' => [[id, { 'f' => 'v' }]] }
    equal r.xpending('s', 'g')['size'], 1
    equal r.xack('s', 'g', id), 1
    read = Thread.new { redis.xread('s', '$', block: 10_000) }
    wait_until_blocked(1)
    second = r.xadd('s', { 'f' => 'w' })
    equal read.value, { 's' => [[second, { 'f' => 'w' }]] }
  },
  'it connects again' => lambda {
    r = redis(db: 3, id: 'resident')
    r.set('k', 'v')
    redis.client(:kill, 'ID', r.call(%w[CLIENT ID]))
    equal r.get('k'), 'v'
    equal redis.get('k'), nil
  }
}.freeze

run_tests(TESTS)
