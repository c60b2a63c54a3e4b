# frozen_string_literal: true

# One worker in the foreground. SIGTERM lets the job at hand finish; then it ends with status 0.
require_relative 'app'

$stdout.sync = true

worker = Delayed::Worker.new
# delayed_job gives a worker back the jobs that are locked by its own name. WORKER_NAME is new at
# every start, so that an old and a new process never share one, and it is noted on the host, so
# that a killed worker's jobs can be freed.
worker.name = ENV['WORKER_NAME'] if ENV['WORKER_NAME']
worker.start
