-- The hot log: rows that are sealed, what they commit to, which ids are taken, and how far each
-- topic has been read. Written in one transaction, in this order of importance.
--
-- The role that owns these tables could drop the triggers; where that matters, let another role own
-- the schema and grant this one INSERT and SELECT (and DELETE on payload). Whoever changes a row
-- anyway is found out: the published tiles and the ledger hold its hash.
--
-- One plain table for now; partitions by range of sequence come with archiving, which moves whole
-- partitions out. Nothing here lists or counts the table.

CREATE TABLE record (
    sequence bigint PRIMARY KEY CHECK (sequence >= 0), -- leaf index: gapless from 0
    event_id uuid NOT NULL,
    type text NOT NULL,
    "timestamp" timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    correlation_id text NOT NULL, -- in this and the next columns U+FFFD stands for U+0000
    item_id text,
    decision_id text,
    record bytea NOT NULL,        -- canonical JSON: the entry that the tree holds
    audit_hash bytea NOT NULL     -- SHA-256(0x00 || record)
);
ALTER TABLE record ALTER COLUMN record SET STORAGE EXTERNAL;
ALTER TABLE record SET (toast_tuple_target = 8160);

-- What a record commits to. Apart from it, because it can be destroyed and the record cannot.
CREATE TABLE payload (
    sequence bigint PRIMARY KEY,
    salt bytea NOT NULL,
    parts bytea NOT NULL          -- zstd by us, so that it can be encrypted afterwards
);
ALTER TABLE payload ALTER COLUMN parts SET STORAGE EXTERNAL;
ALTER TABLE payload SET (toast_tuple_target = 8160);

-- Every event id there ever was. Never purged: a replay years later must find it.
CREATE TABLE event_key (
    event_id uuid PRIMARY KEY,
    content_digest bytea NOT NULL,
    sequence bigint NOT NULL
);

-- How far each partition is in the log. The truth; what Kafka is told is for lag displays.
CREATE TABLE source_offset (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log only grows: % on %.% is refused',
        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON record
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON event_key
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- A payload may be deleted (erasure, retention), never altered.
CREATE TRIGGER never_altered BEFORE UPDATE ON payload
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
