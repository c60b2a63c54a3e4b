# Gives back the jobs that dead workers still hold. No other process ever had their names.
# A name with a dot at its end is what all names of a dead machine begin with.
WAIT = 3 # seconds; then it is tried again, and others have their turn before
require 'active_record'

ActiveRecord::Base.establish_connection(ENV.fetch('DATABASE_URL'))
connection = ActiveRecord::Base.connection
machines, workers = ENV.fetch('DEAD_WORKERS').split("\n").partition { |name| name.end_with?('.') }
held = machines.map { |m| "substr(locked_by, 1, #{m.length}) = #{connection.quote(m)}" }
held << "locked_by IN (#{workers.map { |name| connection.quote(name) }.join(', ')})" if workers.any?
give_back = "UPDATE delayed_jobs SET locked_at = NULL, locked_by = NULL WHERE #{held.join(' OR ')}"
pg = connection.adapter_name.start_with?('Post') # PostgreSQL, PostGIS
# It goes on with the statement of a worker that was killed, which may take a job only now; not with
# a transaction that waits for its client. Of other logins, which no dead worker has, it tells less.
writing = <<~SQL
  SELECT virtualtransaction, pid FROM pg_locks JOIN pg_stat_activity USING (pid)
  WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND relation = 'delayed_jobs'::regclass AND mode = 'RowExclusiveLock'
  AND pid <> pg_backend_pid() AND usename = session_user AND state NOT LIKE 'idle in transaction%'
SQL
# before the first turn: what ends while that lasts may have taken a job that it did not see
found = left = pg ? connection.select_rows(writing) : []
count = connection.update(give_back)
began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
until left.empty? || (left &= connection.select_rows(writing)).empty?
  if Process.clock_gettime(Process::CLOCK_MONOTONIC) - began > WAIT
    abort 'PostgreSQL still runs statements that may take a job for them only now, in its ' \
          "processes #{left.map(&:last).join(', ')}"
  end
  sleep 0.1
end
count += connection.update(give_back) if found.any?
puts "#{count} jobs of #{(machines.map { |m| "#{m}*" } + workers).join(', ')} given back"
