# What the Ruby residents share: `tests` maps names to blocks, each run on an emptied server; a line for each result.
require 'redis'
require 'timeout'

HOST = ARGV[0]
PORT = ARGV[1].to_i
URL = "redis://#{HOST}:#{PORT}/0".freeze
PATIENCE_S = 30
$stdout.sync = true

def check(condition, what = 'it does not hold')
  raise what unless condition
end

def equal(got, expected)
  raise "got #{got.inspect}, expected #{expected.inspect}" unless got == expected
end

def raises(kind, text)
  yield
rescue kind => e
  raise "error #{e.message.inspect}, expected #{text.inspect}" unless e.message.start_with?(text)
else
  raise "no error #{text.inspect}"
end

# Waits until the block holds, and gives what it gave.
def wait_until(what)
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + PATIENCE_S
  loop do
    got = yield
    return got if got
    raise "not seen within #{PATIENCE_S} s: #{what}" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
    sleep 0.02
  end
end

# Where there are several nodes, clients wait at the leader.
def wait_until_blocked(count)
  leader = Redis.new(host: HOST, port: (ENV['LEADER_PORT'] || PORT).to_i)
  wait_until("#{count} blocked") { leader.info('clients')['blocked_clients'].to_i == count }
  leader.close
end

# Something only the one who started us can do, such as `kill`: returns when it is done.
def ask(word)
  puts "? #{word}"
  $stdin.gets
end

def run_tests(tests)
  failed = 0
  tests.each do |name, test|
    Redis.new(host: HOST, port: PORT).flushall
    Timeout.timeout(2 * PATIENCE_S) { test.call }
    puts "ok #{name}"
  rescue StandardError => e
    failed = 1
    puts "not ok #{name}: #{e.class} #{e.message.tr("\n", ' ')} | #{(e.backtrace || []).first(4).join(' | ')}"
  end
  exit failed
end
