-- When somebody opened the evidence of a revision: the server's own fact, beside the first look.
ALTER TABLE opening ADD COLUMN evidence_at timestamptz;

-- Whether the approved fields are the model's own, for the rates of each person.
ALTER TABLE decision ADD COLUMN edited boolean NOT NULL DEFAULT false;
ALTER TABLE approval ADD COLUMN edited boolean NOT NULL DEFAULT false;
CREATE INDEX approval_by_moment ON approval (approved_at);

-- Items whose answer is known. They wait here, are let into the queue among others, and end here:
-- a decision on one is no decision, and is written nowhere else. The item's own mark is never shown.
ALTER TABLE item ADD COLUMN control_item boolean NOT NULL DEFAULT false;
CREATE TABLE control_item (
    item_id         uuid PRIMARY KEY,
    source          text NOT NULL,
    external_id     text NOT NULL,
    expected        text NOT NULL,                -- APPROVE or REJECT
    added_at        timestamptz NOT NULL DEFAULT now(),
    added_by        text NOT NULL,
    revision        integer,                      -- of the event that waits
    content_digest  bytea,
    event           bytea,                        -- the ReviewItem, once the pipeline's way is gone
    released_at     timestamptz,
    person_id       uuid,                         -- who answered, and what
    name            text,
    role            text,
    action          text,
    decided_at      timestamptz
);
CREATE INDEX control_item_waiting ON control_item (added_at, item_id)
    WHERE event IS NOT NULL AND released_at IS NULL;
CREATE INDEX control_item_answered ON control_item (decided_at) WHERE decided_at IS NOT NULL;
