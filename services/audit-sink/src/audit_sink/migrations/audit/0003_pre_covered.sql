-- Which model outputs something in the log accounts for, by their coordinates: an item, or intake's
-- dead letter, new or repeated. What is missing between was read by nobody, or lost.

CREATE TABLE covered (
    topic text NOT NULL,
    partition integer NOT NULL,
    offsets int8multirange NOT NULL,
    PRIMARY KEY (topic, partition)
);
