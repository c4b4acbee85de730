-- Every statement of the audit sink, by name. Tables are always qualified, columns always listed,
-- so that this release and the next can run on one schema.

-- name: take_sequencer_lock
-- Held by the session: PostgreSQL frees it when the process is gone, whatever way it went.
SELECT pg_advisory_lock(hashtextextended('placet.audit.sequencer', 0))

-- name: next_place
SELECT coalesce(max(sequence) + 1, 0), clock_timestamp() FROM audit.record

-- name: find_event_keys
SELECT event_id::text, content_digest FROM audit.event_key WHERE event_id = ANY(%s::uuid[])

-- name: copy_records
-- The primary key is the fence: a second sequencer draws the same numbers and fails here.
COPY audit.record
    (sequence, event_id, type, "timestamp", recorded_at, correlation_id, item_id, decision_id,
     record, audit_hash)
FROM STDIN (FORMAT BINARY)

-- name: copy_payloads
COPY audit.payload (sequence, salt, parts) FROM STDIN (FORMAT BINARY)

-- name: copy_event_keys
COPY audit.event_key (event_id, content_digest, sequence) FROM STDIN (FORMAT BINARY)

-- name: move_source_offsets
INSERT INTO audit.source_offset (topic, partition, next_offset)
SELECT topic, partition, next_offset
FROM unnest(%s::text[], %s::integer[], %s::bigint[]) AS moved (topic, partition, next_offset)
ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset

-- name: find_source_offsets
SELECT topic, partition, next_offset FROM audit.source_offset

-- name: log_size
SELECT coalesce(max(sequence) + 1, 0) FROM audit.record

-- name: read_records
SELECT sequence, record, audit_hash FROM audit.record
WHERE sequence >= %s AND sequence < %s
ORDER BY sequence

-- name: find_head
SELECT size, root, checkpoint FROM ledger.head WHERE origin = %s

-- name: create_head
WITH created AS (
    INSERT INTO ledger.head (origin, size, root, checkpoint)
    VALUES (%(origin)s, %(size)s, %(root)s, %(checkpoint)s)
    ON CONFLICT (origin) DO NOTHING
    RETURNING origin, size, root, checkpoint, at
)
INSERT INTO ledger.head_history (origin, size, root, checkpoint, at)
SELECT origin, size, root, checkpoint, at FROM created
RETURNING size

-- name: move_head
-- Compare and swap: whoever does not stand where the log stood last moves nothing.
WITH moved AS (
    UPDATE ledger.head
    SET size = %(size)s, root = %(root)s, checkpoint = %(checkpoint)s, at = now()
    WHERE origin = %(origin)s AND size = %(old_size)s AND root = %(old_root)s
    RETURNING origin, size, root, checkpoint, at
)
INSERT INTO ledger.head_history (origin, size, root, checkpoint, at)
SELECT origin, size, root, checkpoint, at FROM moved
RETURNING size

-- name: find_head_history
SELECT size, root FROM ledger.head_history WHERE origin = %s ORDER BY size
