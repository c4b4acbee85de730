-- Payloads are locked under the key of whom they are about (libs/vault). `subject` names the key;
-- null: a row older than the vault, salt and parts in clear, which stays readable. Where there is a
-- subject, `salt` is empty and `parts` holds both, sealed. A record whose subject was destroyed
-- before it came has no payload at all.

ALTER TABLE payload ADD COLUMN subject text;

-- Whose words they are, so that they can be taken out of the index once the key is destroyed.
ALTER TABLE search ADD COLUMN subject text;
CREATE INDEX search_subject ON search (subject, sequence) WHERE subject IS NOT NULL;

-- How far the vault's destructions have been carried out here. One row.
CREATE TABLE forgotten (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    "position" bigint NOT NULL
);
