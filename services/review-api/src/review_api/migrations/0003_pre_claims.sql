-- Who is at which item. A claim is a lease in the item's own row, so that a decision checks it under
-- the lock that it takes anyway, and a list shows it without a join. `claims` only ever grows: it is
-- the fencing token of the latest claim.
ALTER TABLE item ADD COLUMN claims integer NOT NULL DEFAULT 0;
ALTER TABLE item ADD COLUMN claim_person uuid;
ALTER TABLE item ADD COLUMN claim_name text;
ALTER TABLE item ADD COLUMN claim_until timestamptz;

-- What somebody has passed over: it stays in the queue for everybody, and does not come to them.
CREATE TABLE skip (
    person_id       uuid NOT NULL,
    item_id         uuid NOT NULL,
    revision        integer NOT NULL,
    reason          text NOT NULL,
    skipped_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (person_id, item_id, revision)
);

-- When somebody who may decide first looked at a revision: told once, however often they look.
CREATE TABLE opening (
    item_id         uuid NOT NULL,
    revision        integer NOT NULL,
    person_id       uuid NOT NULL,
    opened_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (item_id, revision, person_id)
);
