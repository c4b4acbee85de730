-- The floor's tables, beside the business table in one database.

CREATE TABLE item (
    id          bigint PRIMARY KEY,
    record      text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    status      smallint NOT NULL DEFAULT 0,
    body        jsonb NOT NULL
);
CREATE INDEX item_pending ON item (created_at, id) WHERE status = 0;

CREATE TABLE decision (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item_id     bigint NOT NULL UNIQUE,
    key         text NOT NULL UNIQUE,          -- the request's idempotency key
    verdict     text NOT NULL,
    who         text NOT NULL,
    at          timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event       jsonb NOT NULL
);

-- Which decisions the target has seen.
CREATE TABLE applied (key text PRIMARY KEY);

-- hash = SHA-256(hash of the row before || event)
CREATE TABLE audit (
    seq         bigint PRIMARY KEY,
    event       text NOT NULL,
    hash        bytea NOT NULL
);
