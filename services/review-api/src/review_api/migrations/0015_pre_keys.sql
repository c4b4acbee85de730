-- The keys that somebody chose on the desk. No row: the usual ones.
CREATE TABLE preference (
    person_id       uuid PRIMARY KEY REFERENCES person,
    keymap          text NOT NULL,                -- JSON: {"on": true, "keys": {"approve": "a", …}}
    changed_at      timestamptz NOT NULL DEFAULT now()
);
