# frozen_string_literal: true

# What web process and workers share: the database connection, the queue's settings, the job.
require 'logger'
require 'socket'
require 'active_record'
require 'delayed_job_active_record'

REVISION = begin
  File.read(File.join(__dir__, 'REVISION')).strip
rescue Errno::ENOENT
  'unknown'
end

ActiveRecord::Base.establish_connection(ENV.fetch('DATABASE_URL'))

Delayed::Worker.logger = Logger.new($stdout, progname: 'delayed_job')
Delayed::Worker.sleep_delay = 1             # seconds to wait when the queue is empty
Delayed::Worker.read_ahead = 5
Delayed::Worker.max_attempts = 5
Delayed::Worker.max_run_time = 600          # seconds; a lock that nobody frees lasts as long
Delayed::Worker.destroy_failed_jobs = false # what failed for good stays to be seen

# A piece of work that somebody asked for. `delayed_job_id` ties it to its entry in the queue.
class Task < ActiveRecord::Base
end

# One attempt at a task: written when it starts, kept alive while it runs, closed when it is done.
# A run without `finished_at` is under way or was cut off; `alive_at`: when it was last seen at work.
class Run < ActiveRecord::Base
  # The database's clock, because the hosts' clocks differ.
  def touch_now(*columns)
    assignments = columns.map { |column| "#{column} = clock_timestamp()" }.join(', ')
    self.class.where(id: id).update_all(assignments)
  end
end

# The job: works for `seconds`, and leaves a record that shows whether it ran once, twice, or twice
# at the same time.
Work = Struct.new(:number, :seconds) do
  const_set(:HEARTBEAT, 0.2)

  def perform
    run = Run.create!(task: number, worker: ENV.fetch('WORKER_NAME', 'unnamed'),
                      host: Socket.gethostname, pid: Process.pid, revision: REVISION)
    work { run.touch_now(:alive_at) }
    run.touch_now(:alive_at, :finished_at)
  end

  private

  def work
    rest = seconds.to_f
    while rest.positive?
      nap = [rest, self.class::HEARTBEAT].min
      sleep nap
      rest -= nap
      yield
    end
  end
end
