-- One key per subject, wrapped by a key-encryption key that this server never sees; what is left of
-- a key that was destroyed; and the functions through which others come here. Nobody but the owner
-- is granted a table.

CREATE TABLE key (
    subject text PRIMARY KEY CHECK (length(subject) BETWEEN 1 AND 200),
    wrapped bytea,              -- null once it is destroyed
    kek_id text,                -- which key-encryption key wrapped it
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((wrapped IS NULL) = (kek_id IS NULL))
);

-- In order of destruction, so that whoever reads along misses none.
CREATE TABLE tombstone (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject text NOT NULL UNIQUE,
    reason text NOT NULL,
    actor text NOT NULL,
    destroyed_at timestamptz NOT NULL DEFAULT now()
);

-- The key-encryption keys that may have wrapped something here. A service that lacks one is told at
-- its start, not at the first key it cannot open.
CREATE TABLE kek (
    kek_id text PRIMARY KEY,
    first_used_at timestamptz NOT NULL DEFAULT now(),
    retired boolean NOT NULL DEFAULT false  -- wraps nothing more: it may leave the files
);

-- Existing keys of these subjects, and new ones (`candidates`, wrapped by `by_kek`) where there were
-- none: whoever comes second is given the first one's. In order of subject, so that two callers
-- cannot wait for each other.
CREATE FUNCTION keys_for(subjects text[], candidates bytea[], by_kek text)
RETURNS TABLE (subject text, wrapped bytea, kek_id text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = vault, pg_temp AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO kek (kek_id) VALUES (by_kek) ON CONFLICT DO NOTHING;
    -- The lock makes whoever retires it wait for this transaction, and then find what it wrapped.
    PERFORM FROM kek k WHERE k.kek_id = by_kek AND NOT k.retired FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'key-encryption key % was retired', by_kek;
    END IF;
    INSERT INTO key (subject, wrapped, kek_id)
    SELECT made.subject, made.wrapped, by_kek
    FROM unnest(subjects, candidates) AS made (subject, wrapped)
    ORDER BY made.subject
    ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT k.subject, k.wrapped, k.kek_id FROM key k WHERE k.subject = ANY(subjects);
END
$$;

CREATE FUNCTION find_keys(subjects text[])
RETURNS TABLE (subject text, wrapped bytea, kek_id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = vault, pg_temp AS $$
    SELECT k.subject, k.wrapped, k.kek_id FROM key k WHERE k.subject = ANY(subjects)
$$;

-- Tombstones after the first `position` ones.
CREATE FUNCTION destroyed_after("position" bigint, most integer)
RETURNS TABLE (number bigint, subject text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = vault, pg_temp AS $$
    SELECT t.number, t.subject FROM tombstone t WHERE t.number > "position" ORDER BY t.number LIMIT most
$$;

-- True where this call did it; false where the key was destroyed before. A subject that never had a
-- key is left a tombstone too: it will never have one. One at a time, so that tombstones commit in
-- the order of their numbers.
CREATE FUNCTION destroy(of_subject text, why text, who text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = vault, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('placet.vault.destroy', 0));
    INSERT INTO key (subject) VALUES (of_subject)
    ON CONFLICT (subject) DO UPDATE SET wrapped = NULL, kek_id = NULL;
    INSERT INTO tombstone (subject, reason, actor) VALUES (of_subject, why, who)
    ON CONFLICT (subject) DO NOTHING;
    RETURN FOUND;
END
$$;

CREATE FUNCTION keks() RETURNS TABLE (kek_id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = vault, pg_temp AS $$
    SELECT k.kek_id FROM kek k WHERE NOT k.retired ORDER BY k.first_used_at, k.kek_id
$$;

REVOKE ALL ON FUNCTION keys_for, find_keys, destroyed_after, destroy, keks FROM PUBLIC;
