# frozen_string_literal: true

# Puts tasks into the queue: bundle exec ruby enqueue.rb COUNT SHORTEST LONGEST [COUNT SHORTEST LONGEST ...]
# COUNT of them take between SHORTEST and LONGEST seconds, the same ones for the same arguments; those of
# several kinds come mixed. With PRIORITY=-1 in the environment they come before all others.
require_relative 'app'

random = Random.new(Integer(ARGV[0]))
lengths = ARGV.each_slice(3).flat_map do |count, shortest, longest|
  Array.new(Integer(count)) { random.rand(Float(shortest)..Float(longest)).round(2) }
end
priority = Integer(ENV.fetch('PRIORITY', '0'))

ActiveRecord::Base.transaction do
  lengths.shuffle(random: random).each do |seconds|
    task = Task.create!(seconds: seconds)
    job = Delayed::Job.enqueue(Work.new(task.id, task.seconds), priority: priority)
    task.update!(delayed_job_id: job.id)
  end
end
puts "#{lengths.size} tasks in the queue"
