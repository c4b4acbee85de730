-- Where a record is found by anything but its number. Made from records and payloads after they are
-- sealed, by a loop of its own, so that nothing here slows the sequencer down; may be dropped and
-- made again. What it has not reached yet is found in `record`, behind its last row.
--
-- Narrow and permanent: it stays when records move to cold storage. Only `words` holds text of
-- people and models, and goes with their payload.

CREATE TABLE search (
    sequence bigint PRIMARY KEY,
    recorded_at timestamptz NOT NULL,
    type text NOT NULL,
    item_id text,            -- keys over 200 characters: sha256:<hex>
    decision_id text,
    correlation_id text NOT NULL,
    actor text,
    words tsvector           -- of the first 64 KiB of each text part; null once it is destroyed
);

CREATE INDEX search_item ON search (item_id, sequence) WHERE item_id IS NOT NULL;
CREATE INDEX search_decision ON search (decision_id, sequence) WHERE decision_id IS NOT NULL;
CREATE INDEX search_correlation ON search (correlation_id, sequence);
CREATE INDEX search_actor ON search (actor, sequence) WHERE actor IS NOT NULL;
CREATE INDEX search_recorded_at ON search USING brin (recorded_at);
CREATE INDEX search_words ON search USING gin (words);
