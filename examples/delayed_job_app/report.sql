-- One row for each run of each task, one for a task without runs, all from one snapshot.
-- queued: the task still has an entry in the queue that has not failed for good.
SELECT task.id,
       job.id IS NOT NULL AND job.failed_at IS NULL AS queued,
       run.worker,
       run.host,
       run.revision,
       extract(epoch FROM run.started_at)::float8,
       extract(epoch FROM coalesce(run.finished_at, run.alive_at))::float8,
       run.finished_at IS NOT NULL
FROM tasks AS task
LEFT JOIN delayed_jobs AS job ON job.id = task.delayed_job_id
LEFT JOIN runs AS run ON run.task = task.id
ORDER BY task.id, run.id;
