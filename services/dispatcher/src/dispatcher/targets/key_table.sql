-- The key table of a SQL target: run once, by the owner of the target's schema, in that schema.
-- A row says that a write-back was made, in the transaction that made it. Never delete rows: a
-- replay may come years later.
CREATE TABLE IF NOT EXISTS placet_write_back (
    write_back_id uuid PRIMARY KEY,
    identifier    text NOT NULL,          -- the record that was written
    version       text,                   -- its version after the write
    before        jsonb,                  -- changed fields before the write: name -> JSON text
    applied_at    timestamptz NOT NULL DEFAULT now()
);
