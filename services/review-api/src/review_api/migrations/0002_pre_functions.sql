-- The two transactions that must cost one round trip each. Everything else is in queries.sql.

-- Avro's long: zig-zag, then seven bits a byte, least significant first (Avro 1.11, "Primitive
-- Types"). The target's ordinal is drawn here, and is last on the wire of ReviewDecision for that.
CREATE FUNCTION avro_long(value bigint) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    rest bigint := (value << 1) # (value >> 63);
    out bytea := '';
BEGIN
    WHILE (rest & ~127::bigint) <> 0 LOOP
        out := out || set_byte('\x00', 0, ((rest & 127) | 128)::integer);
        rest := (rest >> 7) & 144115188075855871;  -- 2^57 - 1: shift in zeros, not the sign
    END LOOP;
    RETURN out || set_byte('\x00', 0, rest::integer);
END
$$;

-- One decision, whole: state, ordinals, decision, its write-backs, the answer under its key, and
-- the event. NULL: the item is not at the version that was read, and nothing was done.
-- Raises unique_violation where the same person used the same key at the same time.
CREATE FUNCTION decide(
    p_item uuid, p_version integer, p_state text, p_lane text, p_policy_version text,
    p_decision uuid, p_ordinal integer, p_revision integer, p_action text,
    p_person uuid, p_actor uuid, p_name text, p_role text, p_reason_code text,
    p_at timestamptz, p_not_before timestamptz,
    p_statement text, p_key_id text, p_signature bytea,
    p_record_key bytea, p_draws boolean, p_payload bytea, p_headers bytea,
    p_write_backs uuid[], p_steps text[],
    p_key text, p_request_digest bytea, p_body bytea,
    p_outcome_id uuid, p_outcome_key bytea, p_outcome bytea, p_outcome_headers bytea
) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    drawn bigint := 0;
BEGIN
    UPDATE review.item
       SET state = p_state, lane = p_lane, policy_version = p_policy_version,
           decisions = p_ordinal, version = p_version + 1, changed_at = p_at,
           open_decision = p_decision
     WHERE item_id = p_item AND version = p_version;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF p_draws THEN
        INSERT INTO review.target_order AS known (record_key, last) VALUES (p_record_key, 1)
            ON CONFLICT (record_key) DO UPDATE SET last = known.last + 1
            RETURNING last INTO drawn;
    END IF;
    INSERT INTO review.decision (decision_id, item_id, ordinal, revision, action, person_id,
                                 actor_id, name, role, reason_code, decided_at, not_before,
                                 target_ordinal, statement, key_id, signature)
    VALUES (p_decision, p_item, p_ordinal, p_revision, p_action, p_person,
            p_actor, p_name, p_role, p_reason_code, p_at, p_not_before,
            drawn, p_statement, p_key_id, p_signature);
    IF p_draws THEN
        INSERT INTO review.write_back (write_back_id, decision_id, item_id, step, state,
                                       next_attempt_at, changed_at)
        SELECT step.id, p_decision, p_item, step.name, 'WAITING', p_not_before, p_at
          FROM unnest(p_write_backs, p_steps) AS step (id, name);
    END IF;
    INSERT INTO review.idempotency (person_id, key, request_digest, status, body)
    VALUES (p_person, p_key, p_request_digest, 201, p_body);
    -- The event, held until the hold is over; the ordinal is its last field.
    INSERT INTO review.outbox (id, aggregatetype, aggregateid, type, payload, headers, not_before)
    VALUES (p_decision, 'placet.decisions', p_record_key, 'ReviewDecision',
            p_payload || review.avro_long(drawn), p_headers, p_not_before);
    IF p_outcome_id IS NOT NULL THEN
        INSERT INTO review.outbox (id, aggregatetype, aggregateid, type, payload, headers,
                                   not_before)
        VALUES (p_outcome_id, 'placet.outcomes', p_outcome_key, 'Outcome', p_outcome,
                p_outcome_headers, p_not_before);
    END IF;
    RETURN drawn;
END
$$;

-- Take a decision back: the event that was held is replaced by one that closes its ordinal.
-- false: the item is not at the version that was read. Raises PL001 when the hold is over.
CREATE FUNCTION take_back(
    p_item uuid, p_version integer, p_state text, p_taken uuid, p_outcome_id uuid,
    p_decision uuid, p_ordinal integer, p_revision integer,
    p_person uuid, p_actor uuid, p_name text, p_role text, p_at timestamptz,
    p_target_ordinal bigint, p_statement text, p_key_id text, p_signature bytea,
    p_record_key bytea, p_payload bytea, p_headers bytea
) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE review.item
       SET state = p_state, decisions = p_ordinal, version = p_version + 1, changed_at = p_at,
           open_decision = NULL
     WHERE item_id = p_item AND version = p_version;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM review.outbox WHERE id = p_taken AND not_before > clock_timestamp();
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the hold is over' USING ERRCODE = 'PL001';
    END IF;
    DELETE FROM review.outbox WHERE id = p_outcome_id;
    UPDATE review.decision SET taken_back_by = p_decision WHERE decision_id = p_taken;
    UPDATE review.write_back
       SET state = 'CANCELLED', next_attempt_at = NULL, changed_at = p_at
     WHERE decision_id = p_taken;
    INSERT INTO review.decision (decision_id, item_id, ordinal, revision, action, person_id,
                                 actor_id, name, role, decided_at, not_before,
                                 target_ordinal, statement, key_id, signature)
    VALUES (p_decision, p_item, p_ordinal, p_revision, 'TAKE_BACK', p_person,
            p_actor, p_name, p_role, p_at, p_at,
            p_target_ordinal, p_statement, p_key_id, p_signature);
    INSERT INTO review.outbox (id, aggregatetype, aggregateid, type, payload, headers)
    VALUES (p_decision, 'placet.decisions', p_record_key, 'ReviewDecision', p_payload, p_headers);
    RETURN true;
END
$$;
