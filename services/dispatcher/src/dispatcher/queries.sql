-- The dispatcher's SQL, by name (see ledger.py). Times are PostgreSQL's. Rows come in as one JSON
-- document, because that is one parameter and one plan however many rows there are.
--
-- Locks are taken in this order everywhere: record_order rows by identifier, then write_back rows
-- that are not ready. Whoever works on a ready row locks it first (claim, take_back_rows), and may
-- then take record_order. A take-back of a row that another's closing is about to release can so
-- deadlock; PostgreSQL ends one of the two, and both are repeated.

-- name: lock_instance
-- One dispatcher works for an instance; the lock goes with the session.
SELECT pg_try_advisory_lock(hashtextextended(%(name)s, 0))

-- name: open_records
INSERT INTO dispatch.record_order (instance, identifier)
SELECT DISTINCT %(instance)s, i.identifier
  FROM json_to_recordset(%(rows)s::json) AS i (identifier text)
 ORDER BY i.identifier
    ON CONFLICT DO NOTHING

-- name: lock_records
SELECT identifier
  FROM dispatch.record_order
 WHERE instance = %(instance)s
   -- An array, not a join: without hash joins a join compares every record with every row.
   AND identifier = ANY (ARRAY(
       SELECT i.identifier FROM json_to_recordset(%(rows)s::json) AS i (identifier text)))
 ORDER BY identifier
   FOR UPDATE

-- name: accept
-- Needs lock_records in an earlier statement of the transaction, so that `closed` is the truth.
-- A row that is not inserted is a duplicate, or its key or ordinal belongs to something else.
WITH input AS MATERIALIZED (
    SELECT i.*, r.closed, t.taken
      FROM json_to_recordset(%(rows)s::json)
           AS i (write_back_id uuid, identifier text, ordinal bigint, step text, "position" smallint,
                 decision_id uuid, item_id uuid, revision integer, correlation_id text,
                 digest text, not_before timestamptz, reason_code text, reason text,
                 statement text)
      JOIN dispatch.record_order r ON r.instance = %(instance)s AND r.identifier = i.identifier
      LEFT JOIN dispatch.take_back t
        ON t.instance = %(instance)s AND t.identifier = i.identifier AND t.ordinal = i.ordinal
), inserted AS (
    INSERT INTO dispatch.write_back (
        write_back_id, instance, identifier, ordinal, step, "position", decision_id, item_id,
        revision, correlation_id, statement_digest, not_before, state, transition, ready,
        next_attempt_at, reason_code, reason, closed_at)
    SELECT write_back_id, %(instance)s, identifier, ordinal, step, "position", decision_id, item_id,
           revision, correlation_id, decode(digest, 'hex'), not_before, state, transition,
           state = 'WAITING' AND ordinal = closed + 1 AND "position" = 0,
           CASE WHEN state = 'WAITING' THEN greatest(not_before, now()) END,
           CASE WHEN state = 'CANCELLED' THEN 'TAKEN_BACK' ELSE reason_code END,
           reason,
           CASE WHEN state <> 'WAITING' THEN now() END
      FROM input,
           LATERAL (SELECT CASE WHEN taken IS NOT NULL THEN 'CANCELLED'
                                WHEN reason_code IS NOT NULL THEN 'REFUSED'
                                ELSE 'WAITING' END AS state) s,
           LATERAL (SELECT CASE WHEN state = 'WAITING' THEN 0 ELSE 1 END AS transition) n
     WHERE (ordinal > closed OR taken IS NOT NULL)
       AND (taken IS NULL OR taken = decision_id)
     ORDER BY identifier, ordinal, "position"
        ON CONFLICT DO NOTHING
    RETURNING write_back_id, state
), planned AS (
    INSERT INTO dispatch.plan (write_back_id, statement)
    SELECT DISTINCT ON (write_back_id) write_back_id, i.statement
      FROM inserted JOIN input i USING (write_back_id)
     WHERE inserted.state = 'WAITING'
)
SELECT write_back_id::text, state FROM inserted

-- name: known
SELECT write_back_id::text, statement_digest, ordinal, decision_id::text
  FROM dispatch.write_back
 WHERE write_back_id = ANY (%(ids)s::uuid[])

-- name: take_back_rows
-- The steps a TAKE_BACK is about. Waits for the worker where it is working on one.
SELECT write_back_id::text, decision_id::text, state, transition, attempts, reason_code
  FROM dispatch.write_back
 WHERE instance = %(instance)s AND identifier = %(identifier)s AND ordinal = %(ordinal)s
 ORDER BY "position"
   FOR UPDATE

-- name: take_back
INSERT INTO dispatch.take_back (decision_id, instance, identifier, ordinal, taken, statement_digest)
VALUES (%(decision_id)s, %(instance)s, %(identifier)s, %(ordinal)s, %(taken)s, %(digest)s)
    ON CONFLICT DO NOTHING
RETURNING decision_id::text

-- name: known_take_back
SELECT ordinal, taken::text, statement_digest
  FROM dispatch.take_back
 WHERE decision_id = %(decision_id)s

-- name: claim
-- `ready` holds for one step per record, so a batch never has two for one record.
SELECT w.write_back_id::text, w.identifier, w.ordinal, w.step, w.decision_id::text,
       w.item_id::text, w.revision, w.correlation_id, w.state, w.transition, w.attempts,
       w.excused, p.statement, extract(epoch FROM clock_timestamp() - w.not_before)::float8 AS since_due
  FROM dispatch.write_back w
  JOIN dispatch.plan p USING (write_back_id)
 WHERE w.instance = %(instance)s
   AND w.ready
   AND w.state IN ('WAITING', 'RETRYING', 'UNKNOWN')
   AND w.next_attempt_at <= now()
 ORDER BY w.next_attempt_at, w.not_before
 LIMIT %(most)s
   FOR UPDATE OF w SKIP LOCKED

-- name: due
-- As claim, but locks nothing: what is under way here (`busy`) is left out, and what another worker
-- begins meanwhile is found out by `hold`.
SELECT w.write_back_id::text, w.identifier, w.ordinal, w.step, w.decision_id::text,
       w.item_id::text, w.revision, w.correlation_id, w.state, w.transition, w.attempts,
       w.excused, p.statement, extract(epoch FROM clock_timestamp() - w.not_before)::float8 AS since_due
  FROM dispatch.write_back w
  JOIN dispatch.plan p USING (write_back_id)
 WHERE w.instance = %(instance)s
   AND w.ready
   AND w.state IN ('WAITING', 'RETRYING', 'UNKNOWN')
   AND w.next_attempt_at <= now()
   AND NOT w.write_back_id = ANY (%(busy)s::uuid[])
 ORDER BY w.next_attempt_at, w.not_before
 LIMIT %(most)s

-- name: hold
-- Lock the steps that nobody has moved since: the transition is the fencing token.
SELECT w.write_back_id::text
  FROM dispatch.write_back w
  JOIN json_to_recordset(%(rows)s::json) AS i (write_back_id uuid, transition integer)
    ON w.write_back_id = i.write_back_id AND w.transition = i.transition
 WHERE w.state IN ('WAITING', 'RETRYING', 'UNKNOWN', 'SENDING')
 ORDER BY w.write_back_id
   FOR UPDATE OF w

-- name: intend
UPDATE dispatch.write_back w
   SET state = 'SENDING',
       transition = i.transition,
       attempts = i.attempts,
       next_attempt_at = NULL,
       reason_code = NULL,
       reason = NULL,
       intent_at = clock_timestamp(),
       intent_digest = decode(i.digest, 'hex'),
       fence = w.fence + 1
  FROM json_to_recordset(%(rows)s::json)
       AS i (write_back_id uuid, transition integer, attempts integer, digest text)
 WHERE w.write_back_id = i.write_back_id

-- name: interrupted
-- Intents without an outcome that nobody here is sending.
SELECT write_back_id::text, identifier, transition, attempts
  FROM dispatch.write_back
 WHERE instance = %(instance)s
   AND state = 'SENDING'
   AND NOT write_back_id = ANY (%(busy)s::uuid[])
 ORDER BY write_back_id
   FOR UPDATE

-- name: later_steps
-- What was to follow these steps in their decisions.
SELECT DISTINCT l.write_back_id::text, l.identifier, l.transition, l.attempts
  FROM dispatch.write_back e
  JOIN dispatch.write_back l
    ON l.instance = e.instance AND l.identifier = e.identifier AND l.ordinal = e.ordinal
   AND l."position" > e."position"
 WHERE e.write_back_id = ANY (%(ids)s::uuid[])
   AND l.state = 'WAITING'

-- name: images_of
SELECT g.before, g.after
  FROM dispatch.write_back w
  JOIN dispatch.image g USING (write_back_id)
 WHERE w.instance = %(instance)s AND w.identifier = %(identifier)s
   AND w.decision_id = %(decision_id)s AND w.step = %(step)s

-- name: paused
SELECT 1 FROM dispatch.paused WHERE instance = %(instance)s

-- name: pause
INSERT INTO dispatch.paused (instance, actor_id, reason, paused_at)
VALUES (%(instance)s, %(actor_id)s, %(reason)s, %(at)s)
    ON CONFLICT DO NOTHING

-- name: resume
DELETE FROM dispatch.paused WHERE instance = %(instance)s

-- name: stuck_step
SELECT w.write_back_id::text, w.identifier, w.ordinal, w.step, w.transition, w.reason_code,
       p.statement
  FROM dispatch.write_back w
  JOIN dispatch.plan p USING (write_back_id)
 WHERE w.instance = %(instance)s AND w.write_back_id = %(id)s AND w.state = 'STUCK'
   FOR UPDATE OF w

-- name: skip_gap
-- A person goes on without the ordinals that never came. Needs lock_records. Should they come
-- later, they are refused entry: `accept` takes nothing at or below `closed`.
UPDATE dispatch.record_order r
   SET closed = %(ordinal)s - 1
 WHERE r.instance = %(instance)s AND r.identifier = %(identifier)s
   AND r.closed < %(ordinal)s - 1
   AND NOT EXISTS (
       SELECT 1 FROM dispatch.write_back e
        WHERE e.instance = r.instance AND e.identifier = r.identifier
          AND e.ordinal > r.closed AND e.ordinal < %(ordinal)s)
RETURNING r.identifier

-- name: counts
SELECT state, count(*)
  FROM dispatch.write_back
 WHERE instance = %(instance)s
   AND state IN ('WAITING', 'SENDING', 'RETRYING', 'UNKNOWN', 'STUCK')
 GROUP BY state

-- name: next_due_besides
SELECT extract(epoch FROM min(next_attempt_at) - clock_timestamp())::float8
  FROM dispatch.write_back
 WHERE instance = %(instance)s AND ready AND state IN ('WAITING', 'RETRYING', 'UNKNOWN')
   AND NOT write_back_id = ANY (%(busy)s::uuid[])

-- name: next_due
SELECT extract(epoch FROM min(next_attempt_at) - clock_timestamp())::float8
  FROM dispatch.write_back
 WHERE instance = %(instance)s AND ready AND state IN ('WAITING', 'RETRYING', 'UNKNOWN')

-- name: let_go
-- The target is back: what met an outage is due, each in the order in which it first was. Before
-- the end of a Retry-After nothing is.
UPDATE dispatch.write_back
   SET next_attempt_at = CASE WHEN held_until <= now() THEN not_before ELSE held_until END,
       held_until = NULL
 WHERE instance = %(instance)s
   AND ready
   AND state IN ('RETRYING', 'UNKNOWN')
   AND held_until IS NOT NULL

-- name: let_one_go
-- The target says that it is back: the one that has waited longest shows whether it is, unless
-- something else is due anyway.
UPDATE dispatch.write_back
   SET next_attempt_at = now()
 WHERE write_back_id = (
       SELECT write_back_id
         FROM dispatch.write_back
        WHERE instance = %(instance)s AND ready AND state IN ('RETRYING', 'UNKNOWN')
          AND held_until <= now()
        ORDER BY next_attempt_at, not_before
        LIMIT 1)
   AND NOT EXISTS (
       SELECT 1
         FROM dispatch.write_back
        WHERE instance = %(instance)s AND ready AND state IN ('WAITING', 'RETRYING', 'UNKNOWN')
          AND next_attempt_at <= now())

-- name: record
-- An attempt that was `held` met an outage: it spends none of the step's retries.
UPDATE dispatch.write_back w
   SET state = i.state,
       transition = i.transition,
       attempts = i.attempts,
       excused = least(w.excused + CASE WHEN i.held IS NULL THEN 0 ELSE 1 END, i.attempts),
       held_until = clock_timestamp() + make_interval(secs => i.held),
       next_attempt_at = clock_timestamp() + make_interval(secs => i.delay),
       reason_code = i.reason_code,
       reason = i.reason,
       target_version = coalesce(i.target_version, w.target_version),
       closed_at = CASE WHEN i.closes THEN now() END
  FROM json_to_recordset(%(rows)s::json)
       AS i (write_back_id uuid, state text, transition integer, attempts integer,
             delay double precision, held double precision, reason_code text, reason text, target_version text,
             closes boolean)
 WHERE w.write_back_id = i.write_back_id

-- name: advance
-- Move `closed` of these records over every ordinal that is closed now: by all its steps, or by a
-- TAKE_BACK. Needs lock_records in an earlier statement of the transaction.
WITH RECURSIVE walk (identifier, closed) AS (
    SELECT r.identifier, r.closed
      FROM dispatch.record_order r
     WHERE r.instance = %(instance)s
       AND r.identifier = ANY (ARRAY(
           SELECT i.identifier FROM json_to_recordset(%(rows)s::json) AS i (identifier text)))
    UNION ALL
    SELECT walk.identifier, walk.closed + 1
      FROM walk,
           LATERAL (
               SELECT count(*) AS steps,
                      count(*) FILTER (WHERE state NOT IN (
                          'APPLIED', 'CONFLICT', 'REFUSED', 'ABANDONED', 'CANCELLED')) AS unfinished
                 FROM dispatch.write_back w
                WHERE w.instance = %(instance)s AND w.identifier = walk.identifier
                  AND w.ordinal = walk.closed + 1) own
     WHERE own.unfinished = 0
       AND (own.steps > 0 OR EXISTS (
           SELECT 1 FROM dispatch.take_back t
            WHERE t.instance = %(instance)s AND t.identifier = walk.identifier
              AND t.ordinal = walk.closed + 1))
), reached AS (
    SELECT identifier, max(closed) AS closed FROM walk GROUP BY identifier
)
UPDATE dispatch.record_order r
   SET closed = reached.closed
  FROM reached
 WHERE r.instance = %(instance)s AND r.identifier = reached.identifier
   AND r.closed < reached.closed

-- name: release
-- The next steps of these records may be worked on. A step that was STUCK for a gap alone is
-- WAITING again: what was missing has come.
WITH next AS MATERIALIZED (
    SELECT w.write_back_id, w.state AS earlier
      FROM dispatch.record_order r
      JOIN dispatch.write_back w
        ON w.instance = r.instance AND w.identifier = r.identifier AND w.ordinal = r.closed + 1
     WHERE r.instance = %(instance)s
       AND r.identifier = ANY (ARRAY(
           SELECT i.identifier FROM json_to_recordset(%(rows)s::json) AS i (identifier text)))
       AND NOT w.ready
       AND (w.state = 'WAITING' OR w.state = 'STUCK' AND w.reason_code = 'ORDER_GAP')
       AND NOT EXISTS (
           SELECT 1 FROM dispatch.write_back e
            WHERE e.instance = w.instance AND e.identifier = w.identifier
              AND e.ordinal = w.ordinal AND e."position" < w."position"
              AND e.state NOT IN ('APPLIED', 'CONFLICT', 'REFUSED', 'ABANDONED', 'CANCELLED'))
)
UPDATE dispatch.write_back w
   SET ready = true,
       state = 'WAITING',
       transition = w.transition + CASE WHEN next.earlier = 'STUCK' THEN 1 ELSE 0 END,
       reason_code = NULL,
       reason = NULL,
       next_attempt_at = greatest(w.not_before, now())
  FROM next
 WHERE w.write_back_id = next.write_back_id
RETURNING w.write_back_id::text, next.earlier

-- name: forget_plans
DELETE FROM dispatch.plan WHERE write_back_id = ANY (%(ids)s::uuid[])

-- name: keep_images
INSERT INTO dispatch.image (write_back_id, before, after)
SELECT * FROM unnest(%(ids)s::uuid[], %(before)s::bytea[], %(after)s::bytea[])
    ON CONFLICT (write_back_id) DO UPDATE
   SET before = coalesce(excluded.before, image.before),
       after = coalesce(excluded.after, image.after)

-- name: gaps
-- The first step of a record whose earlier ordinal has not come for too long.
SELECT w.write_back_id::text, w.transition, w.attempts
  FROM dispatch.write_back w
  JOIN dispatch.record_order r ON r.instance = w.instance AND r.identifier = w.identifier
 WHERE w.instance = %(instance)s
   AND NOT w.ready
   AND w.state = 'WAITING'
   AND w.created_at < now() - make_interval(secs => %(gap)s)
   AND w.ordinal > r.closed + 1
   AND NOT EXISTS (
       SELECT 1 FROM dispatch.write_back e
        WHERE e.instance = w.instance AND e.identifier = w.identifier
          AND e.ordinal > r.closed AND e.ordinal < w.ordinal)
 ORDER BY w.created_at
 LIMIT 500
   FOR UPDATE OF w SKIP LOCKED

-- name: states_of
-- Locked, so that none of them closes or opens meanwhile.
SELECT write_back_id::text, state FROM dispatch.write_back
 WHERE instance = %(instance)s AND write_back_id::text = ANY (%(ids)s)
   FOR UPDATE

-- name: repaired
UPDATE dispatch.write_back w
   SET transition = w.transition + 1, reason_code = i.reason_code, reason = i.reason
  FROM json_to_recordset(%(rows)s::json)
       AS i (write_back_id uuid, reason_code text, reason text)
 WHERE w.write_back_id = i.write_back_id

-- name: events
-- What a WriteBack event says about these rows.
SELECT write_back_id::text, identifier, ordinal, step, decision_id::text, item_id::text, revision,
       correlation_id, state, transition, attempts, next_attempt_at, reason_code, reason,
       target_version, clock_timestamp() AS at
  FROM dispatch.write_back
 WHERE write_back_id = ANY (%(ids)s::uuid[])
 ORDER BY write_back_id

-- name: stuck
SELECT count(*) FROM dispatch.write_back WHERE instance = %(instance)s AND state = 'STUCK'
