-- First approvals of two. A row is what somebody signed; whether it still counts is said by the item.
CREATE TABLE approval (
    approval_id     uuid PRIMARY KEY,             -- the FIRST_APPROVAL event's id
    item_id         uuid NOT NULL,
    revision        integer NOT NULL,
    person_id       uuid NOT NULL,
    actor_id        uuid NOT NULL,
    name            text NOT NULL,
    role            text NOT NULL,
    approved_at     timestamptz NOT NULL,
    statement       text NOT NULL,                -- the signed text, whole
    key_id          text NOT NULL,
    signature       bytea NOT NULL
);
CREATE INDEX approval_by_item ON approval (item_id, approved_at);

-- Set while the item is SECOND_APPROVAL, and only then. The person is beside it for the list of what
-- waits for somebody else's second approval.
ALTER TABLE item ADD COLUMN first_approval uuid;
ALTER TABLE item ADD COLUMN first_person uuid;

ALTER TABLE decision ADD COLUMN first_approval uuid;  -- the one that this decision completes
