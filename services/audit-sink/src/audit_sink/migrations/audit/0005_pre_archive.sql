-- What is in cold storage: one row an archive, written only when all of it has been read back from
-- there and checked. Ranges follow one another from record 0 on. What a row points at is pinned by
-- version and SHA-256, so the store need not be believed.

CREATE TABLE archive (
    first_sequence bigint PRIMARY KEY CHECK (first_sequence % 256 = 0),
    end_sequence bigint NOT NULL UNIQUE CHECK (end_sequence % 256 = 0),
    root bytea NOT NULL,               -- of the tree of the first end_sequence records
    manifest_version text NOT NULL,
    manifest_digest bytea NOT NULL,    -- SHA-256
    pack_name text NOT NULL,
    pack_version text NOT NULL,
    pack_digest bytea NOT NULL,
    last_recorded_at timestamptz NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    payloads_dropped_at timestamptz,   -- when the payloads left the hot store
    CHECK (first_sequence < end_sequence)
);

CREATE INDEX archive_with_payloads ON archive (first_sequence) WHERE payloads_dropped_at IS NULL;
