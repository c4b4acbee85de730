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
COPY audit.payload (sequence, subject, salt, parts) FROM STDIN (FORMAT BINARY)

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

-- name: read_hashes
SELECT audit_hash FROM audit.record WHERE sequence >= %s AND sequence < %s ORDER BY sequence

-- name: read_records_at
SELECT sequence, record FROM audit.record WHERE sequence = ANY(%s) ORDER BY sequence

-- name: read_payloads
SELECT sequence, subject, salt, parts FROM audit.payload WHERE sequence = ANY(%s)

-- name: cover
-- PostgreSQL joins the ranges: a partition without holes is one range, however long.
INSERT INTO audit.covered (topic, partition, offsets)
SELECT topic, partition, offsets::int8multirange
FROM unnest(%s::text[], %s::integer[], %s::text[]) AS made (topic, partition, offsets)
ON CONFLICT (topic, partition) DO UPDATE SET offsets = audit.covered.offsets + excluded.offsets

-- name: find_uncovered
SELECT topic, partition, lower(hole), upper(hole)
FROM audit.covered,
     unnest(int8multirange(int8range(lower(offsets), upper(offsets))) - offsets) AS hole
ORDER BY topic, partition, lower(hole)

-- name: find_event
SELECT sequence FROM audit.event_key WHERE event_id = %s

-- name: find_named
-- The index, and behind its last row the records themselves, so that nothing sealed is missed.
WITH indexed AS (SELECT coalesce(max(sequence), -1) AS last FROM audit.search)
SELECT sequence FROM audit.search WHERE item_id = %(key)s
UNION SELECT sequence FROM audit.search WHERE decision_id = %(key)s
UNION SELECT sequence FROM audit.search WHERE correlation_id = %(key)s
UNION SELECT sequence FROM audit.record
      WHERE sequence > (SELECT last FROM indexed)
        AND (item_id = %(name)s OR decision_id = %(name)s OR correlation_id = %(name)s)
ORDER BY sequence

-- name: first_recorded
-- Sequence and time grow together, so this is a search by halves on the primary key.
WITH RECURSIVE halves (low, high) AS (
    SELECT 0::bigint, (SELECT coalesce(max(sequence) + 1, 0) FROM audit.record)
    UNION ALL
    SELECT CASE WHEN r.recorded_at < %(since)s THEN r.sequence + 1 ELSE h.low END,
           CASE WHEN r.recorded_at < %(since)s THEN h.high ELSE r.sequence END
    FROM halves h JOIN audit.record r ON r.sequence = (h.low + h.high) / 2
    WHERE h.low < h.high
)
SELECT low FROM halves WHERE low = high

-- name: search_end
SELECT coalesce(max(sequence) + 1, 0) FROM audit.search

-- name: read_to_index
SELECT r.sequence, r.recorded_at, r.record, p.subject, p.salt, p.parts
FROM audit.record r LEFT JOIN audit.payload p USING (sequence)
WHERE r.sequence >= %s AND r.sequence < %s
ORDER BY r.sequence

-- name: insert_search
INSERT INTO audit.search
    (sequence, recorded_at, type, item_id, decision_id, correlation_id, actor, subject, words)
SELECT sequence, recorded_at, type, item_id, decision_id, correlation_id, actor, subject,
       to_tsvector('simple', text)
FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::text[],
            %s::text[], %s::text[], %s::text[])
     AS made (sequence, recorded_at, type, item_id, decision_id, correlation_id, actor, subject,
              text)
ON CONFLICT (sequence) DO NOTHING

-- name: delete_payloads
DELETE FROM audit.payload WHERE sequence = ANY(%s)

-- name: find_forgotten
SELECT coalesce(max("position"), 0) FROM audit.forgotten

-- name: find_items_of
SELECT DISTINCT item_id FROM audit.search WHERE subject = ANY(%s) AND item_id IS NOT NULL

-- name: forget
-- Of these subjects only keys stay. In one statement: words, payloads, and how far the destructions
-- have been carried out.
WITH theirs AS (
    UPDATE audit.search SET words = to_tsvector('simple', type)
    WHERE subject = ANY(%(subjects)s)
    RETURNING sequence
), gone AS (
    DELETE FROM audit.payload WHERE sequence IN (SELECT sequence FROM theirs)
)
INSERT INTO audit.forgotten ("position") VALUES (%(position)s)
ON CONFLICT (one) DO UPDATE SET "position" = excluded."position"

-- name: search
SELECT s.sequence, r.record
FROM audit.search s JOIN audit.record r USING (sequence)
WHERE (%(item_id)s::text IS NULL OR s.item_id = %(item_id)s)
  AND (%(decision_id)s::text IS NULL OR s.decision_id = %(decision_id)s)
  AND (%(correlation_id)s::text IS NULL OR s.correlation_id = %(correlation_id)s)
  AND (%(actor)s::text IS NULL OR s.actor = %(actor)s)
  AND (%(type)s::text IS NULL OR s.type = %(type)s)
  AND (%(words)s::text IS NULL OR s.words @@ websearch_to_tsquery('simple', %(words)s))
  AND (%(since)s::timestamptz IS NULL OR s.recorded_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR s.recorded_at < %(until)s)
  AND (%(before)s::bigint IS NULL OR s.sequence < %(before)s)
ORDER BY s.sequence DESC
LIMIT %(limit)s

-- name: recorded_at
SELECT recorded_at FROM audit.record WHERE sequence = %s

-- name: find_head_at
SELECT size, root, at FROM ledger.head WHERE origin = %s

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

-- name: take_archive_lock
-- One archiver at a time, the process's loop or a person's command; freed with the session.
SELECT pg_try_advisory_lock(hashtextextended('placet.audit.archive', 0))

-- name: free_archive_lock
SELECT pg_advisory_unlock(hashtextextended('placet.audit.archive', 0))

-- name: last_archive
SELECT first_sequence, end_sequence, root, manifest_version, manifest_digest, pack_name,
       pack_version, pack_digest, last_recorded_at
FROM audit.archive ORDER BY first_sequence DESC LIMIT 1

-- name: archive_to_drop
-- The oldest whose payloads are in the hot store still, past the hot period, and indexed.
SELECT first_sequence, end_sequence, root, manifest_version, manifest_digest, pack_name,
       pack_version, pack_digest, last_recorded_at
FROM audit.archive
WHERE payloads_dropped_at IS NULL AND last_recorded_at < %s
  AND end_sequence <= (SELECT coalesce(max(sequence) + 1, 0) FROM audit.search)
ORDER BY first_sequence LIMIT 1

-- name: archive_of
SELECT first_sequence, end_sequence, root, manifest_version, manifest_digest, pack_name,
       pack_version, pack_digest, last_recorded_at
FROM audit.archive WHERE first_sequence <= %s ORDER BY first_sequence DESC LIMIT 1

-- name: insert_archive
INSERT INTO audit.archive
    (first_sequence, end_sequence, root, manifest_version, manifest_digest, pack_name,
     pack_version, pack_digest, last_recorded_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)

-- name: read_payload_rows
-- Every column there is, by its name: what a later release adds goes into the archive, too.
SELECT * FROM audit.payload WHERE sequence >= %s AND sequence < %s ORDER BY sequence

-- name: drop_payloads
WITH dropped AS (
    -- What is in clear stays: it was not archived, see cold/archive.
    DELETE FROM audit.payload
    WHERE sequence >= %(first)s AND sequence < %(end)s AND subject IS NOT NULL
    RETURNING sequence
), noted AS (
    UPDATE audit.archive SET payloads_dropped_at = clock_timestamp()
    WHERE first_sequence = %(first)s
)
SELECT count(*) FROM dropped

-- name: archive_status
SELECT count(*), coalesce(max(end_sequence), 0), max(archived_at), max(last_recorded_at),
       coalesce(sum(end_sequence - first_sequence) FILTER (WHERE payloads_dropped_at IS NOT NULL), 0)
FROM audit.archive

-- name: find_dropped
-- Of these records, those whose payload has left for the cold store, and where it is there.
SELECT wanted.sequence, a.pack_name, a.pack_version
FROM unnest(%s::bigint[]) AS wanted (sequence)
CROSS JOIN LATERAL (
    SELECT end_sequence, pack_name, pack_version, payloads_dropped_at
    FROM audit.archive WHERE first_sequence <= wanted.sequence
    ORDER BY first_sequence DESC LIMIT 1
) AS a
WHERE wanted.sequence < a.end_sequence AND a.payloads_dropped_at IS NOT NULL
