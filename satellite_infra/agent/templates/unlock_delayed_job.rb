# Gives back the jobs that dead workers still hold. No other process ever had their names.
require 'active_record'

ActiveRecord::Base.establish_connection(ENV.fetch('DATABASE_URL'))
connection = ActiveRecord::Base.connection
dead = ENV.fetch('DEAD_WORKERS').split("\n")
names = dead.map { |name| connection.quote(name) }.join(', ')
count = connection.update(
  "UPDATE delayed_jobs SET locked_at = NULL, locked_by = NULL WHERE locked_by IN (#{names})"
)
puts "#{count} jobs of #{dead.size} dead workers given back"
