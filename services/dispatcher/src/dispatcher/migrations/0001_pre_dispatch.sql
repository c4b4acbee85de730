-- The dispatcher's ledger. Run with search_path set to the schema (conveyor.migrate does).

-- Per target record: every ordinal up to `closed` is closed, so `closed + 1` may be worked on.
CREATE TABLE record_order (
    instance   text   NOT NULL,
    identifier text   NOT NULL,
    closed     bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (instance, identifier)
) WITH (fillfactor = 80);

-- One row per step, for ever: keys, digests, states and times. No text of any proposal is here,
-- so a replay years later is recognised and nothing personal is kept.
CREATE TABLE write_back (
    write_back_id    uuid        PRIMARY KEY,
    instance         text        NOT NULL,
    identifier       text        NOT NULL,
    ordinal          bigint      NOT NULL CHECK (ordinal >= 1),
    step             text        NOT NULL,
    position         smallint    NOT NULL,
    decision_id      uuid        NOT NULL,
    item_id          uuid        NOT NULL,
    revision         integer     NOT NULL,
    correlation_id   text        NOT NULL,
    statement_digest bytea       NOT NULL,
    not_before       timestamptz NOT NULL,
    state            text        NOT NULL CHECK (state IN (
        'WAITING', 'SENDING', 'RETRYING', 'UNKNOWN', 'APPLIED', 'CONFLICT', 'REFUSED', 'STUCK',
        'ABANDONED', 'CANCELLED')),
    transition       integer     NOT NULL DEFAULT 0,
    attempts         integer     NOT NULL DEFAULT 0,
    -- its ordinal is `closed + 1` and every earlier step of it is closed
    ready            boolean     NOT NULL,
    next_attempt_at  timestamptz,
    reason_code      text,
    reason           text,
    target_version   text,
    -- for targets that need a committed intent and a lease (issue "Write-back")
    intent_at        timestamptz,
    intent_digest    bytea,
    lease_owner      text,
    lease_until      timestamptz,
    fence            bigint      NOT NULL DEFAULT 0,
    created_at       timestamptz NOT NULL DEFAULT now(),
    closed_at        timestamptz,
    UNIQUE (instance, identifier, ordinal, step)
) WITH (fillfactor = 80);

CREATE INDEX write_back_due ON write_back (instance, next_attempt_at)
    WHERE ready AND state IN ('WAITING', 'RETRYING', 'UNKNOWN');
CREATE INDEX write_back_blocked ON write_back (instance, created_at)
    WHERE NOT ready AND state = 'WAITING';
CREATE INDEX write_back_stuck ON write_back (instance) WHERE state = 'STUCK';

-- The signed statement a step is made from: deleted once the step is closed.
CREATE TABLE plan (
    write_back_id uuid PRIMARY KEY,
    statement     text NOT NULL
);

-- Changed fields before and after, as JSON name -> JSON text: kept as long as undo is offered.
-- bytea, because the vault will encrypt them under the subject's key.
CREATE TABLE image (
    write_back_id uuid        PRIMARY KEY,
    before        bytea,
    after         bytea       NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);

-- Ordinals closed by a TAKE_BACK, which may come before or without the decision it takes back.
CREATE TABLE take_back (
    decision_id      uuid   PRIMARY KEY,
    instance         text   NOT NULL,
    identifier       text   NOT NULL,
    ordinal          bigint NOT NULL,
    taken            uuid   NOT NULL,
    statement_digest bytea  NOT NULL,
    UNIQUE (instance, identifier, ordinal)
);

CREATE TABLE outbox (
    seq           bigint      GENERATED ALWAYS AS IDENTITY,
    id            uuid        PRIMARY KEY,
    aggregatetype text        NOT NULL,
    aggregateid   bytea       NOT NULL,
    type          text        NOT NULL,
    payload       bytea       NOT NULL,
    headers       bytea       NOT NULL,
    not_before    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_due ON outbox (not_before, seq);
