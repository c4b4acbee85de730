-- What operators do, and what a committed intent knows before there is an after-image.

-- A row: this instance is paused.
CREATE TABLE paused (
    instance  text        PRIMARY KEY,
    actor_id  text        NOT NULL,
    reason    text,
    paused_at timestamptz NOT NULL
);

-- Controls that were carried out, for ever: a replay changes nothing.
CREATE TABLE control (event_id uuid PRIMARY KEY, content_digest bytea NOT NULL);

ALTER TABLE image ALTER COLUMN after DROP NOT NULL;

-- Intents that may lack their outcome.
CREATE INDEX write_back_sending ON write_back (instance) WHERE state = 'SENDING';
