-- Everything the app keeps. Safe to apply again: nothing is dropped.

CREATE TABLE IF NOT EXISTS delayed_jobs (           -- as delayed_job's own migration makes it
    id         bigserial PRIMARY KEY,
    priority   integer NOT NULL DEFAULT 0,
    attempts   integer NOT NULL DEFAULT 0,
    handler    text NOT NULL,
    last_error text,
    run_at     timestamp,
    locked_at  timestamp,
    failed_at  timestamp,
    locked_by  varchar,
    queue      varchar,
    created_at timestamp,
    updated_at timestamp
);
CREATE INDEX IF NOT EXISTS delayed_jobs_priority ON delayed_jobs (priority, run_at);

CREATE TABLE IF NOT EXISTS tasks (                  -- what was asked for
    id             bigserial PRIMARY KEY,
    seconds        double precision NOT NULL,
    delayed_job_id bigint
);

CREATE TABLE IF NOT EXISTS runs (                   -- what was done, one row for each attempt
    id          bigserial PRIMARY KEY,
    task        bigint NOT NULL,
    worker      text NOT NULL,
    host        text NOT NULL,
    pid         integer NOT NULL,
    revision    text NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    alive_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz
);
CREATE INDEX IF NOT EXISTS runs_task ON runs (task);
