# Gives back the jobs that dead workers still hold. No other process ever had their names.
# A name with a dot at its end is what all names of a dead machine begin with.
require 'active_record'

ActiveRecord::Base.establish_connection(ENV.fetch('DATABASE_URL'))
connection = ActiveRecord::Base.connection
machines, workers = ENV.fetch('DEAD_WORKERS').split("\n").partition { |name| name.end_with?('.') }
held = machines.map { |m| "substr(locked_by, 1, #{m.length}) = #{connection.quote(m)}" }
held << "locked_by IN (#{workers.map { |name| connection.quote(name) }.join(', ')})" if workers.any?
count = connection.update(
  "UPDATE delayed_jobs SET locked_at = NULL, locked_by = NULL WHERE #{held.join(' OR ')}"
)
puts "#{count} jobs of #{(machines.map { |m| "#{m}*" } + workers).join(', ')} given back"
