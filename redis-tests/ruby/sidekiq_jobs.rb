# The jobs of the Sidekiq resident; the worker process loads this, the producer too.
require 'sidekiq'

redis = { url: ENV.fetch('RESIDENT_URL') }
Sidekiq.configure_server do |config|
  config.redis = redis
  config.options[:poll_interval_average] = 0.3 # without it the first look at what is due comes after ten seconds
end
Sidekiq.configure_client { |config| config.redis = redis }

class Note
  include Sidekiq::Worker
  def perform(number)
    sleep 0.01
    Sidekiq.redis { |r| r.sadd('done', number) }
  end
end

class Stubborn
  include Sidekiq::Worker
  sidekiq_options retry: 3, queue: 'low'
  sidekiq_retry_in { 1 }
  def perform
    tries = Sidekiq.redis { |r| r.incr('tries') }
    raise 'not yet' if tries < 2

    Sidekiq.redis { |r| r.set('stubborn', 'at last') }
  end
end

class Hopeless
  include Sidekiq::Worker
  sidekiq_options retry: 0
  def perform
    raise 'as it should'
  end
end
