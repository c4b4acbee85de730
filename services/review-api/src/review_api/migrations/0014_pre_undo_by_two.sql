-- What a first approval is of: the change, or its undoing.
ALTER TABLE approval ADD COLUMN action text NOT NULL DEFAULT 'APPROVE';
