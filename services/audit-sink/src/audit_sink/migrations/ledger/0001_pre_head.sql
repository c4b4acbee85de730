-- The heads of audit logs, in another database with another role than the logs themselves: the
-- second system, which remembers how far a log had got and under which root.

CREATE TABLE head (
    origin text PRIMARY KEY,
    size bigint NOT NULL CHECK (size >= 0),
    root bytea NOT NULL,
    checkpoint bytea NOT NULL,   -- the signed note: what step 4 publishes
    at timestamptz NOT NULL DEFAULT now()
);

-- Every head there ever was; all of them must lie on one history.
CREATE TABLE head_history (
    origin text NOT NULL,
    size bigint NOT NULL,
    root bytea NOT NULL,
    checkpoint bytea NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (origin, size)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger only grows: % on %.% is refused',
        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE FUNCTION refuse_shrinking() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.origin <> OLD.origin OR NEW.size <= OLD.size THEN
        RAISE EXCEPTION 'the head of % does not go from % to %', OLD.origin, OLD.size, NEW.size
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER only_grows BEFORE UPDATE ON head
    FOR EACH ROW EXECUTE FUNCTION refuse_shrinking();
CREATE TRIGGER never_removed BEFORE DELETE OR TRUNCATE ON head
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON head_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
