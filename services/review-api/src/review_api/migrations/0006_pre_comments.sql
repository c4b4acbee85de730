-- What people say of an item without deciding it. The key makes a retried request the same comment.
CREATE TABLE comment (
    comment_id      uuid PRIMARY KEY,             -- the COMMENTED event's id
    item_id         uuid NOT NULL,
    revision        integer NOT NULL,
    person_id       uuid NOT NULL,
    name            text NOT NULL,
    role            text NOT NULL,
    text            text NOT NULL,
    said_at         timestamptz NOT NULL,
    key             text NOT NULL,
    UNIQUE (person_id, key)
);
CREATE INDEX comment_by_item ON comment (item_id, said_at);
