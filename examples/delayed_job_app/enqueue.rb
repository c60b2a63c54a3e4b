# frozen_string_literal: true

# Puts tasks into the queue: bundle exec ruby enqueue.rb COUNT SHORTEST LONGEST
# Each takes between SHORTEST and LONGEST seconds, the same ones for the same arguments.
require_relative 'app'

count, shortest, longest = Integer(ARGV[0]), Float(ARGV[1]), Float(ARGV[2])
random = Random.new(count)

ActiveRecord::Base.transaction do
  count.times do
    task = Task.create!(seconds: random.rand(shortest..longest).round(2))
    task.update!(delayed_job_id: Delayed::Job.enqueue(Work.new(task.id, task.seconds)).id)
  end
end
puts "#{count} tasks in the queue"
