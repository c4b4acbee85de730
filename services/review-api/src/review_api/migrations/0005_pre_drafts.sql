-- What somebody has typed and not sent, per person and item. It outlives the decision, because a
-- decision can be taken back; `body` is JSON as the page sent it.
CREATE TABLE draft (
    person_id       uuid NOT NULL,
    item_id         uuid NOT NULL,
    revision        integer NOT NULL,
    body            text NOT NULL,
    saved_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (person_id, item_id)
) WITH (fillfactor = 80);
