-- What decisions say about models: kept up to date by a loop of the worker, so that the forensics
-- page reads a few narrow rows and never the decisions. May be emptied and is then made again.

-- How far the loop has come, one row. Its lock makes one worker the one.
CREATE TABLE forensic_cursor (
    one             boolean PRIMARY KEY DEFAULT true CHECK (one),
    decided_at      timestamptz NOT NULL,
    decision_id     uuid NOT NULL
);
INSERT INTO forensic_cursor (decided_at, decision_id)
VALUES ('0001-01-01T00:00:00Z', '00000000-0000-0000-0000-000000000000');

-- Per week (its Monday, UTC) and value of a dimension; a decision counts once in each dimension,
-- and once for each source that its item was given texts from.
CREATE TABLE forensic_week (
    week            date NOT NULL,
    dimension       text NOT NULL,                -- model, template, source, all
    value           text NOT NULL,
    decided         bigint NOT NULL,
    overridden      bigint NOT NULL,              -- rejected, or approved with another value
    divergence      double precision NOT NULL,    -- sum; divided by decided: the mean
    PRIMARY KEY (week, dimension, value)
) WITH (fillfactor = 80);

-- Decisions in which the measure and the person disagree, one row each, for ever narrow.
CREATE TABLE forensic_outlier (
    decision_id     uuid PRIMARY KEY,
    item_id         uuid NOT NULL,
    week            date NOT NULL,
    decided_at      timestamptz NOT NULL,
    model           text NOT NULL,
    divergence      double precision NOT NULL,
    overridden      boolean NOT NULL,
    surprise        double precision NOT NULL     -- how far apart the two are, 0 to 1
);
CREATE INDEX forensic_outlier_by_surprise ON forensic_outlier (week, surprise DESC, decision_id);
