-- Every statement of the vault, by name. Whoever is not its owner calls functions.

-- name: keys_for
SELECT subject, wrapped, kek_id FROM vault.keys_for(%s::text[], %s::bytea[], %s)

-- name: find_keys
SELECT subject, wrapped, kek_id FROM vault.find_keys(%s::text[])

-- name: destroyed_after
SELECT number, subject FROM vault.destroyed_after(%s, %s)

-- name: destroy
SELECT vault.destroy(%s, %s, %s)

-- name: keks
SELECT kek_id FROM vault.keks()

-- name: read_wrapped
-- The owner's, for rotation: in order, so that each batch goes on where the last one ended.
SELECT subject, wrapped, kek_id FROM vault.key
WHERE subject > %s AND kek_id <> %s
ORDER BY subject
LIMIT %s

-- name: replace_wrapped
-- The owner's. A key that was destroyed or wrapped anew meanwhile stays as it is.
UPDATE vault.key k SET wrapped = made.wrapped, kek_id = made.kek_id
FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::text[])
     AS made (subject, old_kek, wrapped, kek_id)
WHERE k.subject = made.subject AND k.kek_id = made.old_kek

-- name: note_kek
INSERT INTO vault.kek (kek_id) VALUES (%s)
ON CONFLICT (kek_id) DO UPDATE SET retired = false

-- name: retire_keks
UPDATE vault.kek SET retired = true WHERE kek_id <> %s AND NOT retired

-- name: count_keys
SELECT count(*) FILTER (WHERE wrapped IS NOT NULL), count(*) FILTER (WHERE wrapped IS NULL),
       count(*) FILTER (WHERE kek_id <> %s)
FROM vault.key
