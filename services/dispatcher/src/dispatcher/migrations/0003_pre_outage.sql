-- What an outage of the whole target cost: attempts that spend no retries, and until when at least a
-- step waits for the target (its Retry-After). Null: it does not wait for the target.
ALTER TABLE write_back ADD COLUMN excused integer NOT NULL DEFAULT 0;
ALTER TABLE write_back ADD COLUMN held_until timestamptz;
CREATE INDEX write_back_held ON write_back (instance, next_attempt_at)
    WHERE held_until IS NOT NULL;
