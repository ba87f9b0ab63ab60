# Sidekiq 6.4: one process that works, one that puts jobs in: now, later, in bulk; retries, the dead, statistics.
#
# When the leader dies no job is lost, but for what Sidekiq itself cannot hold: it takes a job with BRPOP, so one that was
# popped and never heard of is gone, with any server; that is at most one for each thread that was just asking.
require_relative 'resident'
ENV['RESIDENT_URL'] = URL
require_relative 'sidekiq_jobs'
require 'sidekiq/api'
Sidekiq.logger.level = Logger::FATAL

THREADS = 3

def with_worker
  pid = Process.spawn({ 'RESIDENT_URL' => URL }, 'sidekiq', '-r', File.join(__dir__, 'sidekiq_jobs.rb'), '-c', THREADS.to_s,
                      '-q', 'default', '-q', 'low', out: :err)
  yield
ensure
  Process.kill('TERM', pid)
  Process.wait(pid)
end

def finished
  Sidekiq.redis { |r| r.smembers('done') }.map(&:to_i)
rescue Redis::BaseError
  []
end

TESTS = {
  'jobs' => lambda {
    with_worker do
      20.times { |n| Note.perform_async(n) }
      Sidekiq::Client.push_bulk('class' => Note, 'args' => (20...60).map { |n| [n] })
      Note.perform_in(0.5, 60)
      Stubborn.perform_async
      Hopeless.perform_async
      wait_until('61 jobs') { finished.sort == (0..60).to_a }
      wait_until('the stubborn one') { Sidekiq.redis { |r| r.get('stubborn') } == 'at last' }
      equal Sidekiq::ProcessSet.new.map { |p| p['concurrency'] }, [THREADS]
      equal Sidekiq::Queue.new('default').size, 0
      Note.perform_in(1000, 99)
      equal Sidekiq::ScheduledSet.new.map(&:args), [[99]]
      Sidekiq::ScheduledSet.new.clear
    end
    stats = Sidekiq::Stats.new
    equal [stats.processed, stats.failed, stats.enqueued, stats.scheduled_size, stats.retry_size], [64, 2, 0, 0, 0]
  }
}.freeze

WHEN_LEADER_DIES = {
  'no job is lost' => lambda {
    with_worker do
      sent = []
      refused = 0
      over = false
      producer = Thread.new do
        n = 0
        until over
          n += 1
          begin
            Note.perform_async(n)
            sent << n
          rescue Redis::BaseError => e
            refused += 1
            warn "a producer was told #{e.class} #{e.message}"
          end
          sleep 0.005
        end
      end
      wait_until('work under way') { finished.size > 50 }
      ask('kill')
      before = finished.size
      wait_until('work under way again') { finished.size > before + 50 }
      over = true
      producer.join
      wait_until('an empty queue') { Sidekiq::Queue.new('default').size.zero? && Sidekiq::RetrySet.new.size.zero? }
      sleep 0.5
      lost = sent - finished
      puts "# #{sent.size} jobs sent, #{refused} refused, #{lost.size} lost"
      check lost.size <= THREADS, "#{lost.size} jobs of #{sent.size} are lost"
    end
  }
}.freeze

run_tests(ARGV[2] == 'failover' ? WHEN_LEADER_DIES : TESTS)
