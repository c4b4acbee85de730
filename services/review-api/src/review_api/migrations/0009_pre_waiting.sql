-- What is under way on one record: how many earlier decisions a write waits for. Few at any time.
CREATE INDEX item_under_way ON item (instance, identifier)
    WHERE state IN ('APPROVED', 'WRITING', 'STUCK', 'UNDOING');
