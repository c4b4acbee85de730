-- Every statement the desk runs, by name, but for the list pages (queries.py), whose shape depends
-- on the filters. Columns are listed, so that a new schema and old code can live together.

-- name: session
-- Who a session cookie belongs to.
SELECT account.account_id, account.person_id, account.username, person.name, account.roles,
       preference.keymap
  FROM review.session
  JOIN review.account USING (account_id)
  JOIN review.person USING (person_id)
  LEFT JOIN review.preference USING (person_id)
 WHERE session.token_hash = %(token)s AND session.expires_at > now()
   AND account.disabled_at IS NULL

-- name: decision_contexts
-- All that decisions need, in one round trip: who, what, what was seen, an answer given before.
SELECT asked.n, account.account_id, account.person_id, account.username, person.name,
       account.roles, clock_timestamp() AS now,
       item.revision, item.state, item.lane, item.policy_version, item.decisions, item.version,
       item.instance, item.identifier,
       item.claims, item.claim_person, item.claim_name, item.claim_until,
       first.approval_id AS first_id, first.person_id AS first_person, first.name AS first_name,
       first.role AS first_role, first.approved_at AS first_at,
       first.statement AS first_statement,
       item_revision.event,
       baseline.fields, baseline.version AS target_version, baseline.missing,
       baseline.read_at, baseline.expires_at,
       idempotency.request_digest, idempotency.status, idempotency.body,
       (SELECT coalesce(max(ordinal), 0) FROM review.policy) AS policy,
       session.signed_in_by, session.proved_at, session.idle, item.control_item
  FROM json_to_recordset(%(asked)s::json) AS asked (n integer, token text, item uuid, key text)
  JOIN review.session ON session.token_hash = decode(asked.token, 'hex')
  JOIN review.account USING (account_id)
  JOIN review.person USING (person_id)
  LEFT JOIN review.item ON item.item_id = asked.item
  LEFT JOIN review.item_revision
         ON item_revision.item_id = item.item_id AND item_revision.revision = item.revision
  LEFT JOIN review.approval AS first ON first.approval_id = item.first_approval
  LEFT JOIN review.baseline
         ON baseline.instance = item.instance AND baseline.identifier = item.identifier
  LEFT JOIN review.idempotency
         ON idempotency.person_id = account.person_id AND idempotency.key = asked.key
 WHERE session.expires_at > now() AND account.disabled_at IS NULL

-- name: decide
-- Decisions, whole: state, ordinals, decision, its write-backs, the answer under its key, and the
-- event, held until the hold is over. Answers with the ones that were taken; an item that is not at
-- the version that was read is left as it is, and of two orders for one item the first wins.
-- Locks are taken in one order by everybody: items by id, then records by key. The target's ordinal
-- is drawn under the record's lock and is the last field of the event. Claims are compared under the
-- item's lock: nobody decides what somebody else has claimed in between, or under a lapsed claim.
-- The policy an order was judged by must be in force, and stays it until the commit: that lock comes
-- before all others.
WITH in_force AS MATERIALIZED (
    SELECT review.policy_in_force() AS ordinal
), orders AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(orders)s::json) AS row (
        n integer, item uuid, version integer, state text, lane text, policy_version text,
        decision uuid, ordinal integer, revision integer, action text,
        person uuid, actor uuid, name text, role text, reason_code text,
        at timestamptz, not_before timestamptz, statement text, key_id text, signature text,
        record_key text, draws boolean, payload text, headers text, steps json,
        key text, request_digest text, body text, outcome json, claim integer, first uuid,
        policy integer, edited boolean)
     WHERE policy = (SELECT ordinal FROM in_force)
), locked AS MATERIALIZED (
    SELECT item.item_id, item.version, item.claims, item.claim_person, item.claim_until
      FROM orders JOIN review.item ON item.item_id = orders.item
     ORDER BY item.item_id FOR UPDATE OF item
), taken AS MATERIALIZED (
    SELECT DISTINCT ON (orders.item) orders.*, decode(orders.record_key, 'base64') AS record
      FROM orders JOIN locked ON locked.item_id = orders.item AND locked.version = orders.version
     WHERE CASE WHEN locked.claim_until > clock_timestamp()
                THEN locked.claim_person = orders.person
                     AND coalesce(orders.claim = locked.claims, true)
                ELSE orders.claim IS NULL END
     ORDER BY orders.item, orders.n
), moved AS (
    UPDATE review.item
       SET state = taken.state, lane = taken.lane, policy_version = taken.policy_version,
           decisions = taken.ordinal, version = taken.version + 1, changed_at = taken.at,
           open_decision = taken.decision,
           claim_person = NULL, claim_name = NULL, claim_until = NULL,
           first_approval = NULL, first_person = NULL
      FROM taken WHERE item.item_id = taken.item
), counted AS (
    SELECT record, count(*) AS many FROM taken WHERE draws GROUP BY record
), drawn AS (
    INSERT INTO review.target_order AS known (record_key, last)
    SELECT record, many FROM counted ORDER BY record
        ON CONFLICT (record_key) DO UPDATE SET last = known.last + excluded.last
    RETURNING record_key, last
), numbered AS MATERIALIZED (
    SELECT taken.*,
           CASE WHEN draws THEN drawn.last + 1
                - row_number() OVER (PARTITION BY record, draws ORDER BY n DESC)
                ELSE 0 END AS drawn
      FROM taken LEFT JOIN drawn ON drawn.record_key = taken.record
), decided AS (
    INSERT INTO review.decision (decision_id, item_id, ordinal, revision, action, person_id,
                                 actor_id, name, role, reason_code, decided_at, not_before,
                                 target_ordinal, statement, key_id, signature, first_approval,
                                 edited)
    SELECT decision, item, ordinal, revision, action, person, actor, name, role, reason_code, at,
           not_before, drawn, statement, key_id, decode(signature, 'base64'), first, edited
      FROM numbered
), waiting AS (
    INSERT INTO review.write_back (write_back_id, decision_id, item_id, step, state,
                                   next_attempt_at, changed_at)
    SELECT step.write_back_id, decision, item, step.step, 'WAITING', not_before, at
      FROM numbered, json_to_recordset(steps) AS step (write_back_id uuid, step text)
), answered AS (
    INSERT INTO review.idempotency (person_id, key, request_digest, status, body)
    SELECT person, key, decode(request_digest, 'base64'), 201, convert_to(body, 'UTF8')
      FROM numbered
), told AS (
    INSERT INTO review.outbox (id, aggregatetype, aggregateid, type, payload, headers, not_before)
    SELECT decision, 'placet.decisions', record, 'ReviewDecision',
           decode(payload, 'base64') || review.avro_long(drawn), convert_to(headers, 'UTF8'),
           not_before
      FROM numbered
    UNION ALL
    SELECT outcome.id, 'placet.outcomes', convert_to(outcome.key, 'UTF8'), 'Outcome',
           convert_to(outcome.payload, 'UTF8'), convert_to(outcome.headers, 'UTF8'), not_before
      FROM numbered, json_to_record(outcome)
           AS outcome (id uuid, key text, payload text, headers text)
     WHERE outcome IS NOT NULL
)
SELECT n, drawn FROM numbered

-- name: first_approve
-- The first approval of two, whole: state, what was signed, the answer under its key, the event.
-- Under the policy that it was judged by, as `decide`.
WITH in_force AS MATERIALIZED (
    SELECT review.policy_in_force() AS ordinal
), held AS (
    UPDATE review.item
       SET state = %(state)s, lane = %(lane)s, policy_version = %(policy_version)s,
           version = version + 1, changed_at = %(at)s,
           open_decision = CASE WHEN %(written)s::boolean THEN open_decision END,
           first_approval = %(id)s::uuid, first_person = %(person)s,
           claim_person = NULL, claim_name = NULL, claim_until = NULL
     WHERE (SELECT ordinal FROM in_force) = %(policy)s
       AND item_id = %(item)s AND version = %(version)s
       AND CASE WHEN claim_until > clock_timestamp()
                THEN claim_person = %(person)s AND coalesce(%(claim)s::integer = claims, true)
                ELSE %(claim)s::integer IS NULL END
    RETURNING item_id
), kept AS (
    INSERT INTO review.approval (approval_id, item_id, revision, person_id, actor_id, name, role,
                                 approved_at, statement, key_id, signature, edited, action)
    SELECT %(id)s::uuid, item_id, %(revision)s::integer, %(person)s::uuid, %(actor)s::uuid,
           %(name)s::text, %(role)s::text, %(at)s::timestamptz, %(statement)s::text,
           %(key_id)s::text, %(signature)s::bytea, %(edited)s::boolean,
           %(action)s::text
      FROM held
), answered AS (
    INSERT INTO review.idempotency (person_id, key, request_digest, status, body)
    SELECT %(person)s::uuid, %(request_key)s::text, %(request_digest)s::bytea, 201,
           %(body)s::bytea
      FROM held
), told AS (
    INSERT INTO review.outbox (id, aggregatetype, aggregateid, type, payload, headers)
    SELECT %(id)s::uuid, %(topic)s::text, %(key)s::bytea, %(type)s::text, %(payload)s::bytea,
           %(headers)s::bytea
      FROM held
)
SELECT item_id FROM held

-- name: take_back_context
SELECT account.account_id, account.person_id, account.username, person.name, account.roles,
       clock_timestamp() AS now,
       decision.decision_id, decision.item_id, decision.person_id AS author,
       decision.revision, decision.action, decision.not_before, decision.target_ordinal,
       decision.statement, decision.taken_back_by,
       item.state, item.decisions, item.version, item.open_decision
  FROM review.session
  JOIN review.account USING (account_id)
  JOIN review.person USING (person_id)
  LEFT JOIN review.decision ON decision.decision_id = %(decision)s
  LEFT JOIN review.item ON item.item_id = decision.item_id
 WHERE session.token_hash = %(token)s AND session.expires_at > now()
   AND account.disabled_at IS NULL

-- name: take_back
SELECT review.take_back(
    %(item)s::uuid, %(version)s::integer, %(state)s::text, %(taken)s::uuid, %(outcome_id)s::uuid,
    %(decision)s::uuid, %(ordinal)s::integer, %(revision)s::integer,
    %(person)s::uuid, %(actor)s::uuid, %(name)s::text, %(role)s::text, %(at)s::timestamptz,
    %(target_ordinal)s::bigint, %(statement)s::text, %(key_id)s::text, %(signature)s::bytea,
    %(record_key)s::bytea, %(payload)s::bytea, %(headers)s::bytea)

-- name: claim_context
SELECT account.account_id, account.person_id, account.username, person.name, account.roles,
       clock_timestamp() AS now,
       item.item_id, item.revision, item.state, item.correlation_id, item_revision.event_id,
       item.claims, item.claim_person, item.claim_name, item.claim_until,
       opening.item_id IS NOT NULL AS opened
  FROM review.session
  JOIN review.account USING (account_id)
  JOIN review.person USING (person_id)
  LEFT JOIN review.item ON item.item_id = %(item)s
  LEFT JOIN review.item_revision
         ON item_revision.item_id = item.item_id AND item_revision.revision = item.revision
  LEFT JOIN review.opening
         ON opening.item_id = item.item_id AND opening.revision = item.revision
        AND opening.person_id = account.person_id
 WHERE session.token_hash = %(token)s AND session.expires_at > now()
   AND account.disabled_at IS NULL

-- name: claim
-- Given only where nobody has claimed or renewed since it was read. A renewal is told to nobody.
WITH held AS (
    UPDATE review.item
       SET claims = %(given)s, claim_person = %(person)s, claim_name = %(name)s,
           claim_until = %(until)s
     WHERE item_id = %(item)s AND revision = %(revision)s AND claims = %(was)s
       AND claim_until IS NOT DISTINCT FROM %(was_until)s::timestamptz
       AND state = ANY (%(states)s::text[])
    RETURNING item_id
), told AS (
    INSERT INTO review.outbox (id, aggregatetype, aggregateid, type, payload, headers)
    SELECT %(id)s::uuid, %(topic)s::text, %(key)s::bytea, %(type)s::text, %(payload)s::bytea,
           %(headers)s::bytea
      FROM held WHERE %(is_new)s::boolean
)
SELECT item_id FROM held

-- name: release
-- Only one's own, and only the newest; the token stays spent.
WITH left_alone AS (
    UPDATE review.item SET claim_person = NULL, claim_name = NULL, claim_until = NULL
     WHERE item_id = %(item)s AND claims = %(given)s AND claim_person = %(person)s
       AND (%(until)s::timestamptz IS NULL OR claim_until = %(until)s)
    RETURNING item_id
), told AS (
    INSERT INTO review.outbox (id, aggregatetype, aggregateid, type, payload, headers)
    SELECT %(id)s::uuid, %(topic)s::text, %(key)s::bytea, %(type)s::text, %(payload)s::bytea,
           %(headers)s::bytea
      FROM left_alone
)
SELECT item_id FROM left_alone

-- name: skip
WITH passed AS (
    INSERT INTO review.skip (person_id, item_id, revision, reason)
    VALUES (%(person)s, %(item)s, %(revision)s, %(reason)s)
        ON CONFLICT (person_id, item_id, revision) DO NOTHING
    RETURNING item_id
)
INSERT INTO review.outbox (id, aggregatetype, aggregateid, type, payload, headers)
SELECT %(id)s::uuid, %(topic)s::text, %(key)s::bytea, %(type)s::text, %(payload)s::bytea,
       %(headers)s::bytea
  FROM passed

-- name: open_item
WITH opened AS (
    INSERT INTO review.opening (item_id, revision, person_id)
    VALUES (%(item)s, %(revision)s, %(person)s)
        ON CONFLICT (item_id, revision, person_id) DO NOTHING
    RETURNING item_id
)
INSERT INTO review.outbox (id, aggregatetype, aggregateid, type, payload, headers)
SELECT %(id)s::uuid, %(topic)s::text, %(key)s::bytea, %(type)s::text, %(payload)s::bytea,
       %(headers)s::bytea
  FROM opened
RETURNING id

-- name: open_evidence
-- Once per person and revision. The fact and the event that tells it are one transaction.
WITH opened AS (
    UPDATE review.opening SET evidence_at = clock_timestamp()
     WHERE item_id = %(item)s AND revision = %(revision)s AND person_id = %(person)s
       AND evidence_at IS NULL
    RETURNING item_id
)
INSERT INTO review.outbox (id, aggregatetype, aggregateid, type, payload, headers)
SELECT %(id)s::uuid, %(topic)s::text, %(key)s::bytea, %(type)s::text, %(payload)s::bytea,
       %(headers)s::bytea
  FROM opened
RETURNING id

-- name: evidence_opened
SELECT evidence_at FROM review.opening
 WHERE item_id = %(item)s AND revision = %(revision)s AND person_id = %(person)s
   AND evidence_at IS NOT NULL

-- name: add_comment
WITH said AS (
    INSERT INTO review.comment (comment_id, item_id, revision, person_id, name, role, text, said_at,
                                key)
    VALUES (%(id)s, %(item)s, %(revision)s, %(person)s, %(name)s, %(role)s, %(text)s, %(at)s,
            %(request_key)s)
)
INSERT INTO review.outbox (id, aggregatetype, aggregateid, type, payload, headers)
VALUES (%(id)s, %(topic)s, %(key)s, %(type)s, %(payload)s, %(headers)s)
RETURNING id

-- name: comment_by_key
SELECT comment_id, item_id, revision, name, text, said_at
  FROM review.comment WHERE person_id = %(person)s AND key = %(key)s

-- name: item_comments
-- Without those of whoever gave the first approval, while the second one is not to read them.
SELECT comment.name, comment.role, comment.revision, comment.text, comment.said_at
  FROM review.comment JOIN review.item USING (item_id)
 WHERE comment.item_id = %(item)s AND comment.person_id IS DISTINCT FROM item.first_person
 ORDER BY comment.said_at LIMIT 200

-- name: revision_before
SELECT event FROM review.item_revision
 WHERE item_id = %(item)s AND revision < %(revision)s ORDER BY revision DESC LIMIT 1

-- name: save_draft
INSERT INTO review.draft AS kept (person_id, item_id, revision, body)
SELECT %(person)s, item_id, %(revision)s, %(body)s FROM review.item WHERE item_id = %(item)s
    ON CONFLICT (person_id, item_id) DO UPDATE
   SET revision = excluded.revision, body = excluded.body, saved_at = now()
RETURNING item_id

-- name: draft
SELECT draft.body, draft.revision, draft.revision = item.revision AS current
  FROM review.draft JOIN review.item USING (item_id)
 WHERE draft.person_id = %(person)s AND draft.item_id = %(item)s

-- name: keep_context
SELECT account.account_id, account.person_id, account.username, person.name, account.roles,
       clock_timestamp() AS now, item.item_id, item.revision, item.state, item.version,
       item.correlation_id, item.first_approval
  FROM review.session
  JOIN review.account USING (account_id)
  JOIN review.person USING (person_id)
  LEFT JOIN review.item ON item.item_id = %(item)s
 WHERE session.token_hash = %(token)s AND session.expires_at > now()
   AND account.disabled_at IS NULL

-- name: keep
WITH kept AS (
    UPDATE review.item
       SET state = %(state)s, version = version + 1, changed_at = now(),
           first_approval = NULL, first_person = NULL
     WHERE item_id = %(item)s AND version = %(version)s
    RETURNING item_id
)
INSERT INTO review.outbox (id, aggregatetype, aggregateid, type, payload, headers)
SELECT %(id)s::uuid, %(topic)s::text, %(key)s::bytea, %(type)s::text, %(payload)s::bytea,
       %(headers)s::bytea
  FROM kept
RETURNING id

-- name: undoable
-- What the item's open decision said: an UNDO turns it round.
SELECT decision.statement
  FROM review.item
  JOIN review.decision ON decision.decision_id = item.open_decision
 WHERE item.item_id = %(item)s

-- name: latest_decision
-- Who won, for those who lost.
SELECT decision_id, action, name, decided_at FROM review.decision
 WHERE item_id = %(item)s ORDER BY ordinal DESC LIMIT 1

-- name: item
SELECT item.item_id, item.source, item.external_id, item.revision, item.state, item.lane,
       item.policy_version, item.system, item.instance, item.identifier, item.risk,
       item.divergence, nullif(item.due_at, 'infinity') AS due_at, item.created_at,
       item.correlation_id, item.decisions, item.version, item.open_decision,
       item.claims, item.claim_person, item.claim_name, item.claim_until,
       first.approval_id AS first_id, first.person_id AS first_person, first.name AS first_name,
       first.role AS first_role, first.approved_at AS first_at,
       first.statement AS first_statement,
       item_revision.event, item_revision.title, item_revision.received_at, item.control_item,
       baseline.fields, baseline.version AS target_version, baseline.missing,
       baseline.read_at, baseline.expires_at, clock_timestamp() AS now
  FROM review.item
  JOIN review.item_revision USING (item_id, revision)
  LEFT JOIN review.approval AS first ON first.approval_id = item.first_approval
  LEFT JOIN review.baseline
         ON baseline.instance = item.instance AND baseline.identifier = item.identifier
 WHERE item.item_id = %(item)s

-- name: item_event
SELECT item_revision.event,
       first.approval_id AS first_id, first.person_id AS first_person, first.name AS first_name,
       first.role AS first_role, first.approved_at AS first_at,
       first.statement AS first_statement
  FROM review.item
  JOIN review.item_revision USING (item_id, revision)
  LEFT JOIN review.approval AS first ON first.approval_id = item.first_approval
 WHERE item.item_id = %(item)s

-- name: item_revisions
SELECT revision, received_at FROM review.item_revision
 WHERE item_id = %(item)s ORDER BY revision LIMIT 200

-- name: item_decisions
SELECT decision_id, ordinal, revision, action, name, role, reason_code, decided_at, not_before,
       statement, taken_back_by
  FROM review.decision WHERE item_id = %(item)s ORDER BY ordinal LIMIT 200

-- name: item_approvals
-- Which counted: the one that the item waits with, and the one that a decision completed.
SELECT approval.approval_id, approval.revision, approval.name, approval.role,
       approval.approved_at, approval.statement, approval.action,
       approval.approval_id = item.first_approval AS waits,
       decision.decision_id IS NOT NULL AS completed
  FROM review.approval
  JOIN review.item USING (item_id)
  LEFT JOIN review.decision
         ON decision.item_id = approval.item_id
        AND decision.first_approval = approval.approval_id
 WHERE approval.item_id = %(item)s ORDER BY approval.approved_at LIMIT 200

-- name: item_write_back_events
SELECT event.write_back_id, event.transition, event.state, event.at, event.attempts,
       event.reason_code, event.reason, write_back.step, write_back.decision_id
  FROM review.decision
  JOIN review.write_back USING (decision_id)
  JOIN review.write_back_event AS event USING (write_back_id)
 WHERE decision.item_id = %(item)s ORDER BY event.at, event.transition LIMIT 500

-- name: decision
SELECT decision.decision_id, decision.item_id, decision.revision, decision.action, decision.name,
       decision.role, decision.reason_code, decision.decided_at, decision.not_before,
       decision.target_ordinal, decision.statement, decision.key_id, decision.signature,
       decision.taken_back_by, decision.person_id, item.state, item.open_decision,
       clock_timestamp() AS now
  FROM review.decision JOIN review.item USING (item_id)
 WHERE decision.decision_id = %(decision)s

-- name: write_backs
SELECT write_back.write_back_id, write_back.step, write_back.state, write_back.attempts,
       write_back.next_attempt_at, write_back.reason_code, write_back.reason,
       write_back.target_version, write_back.conflicting, write_back.changed_at,
       item.system, item.instance, item.identifier
  FROM review.write_back JOIN review.item USING (item_id)
 WHERE write_back.decision_id = %(decision)s ORDER BY write_back.step

-- name: before_write
-- What stands before a decision's write: earlier ones on its record, and a stop of its target.
SELECT (SELECT count(*)
          FROM review.item AS other
          JOIN review.decision AS earlier ON earlier.decision_id = other.open_decision
         WHERE other.instance = item.instance AND other.identifier = item.identifier
           AND other.state IN ('APPROVED', 'WRITING', 'STUCK', 'UNDOING')
           AND earlier.target_ordinal BETWEEN 1 AND decision.target_ordinal - 1) AS ahead,
       stop.name AS stopped_by, stop.reason AS stop_reason
  FROM review.decision
  JOIN review.item USING (item_id)
  LEFT JOIN LATERAL (
       SELECT name, reason FROM review.stop
        WHERE scope IN (item.instance, '*') ORDER BY stopped_at LIMIT 1) AS stop ON true
 WHERE decision.decision_id = %(decision)s

-- name: save_baseline
-- The newest reading wins, whoever is late.
INSERT INTO review.baseline AS known
       (instance, identifier, fields, version, missing, read_at, expires_at)
VALUES (%(instance)s, %(identifier)s, %(fields)s, %(version)s, %(missing)s, %(read_at)s,
        clock_timestamp() + %(fresh)s * interval '1 second')
    ON CONFLICT (instance, identifier) DO UPDATE
   SET fields = excluded.fields, version = excluded.version, missing = excluded.missing,
       read_at = excluded.read_at, expires_at = excluded.expires_at
 WHERE known.read_at <= excluded.read_at
RETURNING expires_at

-- name: account_by_username
SELECT account.account_id, account.person_id, account.username, person.name, account.roles,
       account.password_hash, account.one_time
  FROM review.account JOIN review.person USING (person_id)
 WHERE account.username = %(username)s AND account.disabled_at IS NULL

-- name: locked_for
-- Seconds until this name may try again; negative or no row: now.
SELECT extract(epoch FROM locked_until - clock_timestamp())::float8 AS seconds
  FROM review.sign_in_failure WHERE name_digest = %(name)s

-- name: count_failure
-- The first few are free; then the pause doubles, up to a quarter of an hour.
INSERT INTO review.sign_in_failure AS known (name_digest, failed, locked_until)
VALUES (%(name)s, 1, now())
    ON CONFLICT (name_digest) DO UPDATE
   SET failed = CASE WHEN known.last_at < now() - interval '1 day' THEN 1
                     ELSE known.failed + 1 END,
       last_at = now(),
       locked_until = CASE WHEN known.failed + 1 < %(free)s THEN now()
                           ELSE now() + least(900, 5 * 2 ^ least(known.failed + 1 - %(free)s, 8))
                                        * interval '1 second' END
RETURNING extract(epoch FROM locked_until - now())::float8 AS seconds

-- name: forget_failures
DELETE FROM review.sign_in_failure WHERE name_digest = %(name)s

-- name: forget_old_failures
DELETE FROM review.sign_in_failure WHERE last_at < now() - interval '2 days'

-- name: open_session
WITH came AS (
    UPDATE review.account SET last_sign_in_at = now() WHERE account_id = %(account)s
)
INSERT INTO review.session (token_hash, account_id, expires_at, signed_in_by)
VALUES (%(token)s, %(account)s, now() + %(seconds)s * interval '1 second', %(by)s)

-- name: session_password
-- Whose session it is, with what they prove it by.
SELECT account.account_id, account.person_id, account.username, person.name, account.roles,
       account.password_hash, session.signed_in_by
  FROM review.session
  JOIN review.account USING (account_id)
  JOIN review.person USING (person_id)
 WHERE session.token_hash = %(token)s AND session.expires_at > now()
   AND account.disabled_at IS NULL

-- name: session_proof
SELECT signed_in_by, proved_at, idle, clock_timestamp() AS now
  FROM review.session WHERE token_hash = %(token)s AND expires_at > now()

-- name: prove_session
UPDATE review.session SET proved_at = clock_timestamp(), idle = false, seen_at = now()
 WHERE token_hash = %(token)s AND expires_at > now()
RETURNING proved_at

-- name: note_use
-- Idle once, idle until a proof.
UPDATE review.session
   SET idle = idle OR seen_at < now() - %(idle)s::float8 * interval '1 second', seen_at = now()
 WHERE token_hash = %(token)s
RETURNING idle

-- name: close_session
DELETE FROM review.session WHERE token_hash = %(token)s

-- name: forget_old_sessions
DELETE FROM review.session WHERE expires_at < now()

-- name: people
SELECT account.account_id, account.person_id, account.username, person.name, account.roles,
       account.created_at, account.disabled_at, account.version, account.changed_at,
       account.changed_by, account.one_time, account.last_sign_in_at
  FROM review.account JOIN review.person USING (person_id)
 ORDER BY account.username LIMIT 1000

-- name: accounts_beside
-- An account and the others of the same person.
SELECT account.account_id, account.person_id, account.username, person.name, account.roles,
       account.created_at, account.disabled_at, account.version, account.changed_at,
       account.changed_by, account.one_time, account.last_sign_in_at,
       account.password_hash IS NOT NULL AS has_password
  FROM review.account AS asked
  JOIN review.account ON account.person_id = asked.person_id
  JOIN review.person ON person.person_id = account.person_id
 WHERE asked.account_id = %(account)s ORDER BY account.username

-- name: lock_accounts
-- The one to change and all that administer, in the order of their ids, as everybody locks them.
-- Administrators who change one another wait here, and see what the first one did.
SELECT account_id, person_id, username, roles, disabled_at, version, changed_at, changed_by
  FROM review.account
 WHERE account_id = %(account)s OR 'admin' = ANY (roles)
 ORDER BY account_id FOR NO KEY UPDATE

-- name: update_account
-- Under the lock. A new password is for one time.
UPDATE review.account
   SET roles = %(roles)s,
       disabled_at = CASE WHEN %(enabled)s THEN NULL ELSE coalesce(disabled_at, now()) END,
       password_hash = coalesce(%(password_hash)s, password_hash),
       one_time = one_time OR %(password_hash)s::text IS NOT NULL,
       version = version + 1, changed_at = clock_timestamp(), changed_by = %(by)s
 WHERE account_id = %(account)s

-- name: choose_password
-- One's own, in place of the one that was just typed: not of another that an admin made meanwhile.
UPDATE review.account
   SET password_hash = %(password_hash)s, one_time = false,
       version = version + 1, changed_at = clock_timestamp(), changed_by = %(by)s
 WHERE account_id = %(account)s AND password_hash = %(was)s AND disabled_at IS NULL
RETURNING account_id

-- name: close_sessions_of_account
DELETE FROM review.session WHERE account_id = %(account)s

-- name: close_sessions_of_person
DELETE FROM review.session USING review.account
 WHERE account.account_id = session.account_id AND account.person_id = %(person)s

-- name: person_decides
-- Whether somebody can still decide, with any of their accounts.
SELECT 1 AS found FROM review.account
 WHERE person_id = %(person)s AND disabled_at IS NULL AND roles && %(roles)s::text[]

-- name: claims_of_person
-- What somebody holds at this moment. It reads what waits: not on a path that people wait for.
SELECT item.item_id, item.revision, item.correlation_id, item.claims, item_revision.event_id,
       clock_timestamp() AS now
  FROM review.item JOIN review.item_revision USING (item_id, revision)
 WHERE item.state = ANY (%(states)s::text[]) AND item.claim_person = %(person)s
   AND item.claim_until > clock_timestamp()
 ORDER BY item.item_id FOR NO KEY UPDATE OF item

-- name: save_keymap
INSERT INTO review.preference (person_id, keymap) VALUES (%(person)s, %(keymap)s)
    ON CONFLICT (person_id) DO UPDATE SET keymap = excluded.keymap, changed_at = now()

-- name: add_person
INSERT INTO review.person (person_id, name) VALUES (%(person)s, %(name)s)
    ON CONFLICT (person_id) DO NOTHING

-- name: has_person
SELECT name FROM review.person WHERE person_id = %(person)s

-- name: add_account
INSERT INTO review.account (account_id, person_id, username, password_hash, roles, one_time,
                            changed_by)
VALUES (%(account)s, %(person)s, %(username)s, %(password_hash)s, %(roles)s, %(one_time)s, %(by)s)

-- name: account_id_by_username
SELECT account_id FROM review.account WHERE username = %(username)s

-- name: change_account
UPDATE review.account
   SET password_hash = %(password_hash)s, roles = %(roles)s, disabled_at = NULL, one_time = false,
       version = version + 1, changed_at = clock_timestamp(), changed_by = %(by)s
 WHERE username = %(username)s

-- name: begin_attempt
INSERT INTO review.sign_in_attempt (state_hash, browser_hash, nonce, verifier, back, session_hash,
                                    expires_at)
VALUES (%(state)s, %(browser)s, %(nonce)s, %(verifier)s, %(back)s, %(session)s,
        clock_timestamp() + %(seconds)s * interval '1 second')

-- name: end_attempt
-- Good once.
DELETE FROM review.sign_in_attempt WHERE state_hash = %(state)s AND expires_at > clock_timestamp()
RETURNING browser_hash, nonce, verifier, back, session_hash, started_at

-- name: forget_old_attempts
DELETE FROM review.sign_in_attempt WHERE expires_at < now()

-- name: account_of_identity
SELECT identity.person_id, account.account_id, account.username, person.name, account.roles,
       account.disabled_at
  FROM review.identity
  JOIN review.person USING (person_id)
  LEFT JOIN review.account ON account.account_id = identity.account_id
 WHERE identity.issuer = %(issuer)s AND identity.subject = %(subject)s

-- name: session_identity
SELECT identity.issuer, identity.subject
  FROM review.session JOIN review.identity USING (account_id)
 WHERE session.token_hash = %(token)s AND session.expires_at > now()

-- name: join_identity
-- An identity has one account for ever: whoever comes second at the same moment finds the first.
INSERT INTO review.identity AS known (issuer, subject, person_id, account_id)
VALUES (%(issuer)s, %(subject)s, %(person)s, %(account)s)
    ON CONFLICT (issuer, subject) DO UPDATE SET account_id = excluded.account_id
 WHERE known.account_id IS NULL
RETURNING account_id

-- name: say_identity
-- Whose an identity is, said before they first come.
INSERT INTO review.identity (issuer, subject, person_id)
SELECT %(issuer)s, %(subject)s, person_id FROM review.account WHERE account_id = %(account)s
    ON CONFLICT (issuer, subject) DO NOTHING
RETURNING person_id

-- name: has_account
SELECT password_hash IS NOT NULL AS has_password FROM review.account
 WHERE account_id = %(account)s

-- name: identities_of_person
SELECT identity.subject, identity.account_id
  FROM review.identity WHERE person_id = %(person)s AND issuer = %(issuer)s ORDER BY subject

-- name: refresh_roles
UPDATE review.account
   SET roles = %(roles)s, version = version + 1, changed_at = clock_timestamp(),
       changed_by = %(by)s
 WHERE account_id = %(account)s

-- name: add_to_outbox
INSERT INTO review.outbox (id, aggregatetype, aggregateid, type, payload, headers)
VALUES (%(id)s, %(topic)s, %(key)s, %(type)s, %(payload)s, %(headers)s)

-- name: write_back_to_unstick
SELECT write_back.write_back_id, write_back.decision_id, write_back.state, item.instance,
       item.correlation_id
  FROM review.write_back
  JOIN review.item ON item.item_id = write_back.item_id
 WHERE write_back.write_back_id = %(write_back)s

-- name: notify
SELECT pg_notify('review_outbox', '')

-- name: count_second
-- How many items wait for this person's second approval, up to a thousand.
SELECT count(*)::int AS items
  FROM (SELECT 1 FROM review.item
         WHERE state IN ('SECOND_APPROVAL', 'SECOND_UNDO') AND first_person IS DISTINCT FROM %(viewer)s
         LIMIT 1000) AS bounded

-- name: measures
-- The last 24 hours; a brin index keeps it from reading what came before.
WITH recent AS (
    SELECT decision.action, decision.taken_back_by,
           extract(epoch FROM decision.decided_at - item_revision.received_at)::float8 AS seconds
      FROM review.decision
      JOIN review.item_revision USING (item_id, revision)
     WHERE decision.decided_at > now() - interval '24 hours'
       AND decision.action IN ('APPROVE', 'REJECT', 'NEED_INFO')
), writes AS (
    SELECT write_back.state, write_back.attempts,
           extract(epoch FROM write_back.changed_at - decision.not_before)::float8 AS seconds
      FROM review.decision JOIN review.write_back USING (decision_id)
     WHERE decision.decided_at > now() - interval '24 hours'
)
SELECT (SELECT count(*) FROM review.item WHERE state IN ('PENDING', 'SECOND_APPROVAL')) AS pending,
       (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FROM recent) AS review_p50,
       (SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) FROM recent) AS review_p95,
       (SELECT count(*) FROM recent WHERE taken_back_by IS NULL) AS decided,
       (SELECT count(*) FROM recent WHERE action = 'APPROVE' AND taken_back_by IS NULL) AS approved,
       (SELECT count(*) FROM recent WHERE action = 'REJECT' AND taken_back_by IS NULL) AS rejected,
       (SELECT count(*) FROM writes WHERE state = 'APPLIED') AS written,
       (SELECT count(*) FROM writes
         WHERE state IN ('CONFLICT', 'REFUSED', 'STUCK', 'ABANDONED')) AS not_written,
       (SELECT coalesce(sum(greatest(attempts - 1, 0)), 0)::bigint FROM writes) AS retries,
       (SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) FROM writes
         WHERE state = 'APPLIED') AS write_p95

-- name: measures_by_hour
-- The last 24 hours, one row each, also of hours in which nothing happened.
WITH recent AS (
    SELECT date_trunc('hour', decision.decided_at) AS hour, decision.action,
           extract(epoch FROM decision.decided_at - item_revision.received_at)::float8 AS seconds
      FROM review.decision
      JOIN review.item_revision USING (item_id, revision)
     WHERE decision.decided_at > now() - interval '24 hours'
       AND decision.action IN ('APPROVE', 'REJECT', 'NEED_INFO')
       AND decision.taken_back_by IS NULL
), decided AS (
    SELECT hour, count(*)::int AS decided,
           (count(*) FILTER (WHERE action = 'APPROVE'))::int AS approved,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS review_p50
      FROM recent GROUP BY hour
), writes AS (
    SELECT date_trunc('hour', decision.decided_at) AS hour,
           (count(*) FILTER (WHERE write_back.state = 'APPLIED'))::int AS written,
           (count(*) FILTER (WHERE write_back.state IN
               ('CONFLICT', 'REFUSED', 'STUCK', 'ABANDONED')))::int AS not_written,
           coalesce(sum(greatest(write_back.attempts - 1, 0)), 0)::int AS retries,
           (percentile_cont(0.95) WITHIN GROUP (ORDER BY
               extract(epoch FROM write_back.changed_at - decision.not_before)::float8)
               FILTER (WHERE write_back.state = 'APPLIED')) AS write_p95
      FROM review.decision JOIN review.write_back USING (decision_id)
     WHERE decision.decided_at > now() - interval '24 hours'
     GROUP BY 1
)
SELECT hours.hour, coalesce(decided, 0) AS decided, coalesce(approved, 0) AS approved, review_p50,
       coalesce(written, 0) AS written, coalesce(not_written, 0) AS not_written,
       coalesce(retries, 0) AS retries, write_p95
  FROM generate_series(date_trunc('hour', now()) - interval '23 hours',
                       date_trunc('hour', now()), interval '1 hour') AS hours (hour)
  LEFT JOIN decided USING (hour)
  LEFT JOIN writes USING (hour)
 ORDER BY hours.hour

-- name: ready
SELECT 1 AS one

-- name: policy_in_force
SELECT review.policy_in_force()

-- name: newest_policy
SELECT coalesce(max(ordinal), 0) AS ordinal FROM review.policy

-- name: policy_text
SELECT text FROM review.policy WHERE ordinal = %(ordinal)s

-- name: lock_policy
-- Alone: nothing is decided or taken in under the policy before while another one is stored.
SELECT pg_advisory_xact_lock(hashtextextended('review.policy', 0))

-- name: policies
-- The newest first, without their texts; and what holding the waiting items against them has done.
SELECT policy.ordinal, policy.version, policy.digest, policy.saved_at, policy.name, policy.reason,
       sweep.examined, sweep.raised, sweep.finished_at
  FROM review.policy LEFT JOIN review.policy_sweep AS sweep USING (ordinal)
 ORDER BY policy.ordinal DESC LIMIT 50

-- name: policy
SELECT policy.ordinal, policy.version, policy.digest, policy.text, policy.saved_at, policy.name,
       policy.person_id, policy.reason, sweep.examined, sweep.raised, sweep.finished_at
  FROM review.policy LEFT JOIN review.policy_sweep AS sweep USING (ordinal)
 WHERE policy.ordinal = coalesce(%(ordinal)s::integer, (SELECT max(ordinal) FROM review.policy))

-- name: add_policy
INSERT INTO review.policy (ordinal, version, digest, text, person_id, actor_id, name, reason)
SELECT coalesce(max(ordinal), 0) + 1, %(version)s, %(digest)s, %(text)s, %(person)s::uuid,
       %(actor)s::uuid, %(name)s, %(reason)s
  FROM review.policy
RETURNING ordinal, saved_at

-- name: waiting_items
-- What waits in one state, page by page in the order in which it is decided. Keys are text, because
-- no due date is infinity, which no Python date is.
SELECT item.item_id, item.version, item.state, item.lane, item.instance, item.identifier,
       item.risk, item.external_id, item_revision.title, item_revision.event,
       item.due_at::text AS due_key, -item.risk AS risk_key
  FROM review.item JOIN review.item_revision USING (item_id, revision)
 WHERE item.state = %(state)s
   AND (item.due_at, (-item.risk), item.item_id)
       > (%(due_key)s::timestamptz, %(risk_key)s::double precision, %(item)s::uuid)
   AND (item.lane = 'ordinary' OR %(all)s)
 ORDER BY item.due_at, (-item.risk), item.item_id LIMIT %(limit)s

-- name: raise_lanes
-- Only of what is as it was read: who has decided meanwhile has decided under the new policy.
UPDATE review.item
   SET lane = 'critical', policy_version = %(policy_version)s, version = item.version + 1
  FROM unnest(%(items)s::uuid[], %(versions)s::integer[]) AS row (id, version)
 WHERE item.item_id = row.id AND item.version = row.version

-- name: unswept_policy
-- The policy in force, while the waiting items have not been held against it.
SELECT policy.ordinal, policy.text
  FROM review.policy
 WHERE policy.ordinal = (SELECT max(ordinal) FROM review.policy)
   AND NOT EXISTS (SELECT 1 FROM review.policy_sweep WHERE policy_sweep.ordinal = policy.ordinal)

-- name: add_sweep
INSERT INTO review.policy_sweep (ordinal, examined, raised)
VALUES (%(ordinal)s, %(examined)s, %(raised)s) ON CONFLICT (ordinal) DO NOTHING

-- name: lock_items
-- In the order of their ids, as everybody who locks several does.
SELECT item_id::text, revision, state, version, lane, open_decision::text
  FROM review.item WHERE item_id = ANY (%(items)s::uuid[]) ORDER BY item_id FOR UPDATE

-- name: known_revisions
SELECT item_revision.item_id::text, item_revision.revision, item_revision.content_digest
  FROM unnest(%(items)s::uuid[], %(revisions)s::integer[]) AS asked (item_id, revision)
  JOIN review.item_revision USING (item_id, revision)

-- name: copy_items
COPY review.item (item_id, source, external_id, revision, state, lane, policy_version, system,
                  instance, identifier, risk, divergence, due_at, correlation_id)
FROM STDIN

-- name: copy_revisions
COPY review.item_revision (item_id, revision, event_id, content_digest, title, search, event)
FROM STDIN (FORMAT binary)

-- name: revise_item
-- A higher revision replaces the proposal; the identity stays, all that was said may change.
UPDATE review.item
   SET revision = %(revision)s, state = %(state)s, lane = %(lane)s,
       policy_version = %(policy_version)s, system = %(system)s, instance = %(instance)s,
       identifier = %(identifier)s, risk = %(risk)s, divergence = %(divergence)s,
       due_at = %(due_at)s, correlation_id = %(correlation_id)s,
       version = version + 1, changed_at = now(), open_decision = NULL,
       claim_person = NULL, claim_name = NULL, claim_until = NULL,
       first_approval = NULL, first_person = NULL
 WHERE item_id = %(item)s

-- name: add_write_back_events
INSERT INTO review.write_back_event (write_back_id, transition, content_digest, state, at,
                                     attempts, reason_code, reason)
SELECT write_back_id, transition, content_digest, state, at, attempts, reason_code, reason
  FROM unnest(%(ids)s::uuid[], %(transitions)s::integer[], %(digests)s::bytea[],
              %(states)s::text[], %(ats)s::timestamptz[], %(attempts)s::integer[],
              %(reason_codes)s::text[], %(reasons)s::text[])
       AS row (write_back_id, transition, content_digest, state, at, attempts, reason_code, reason)
    ON CONFLICT (write_back_id, transition) DO NOTHING
RETURNING write_back_id::text, transition

-- name: known_write_back_events
SELECT write_back_id::text, transition, content_digest
  FROM unnest(%(ids)s::uuid[], %(transitions)s::integer[]) AS asked (write_back_id, transition)
  JOIN review.write_back_event USING (write_back_id, transition)

-- name: move_write_backs
-- Only forward: an older transition that comes late is history.
UPDATE review.write_back
   SET state = row.state, transition = row.transition, attempts = row.attempts,
       next_attempt_at = row.next_attempt_at, reason_code = row.reason_code, reason = row.reason,
       target_version = row.target_version,
       conflicting = ARRAY(SELECT jsonb_array_elements_text(row.conflicting::jsonb)),
       changed_at = row.at
  FROM unnest(%(ids)s::uuid[], %(transitions)s::integer[], %(states)s::text[],
              %(attempts)s::integer[], %(next_attempts)s::timestamptz[], %(reason_codes)s::text[],
              %(reasons)s::text[], %(target_versions)s::text[], %(conflicting)s::text[],
              %(ats)s::timestamptz[])
       AS row (id, transition, state, attempts, next_attempt_at, reason_code, reason,
               target_version, conflicting, at)
 WHERE write_back.write_back_id = row.id AND write_back.transition < row.transition

-- name: states_of_decisions
SELECT decision.decision_id::text, decision.item_id::text, decision.revision, item.source,
       item.external_id, item.correlation_id, item.instance, item.identifier,
       array_agg(write_back.state) AS states
  FROM review.decision
  JOIN review.item USING (item_id)
  JOIN review.write_back USING (decision_id)
 WHERE decision.decision_id = ANY (%(decisions)s::uuid[])
 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8

-- name: known_write_backs
SELECT write_back_id::text FROM review.write_back WHERE write_back_id = ANY (%(ids)s::uuid[])

-- name: move_items
UPDATE review.item
   SET state = row.state, version = version + 1, changed_at = now()
  FROM unnest(%(items)s::uuid[], %(states)s::text[]) AS row (id, state)
 WHERE item.item_id = row.id

-- name: add_control_item
-- Only what has not come yet can be one.
INSERT INTO review.control_item (item_id, source, external_id, expected, added_by)
SELECT %(item)s::uuid, %(source)s::text, %(external_id)s::text, %(expected)s::text, %(by)s::text
 WHERE NOT EXISTS (SELECT 1 FROM review.item WHERE item_id = %(item)s)
    ON CONFLICT (item_id) DO NOTHING
RETURNING item_id

-- name: control_items
SELECT item_id, source, external_id, expected, added_at, added_by, event IS NOT NULL AS arrived,
       released_at, person_id, name, role, action, decided_at
  FROM review.control_item ORDER BY added_at DESC, item_id LIMIT 1000

-- name: control_items_expected
-- Which of these are control items that have not been let in.
SELECT item_id::text, coalesce(revision, 0), coalesce(content_digest, '')
  FROM review.control_item
 WHERE item_id = ANY (%(items)s::uuid[]) AND released_at IS NULL ORDER BY item_id FOR UPDATE

-- name: keep_control_item
UPDATE review.control_item
   SET revision = %(revision)s, content_digest = %(digest)s, event = %(event)s
 WHERE item_id = %(item)s

-- name: release_control_items
UPDATE review.control_item SET released_at = now()
 WHERE item_id IN (SELECT item_id FROM review.control_item
                    WHERE event IS NOT NULL AND released_at IS NULL
                    ORDER BY added_at, item_id LIMIT %(most)s FOR UPDATE SKIP LOCKED)
RETURNING event

-- name: mark_control_items
UPDATE review.item SET control_item = true WHERE item_id = ANY (%(items)s::uuid[])

-- name: control_item_answer
SELECT expected FROM review.control_item WHERE item_id = %(item)s

-- name: control_item_result
SELECT expected, name, role, action, decided_at FROM review.control_item
 WHERE item_id = %(item)s AND decided_at IS NOT NULL

-- name: answer_control_item
-- Closes the item and keeps what was answered; checked and claimed as any decision.
WITH closed AS (
    UPDATE review.item
       SET state = %(state)s, version = version + 1, changed_at = %(at)s,
           claim_person = NULL, claim_name = NULL, claim_until = NULL
     WHERE item_id = %(item)s AND version = %(version)s AND control_item
       AND CASE WHEN claim_until > clock_timestamp()
                THEN claim_person = %(person)s AND coalesce(%(claim)s::integer = claims, true)
                ELSE %(claim)s::integer IS NULL END
    RETURNING item_id
), kept AS (
    UPDATE review.control_item
       SET person_id = %(person)s, name = %(name)s, role = %(role)s, action = %(action)s,
           decided_at = %(at)s
      FROM closed WHERE control_item.item_id = closed.item_id
), answered AS (
    INSERT INTO review.idempotency (person_id, key, request_digest, status, body)
    SELECT %(person)s::uuid, %(request_key)s::text, %(request_digest)s::bytea, 201,
           %(body)s::bytea
      FROM closed
), told AS (
    INSERT INTO review.outbox (id, aggregatetype, aggregateid, type, payload, headers)
    SELECT %(id)s::uuid, %(topic)s::text, %(key)s::bytea, %(type)s::text, %(payload)s::bytea,
           %(headers)s::bytea
      FROM closed
)
SELECT item_id FROM closed

-- name: conduct
-- How people decided lately, first approvals and control items included: the newest of each, a
-- bounded number however many there are. What was taken back was not meant.
WITH recent AS (
    (SELECT person_id, item_id, revision, action, edited, decided_at AS at, NULL::boolean AS missed
       FROM review.decision
      WHERE decided_at > now() - %(days)s::integer * interval '1 day'
        AND action IN ('APPROVE', 'REJECT', 'NEED_INFO') AND taken_back_by IS NULL
      ORDER BY decided_at DESC, decision_id DESC LIMIT %(most)s)
    UNION ALL
    (SELECT person_id, item_id, revision, action, edited, approved_at, NULL
       FROM review.approval
      WHERE approved_at > now() - %(days)s::integer * interval '1 day' AND action = 'APPROVE'
      ORDER BY approved_at DESC LIMIT %(most)s)
    UNION ALL
    (SELECT person_id, item_id, revision, action, false, decided_at,
            (action = 'APPROVE') <> (expected = 'APPROVE')
       FROM review.control_item
      WHERE decided_at > now() - %(days)s::integer * interval '1 day'
      ORDER BY decided_at DESC LIMIT %(most)s)
)
SELECT recent.person_id, person.name, count(*)::int AS decided,
       (count(*) FILTER (WHERE action = 'APPROVE'))::int AS approved,
       (count(*) FILTER (WHERE action = 'APPROVE' AND edited))::int AS edited,
       (count(*) FILTER (WHERE action = 'APPROVE' AND opening.evidence_at <= recent.at))::int
           AS looked,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY
           extract(epoch FROM recent.at - opening.opened_at)::float8) AS dwell,
       count(missed)::int AS controls, (count(*) FILTER (WHERE missed))::int AS missed
  FROM recent
  JOIN review.person USING (person_id)
  LEFT JOIN review.opening USING (item_id, revision, person_id)
 GROUP BY recent.person_id, person.name

-- name: expire_baselines
-- What was read before a write says nothing about now. It stays as the last known value.
UPDATE review.baseline SET expires_at = now()
  FROM unnest(%(instances)s::text[], %(identifiers)s::text[]) AS row (instance, identifier)
 WHERE baseline.instance = row.instance AND baseline.identifier = row.identifier

-- name: labels
-- Decisions that stand, after a place in time; without `event` where they are another source's, so
-- that a page costs the same however few are wanted. The end is now() and not the clock: with a
-- bound that is the same for the whole statement the index is read no further.
SELECT page.decision_id, page.action, page.decided_at, page.lane,
       CASE WHEN page.wanted THEN page.statement END AS statement,
       CASE WHEN page.wanted THEN item_revision.event END AS event,
       undo.decided_at AS undone_at, undo.role AS undone_role
  FROM (SELECT decision.decision_id, decision.item_id, decision.revision, decision.ordinal,
               decision.action, decision.decided_at, decision.statement, known.lane,
               decision.action <> 'TAKE_BACK' AND decision.taken_back_by IS NULL
               AND (%(source)s::text IS NULL OR known.source = %(source)s) AS wanted
          FROM review.decision JOIN review.item AS known USING (item_id)
         WHERE (decision.decided_at, decision.decision_id) > (%(after_at)s, %(after_id)s)
           AND decision.decided_at < least(
                   %(until)s::timestamptz,
                   now() - %(settled)s::float8 * interval '1 second')
         ORDER BY decision.decided_at, decision.decision_id LIMIT %(limit)s) AS page
  JOIN review.item_revision USING (item_id, revision)
  LEFT JOIN LATERAL (
        SELECT later.decided_at, later.role FROM review.decision AS later
         WHERE later.item_id = page.item_id AND later.ordinal > page.ordinal
           AND later.action = 'UNDO' AND later.taken_back_by IS NULL
           AND later.statement::json ->> 'undoes' = page.decision_id::text
         ORDER BY later.ordinal LIMIT 1) AS undo ON page.action = 'APPROVE'
 ORDER BY page.decided_at, page.decision_id

-- name: stops
SELECT scope, name, role, reason, stopped_at FROM review.stop ORDER BY stopped_at, scope

-- name: lock_stops
-- Operators are few: one at a time, so that what was let go is what was held.
LOCK TABLE review.stop IN SHARE ROW EXCLUSIVE MODE

-- name: add_stop
-- Whoever stopped it first is named until it is let go.
INSERT INTO review.stop (scope, actor_id, name, role, reason)
VALUES (%(scope)s, %(actor)s, %(name)s, %(role)s, %(reason)s)
    ON CONFLICT (scope) DO NOTHING

-- name: end_stop
DELETE FROM review.stop WHERE scope = %(scope)s

-- name: bulk_items
-- What a list shows of some items, and what is decided of them: in the order they were named in.
SELECT item.item_id, item.source, item.external_id, item.revision, item.state, item.lane,
       item.instance, item.identifier, item_revision.title, item.first_person,
       CASE WHEN item.claim_until > clock_timestamp() THEN item.claim_name END AS claimed_by,
       item.claim_person, item.claim_until
  FROM unnest(%(items)s::uuid[]) WITH ORDINALITY AS named (item_id, place)
  JOIN review.item USING (item_id)
  JOIN review.item_revision USING (item_id, revision)
 ORDER BY named.place

-- name: bulk_events
SELECT item.item_id, item_revision.event,
       first.approval_id AS first_id, first.person_id AS first_person, first.name AS first_name,
       first.role AS first_role, first.approved_at AS first_at,
       first.statement AS first_statement
  FROM unnest(%(items)s::uuid[]) AS named (item_id)
  JOIN review.item USING (item_id)
  JOIN review.item_revision USING (item_id, revision)
  LEFT JOIN review.approval AS first ON first.approval_id = item.first_approval

-- name: stored_answer
SELECT request_digest, status, body FROM review.idempotency
 WHERE person_id = %(person)s AND key = %(key)s

-- name: store_answer
INSERT INTO review.idempotency (person_id, key, request_digest, status, body)
VALUES (%(person)s, %(key)s, %(request_digest)s, %(status)s, %(body)s)

-- name: forensic_place
-- Locked: of several workers one counts, and the others pass.
SELECT decided_at, decision_id FROM review.forensic_cursor FOR UPDATE SKIP LOCKED

-- name: move_forensic_place
UPDATE review.forensic_cursor SET decided_at = %(decided_at)s, decision_id = %(decision_id)s

-- name: add_forensic_counts
INSERT INTO review.forensic_week (week, dimension, value, decided, overridden, divergence)
SELECT week, dimension, value, decided, overridden, divergence
  FROM unnest(%(week)s::date[], %(dimension)s::text[], %(value)s::text[], %(decided)s::bigint[],
              %(overridden)s::bigint[], %(divergence)s::float8[])
       AS made (week, dimension, value, decided, overridden, divergence)
ON CONFLICT (week, dimension, value) DO UPDATE
   SET decided = forensic_week.decided + excluded.decided,
       overridden = forensic_week.overridden + excluded.overridden,
       divergence = forensic_week.divergence + excluded.divergence

-- name: add_forensic_outlier
INSERT INTO review.forensic_outlier
       (decision_id, item_id, week, decided_at, model, divergence, overridden, surprise)
VALUES (%(decision_id)s, %(item_id)s, %(week)s, %(decided_at)s, %(model)s, %(divergence)s,
        %(overridden)s, %(surprise)s)
ON CONFLICT (decision_id) DO NOTHING

-- name: forensic_weeks
SELECT week, decided, overridden, divergence FROM review.forensic_week
 WHERE week >= %(since)s AND dimension = 'all' ORDER BY week

-- name: forensic_values
-- Of each dimension the values that most decisions are about.
SELECT dimension, value, decided, overridden, divergence, others
  FROM (SELECT dimension, value, sum(decided)::bigint AS decided,
               sum(overridden)::bigint AS overridden, sum(divergence) AS divergence,
               row_number() OVER (PARTITION BY dimension
                                  ORDER BY sum(decided) DESC, value) AS place,
               count(*) OVER (PARTITION BY dimension) - %(most)s AS others
          FROM review.forensic_week
         WHERE week >= %(since)s AND dimension <> 'all'
         GROUP BY dimension, value) AS ranked
 WHERE place <= %(most)s
 ORDER BY dimension, decided DESC, value

-- name: forensic_outliers
-- The index is by week: of each week the first few, and of those the first few.
SELECT outlier.decision_id, outlier.item_id, outlier.decided_at, outlier.model, outlier.divergence,
       outlier.overridden
  FROM generate_series(%(since)s::date, current_date, interval '7 days') AS monday
 CROSS JOIN LATERAL (
        SELECT decision_id, item_id, decided_at, model, divergence, overridden, surprise
          FROM review.forensic_outlier WHERE week = monday::date
         ORDER BY surprise DESC, decision_id LIMIT %(most)s) AS outlier
 ORDER BY outlier.surprise DESC, outlier.decided_at DESC LIMIT %(most)s
