-- Accounts that administrators change on a page: a version to compare and set, who changed it last,
-- a password that can only be exchanged for one's own, and when somebody last came in.
ALTER TABLE account ADD COLUMN version integer NOT NULL DEFAULT 1;
ALTER TABLE account ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE account ADD COLUMN changed_by text;
ALTER TABLE account ADD COLUMN one_time boolean NOT NULL DEFAULT false;
ALTER TABLE account ADD COLUMN last_sign_in_at timestamptz;
CREATE INDEX account_by_person ON account (person_id);

-- Every policy that was ever in force; the highest ordinal is. A row without a person was read from
-- policy.toml. Texts are small and few.
CREATE TABLE policy (
    ordinal         integer PRIMARY KEY CHECK (ordinal > 0),
    version         text NOT NULL,                -- as it is in items and decisions
    digest          bytea NOT NULL,               -- SHA-256 of the text
    text            text NOT NULL,
    saved_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    person_id       uuid,
    actor_id        uuid,
    name            text,
    reason          text
);

-- Which policies the waiting items have been held against, and what came of it.
CREATE TABLE policy_sweep (
    ordinal         integer PRIMARY KEY,
    examined        integer NOT NULL,
    raised          integer NOT NULL,
    finished_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'PL002';
END
$$;
CREATE TRIGGER policy_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON policy
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The ordinal of the policy in force (0: none was ever stored), kept in force until the caller's
-- transaction ends: whoever saves one takes the same lock alone. plpgsql, because a second statement
-- sees what was committed while the lock was waited for; the snapshot of the caller's does not.
CREATE FUNCTION policy_in_force() RETURNS integer
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('review.policy', 0));
    RETURN (SELECT coalesce(max(ordinal), 0) FROM review.policy);
END
$$;
