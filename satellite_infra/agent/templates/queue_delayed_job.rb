# Prints how many jobs could run now, and for how many seconds the oldest of them could.
# Those that a worker holds, that failed for good, or whose time has not come are none of them.
require 'time'
require 'active_record'

ActiveRecord::Base.establish_connection(ENV.fetch('DATABASE_URL'))
connection = ActiveRecord::Base.connection
now = Time.now.utc # of this host, as delayed_job itself compares it
due = connection.quote(now.strftime('%Y-%m-%d %H:%M:%S.%6N'))
depth, oldest = connection.select_rows(
  'SELECT COUNT(*), MIN(run_at) FROM delayed_jobs ' \
  "WHERE failed_at IS NULL AND locked_at IS NULL AND run_at <= #{due}"
).first
since = oldest.is_a?(String) ? Time.parse("#{oldest} UTC") : oldest # by the adapter
puts "#{depth} #{since ? (now - since).round(3) : 0}"
