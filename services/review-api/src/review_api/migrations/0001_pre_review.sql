-- The tables of the review desk. Everything is qualified where it can be run by somebody else's
-- search_path (functions); here search_path is the schema.

-- One row per (source, external_id). Narrow, because every decision and every write-back rewrites
-- it: texts are in item_revision, which is never updated.
CREATE TABLE item (
    item_id         uuid PRIMARY KEY,
    source          text NOT NULL,
    external_id     text NOT NULL,
    revision        integer NOT NULL,
    state           text NOT NULL,
    lane            text NOT NULL,
    policy_version  text NOT NULL,
    system          text NOT NULL,
    instance        text NOT NULL,
    identifier      text NOT NULL,
    risk            double precision NOT NULL,
    divergence      double precision NOT NULL,
    due_at          timestamptz NOT NULL DEFAULT 'infinity',  -- infinity: no due date, sorts last
    created_at      timestamptz NOT NULL DEFAULT now(),
    changed_at      timestamptz NOT NULL DEFAULT now(),
    correlation_id  text NOT NULL,
    decisions       integer NOT NULL DEFAULT 0,   -- ordinal of the latest decision
    version         integer NOT NULL DEFAULT 1,   -- counts every change: compare and set
    open_decision   uuid                          -- the decision whose write-backs speak for it
) WITH (fillfactor = 80);

-- Keyset pages: one state at a time, merged. Row comparison works on these as they stand.
CREATE INDEX item_by_due ON item (state, due_at, (-risk), item_id);
CREATE INDEX item_by_divergence ON item (state, (-divergence), item_id);
-- Critical items are few among many: their own index, so that finding them is not a scan.
CREATE INDEX item_critical_by_due ON item (state, due_at, (-risk), item_id)
    WHERE lane = 'critical';

-- Every revision that was ever accepted, for ever: a replay must find its digest.
CREATE TABLE item_revision (
    item_id         uuid NOT NULL,
    revision        integer NOT NULL,
    event_id        uuid NOT NULL,
    content_digest  bytea NOT NULL,
    received_at     timestamptz NOT NULL DEFAULT now(),
    title           text NOT NULL,                -- first line of the prompt, cut
    search          text NOT NULL,                -- what the list's search looks in
    event           bytea NOT NULL,               -- the ReviewItem, as it was on the topic
    PRIMARY KEY (item_id, revision)
);
CREATE INDEX item_revision_words ON item_revision USING gin (to_tsvector('simple', search))
    WITH (gin_pending_list_limit = 8192);  -- kB: words are merged in by thousands of items

CREATE TABLE decision (
    decision_id     uuid PRIMARY KEY,
    item_id         uuid NOT NULL,
    ordinal         integer NOT NULL,             -- counted under the item's row lock
    revision        integer NOT NULL,
    action          text NOT NULL,
    person_id       uuid NOT NULL,
    actor_id        uuid NOT NULL,
    name            text NOT NULL,
    role            text NOT NULL,
    reason_code     text,
    decided_at      timestamptz NOT NULL,
    not_before      timestamptz NOT NULL,         -- end of the hold
    target_ordinal  bigint NOT NULL,              -- 0 where nothing is written
    statement       text NOT NULL,                -- the signed text, whole
    key_id          text NOT NULL,
    signature       bytea NOT NULL,
    taken_back_by   uuid,                         -- the TAKE_BACK decision
    UNIQUE (item_id, ordinal)
);
-- Rates and review times of the last hours, without reading what came before.
CREATE INDEX decision_by_time ON decision USING brin (decided_at);

CREATE TABLE write_back (
    write_back_id   uuid PRIMARY KEY,
    decision_id     uuid NOT NULL,
    item_id         uuid NOT NULL,
    step            text NOT NULL,
    state           text NOT NULL,
    transition      integer NOT NULL DEFAULT 0,   -- the newest one seen
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    reason_code     text,
    reason          text,
    target_version  text,
    conflicting     text[] NOT NULL DEFAULT '{}',
    changed_at      timestamptz NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX write_back_by_decision ON write_back (decision_id);

-- Inbox and history at once: a transition is known by its number, for ever.
CREATE TABLE write_back_event (
    write_back_id   uuid NOT NULL,
    transition      integer NOT NULL,
    content_digest  bytea NOT NULL,
    state           text NOT NULL,
    at              timestamptz NOT NULL,
    attempts        integer NOT NULL,
    reason_code     text,
    reason          text,
    PRIMARY KEY (write_back_id, transition)
);

-- The stored answer of a request, per person, as long as the audit log is kept.
CREATE TABLE idempotency (
    person_id       uuid NOT NULL,
    key             text NOT NULL,
    request_digest  bytea NOT NULL,
    status          smallint NOT NULL,
    body            bytea NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (person_id, key)
);

-- The last ordinal drawn for a target record: gapless, because it is drawn in the transaction of
-- the decision. The key is the record's Kafka key.
CREATE TABLE target_order (
    record_key      bytea PRIMARY KEY,
    last            bigint NOT NULL
) WITH (fillfactor = 80);

-- What a target record held when it was last read. `fields` is a JSON object of JSON texts, as
-- text: jsonb would normalise what must stay as it is.
CREATE TABLE baseline (
    instance        text NOT NULL,
    identifier      text NOT NULL,
    fields          text NOT NULL,
    version         text,
    missing         boolean NOT NULL DEFAULT false,
    read_at         timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    PRIMARY KEY (instance, identifier)
) WITH (fillfactor = 80);

CREATE TABLE person (
    person_id       uuid PRIMARY KEY,
    name            text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);

-- Somebody may hold several accounts; they are one person, and one person decides once.
CREATE TABLE account (
    account_id      uuid PRIMARY KEY,
    person_id       uuid NOT NULL REFERENCES person,
    username        text NOT NULL UNIQUE,
    password_hash   text NOT NULL,
    roles           text[] NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    disabled_at     timestamptz
);

CREATE TABLE session (
    token_hash      bytea PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES account,
    created_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz NOT NULL
);
CREATE INDEX session_by_end ON session (expires_at);

-- Failed sign-ins by a keyed digest of the name that was typed: known and unknown names are slowed
-- down alike, and what was typed (sometimes a password) is not kept.
CREATE TABLE sign_in_failure (
    name_digest     bytea PRIMARY KEY,
    failed          integer NOT NULL,
    locked_until    timestamptz NOT NULL,
    last_at         timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE outbox (
    seq             bigint GENERATED ALWAYS AS IDENTITY,
    id              uuid PRIMARY KEY,
    aggregatetype   text NOT NULL,                -- topic
    aggregateid     bytea NOT NULL,               -- key
    type            text NOT NULL,
    payload         bytea NOT NULL,
    headers         bytea NOT NULL,
    not_before      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_due ON outbox (not_before, seq);
