# Gives back the jobs that one dead worker still holds. Its name was never used by another process.
require 'active_record'

ActiveRecord::Base.establish_connection(ENV.fetch('DATABASE_URL'))
connection = ActiveRecord::Base.connection
name = connection.quote(ENV.fetch('DEAD_WORKER'))
count = connection.update(
  "UPDATE delayed_jobs SET locked_at = NULL, locked_by = NULL WHERE locked_by = #{name}"
)
puts "#{count} jobs of #{ENV.fetch('DEAD_WORKER')} given back"
