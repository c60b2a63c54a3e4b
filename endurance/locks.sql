-- A history of the queue's locks: each one that a worker took, and how it ended, on the database's
-- clock. The queue itself forgets a lock with its job.
CREATE TABLE locks (
    id       bigserial PRIMARY KEY,
    job      bigint NOT NULL,
    worker   text NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    freed_at timestamptz,
    freed_by text          -- done, failed, taken over (by another worker), given back
);
CREATE INDEX locks_job ON locks (job);

CREATE FUNCTION note_lock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.locked_by IS NOT DISTINCT FROM OLD.locked_by THEN
        RETURN NULL;
    END IF;
    UPDATE locks
    SET freed_at = clock_timestamp(),
        freed_by = CASE
            WHEN TG_OP = 'DELETE' THEN 'done'
            WHEN NEW.attempts > OLD.attempts THEN 'failed'
            WHEN NEW.locked_by IS NOT NULL THEN 'taken over'
            ELSE 'given back'
        END
    WHERE job = OLD.id AND freed_at IS NULL;
    IF TG_OP = 'UPDATE' AND NEW.locked_by IS NOT NULL THEN
        INSERT INTO locks (job, worker) VALUES (NEW.id, NEW.locked_by);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER note_lock AFTER UPDATE OR DELETE ON delayed_jobs
    FOR EACH ROW EXECUTE FUNCTION note_lock();
