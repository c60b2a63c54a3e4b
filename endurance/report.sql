-- One row for each lock that a worker had on a job: from when to when (to now, where it has it still).
SELECT task.id,
       lock.worker,
       extract(epoch FROM lock.taken_at)::float8,
       extract(epoch FROM coalesce(lock.freed_at, clock_timestamp()))::float8,
       coalesce(lock.freed_by, 'held')
FROM locks AS lock
JOIN tasks AS task ON task.delayed_job_id = lock.job
ORDER BY lock.id;
