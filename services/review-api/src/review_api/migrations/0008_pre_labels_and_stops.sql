-- Decisions in the order of time, each once: what an export of labels reads page by page.
CREATE INDEX decision_by_moment ON decision (decided_at, decision_id);

-- What must not be written to for now, and who said so. The dispatchers hear of it as controls;
-- this is what the desk shows, and what decides which targets a resume lets go.
CREATE TABLE stop (
    scope           text PRIMARY KEY,             -- a target's name, or * for all of them
    actor_id        uuid NOT NULL,
    name            text NOT NULL,
    role            text NOT NULL,
    reason          text NOT NULL,
    stopped_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
