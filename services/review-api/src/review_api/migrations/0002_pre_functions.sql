-- What SQL alone cannot say. Everything else is in queries.sql.

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
