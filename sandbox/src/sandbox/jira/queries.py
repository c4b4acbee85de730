"""The SQL of the Jira stand-in, by name."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS issue (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE COLLATE NOCASE, fields TEXT NOT NULL,
  created REAL NOT NULL, updated REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS change (
  id INTEGER PRIMARY KEY AUTOINCREMENT, issue_id INTEGER NOT NULL, at REAL NOT NULL,
  author TEXT NOT NULL, items TEXT NOT NULL, metadata TEXT
);
CREATE INDEX IF NOT EXISTS change_issue ON change (issue_id, id);
CREATE TABLE IF NOT EXISTS property (
  entity TEXT NOT NULL, entity_id INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (entity, entity_id, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS comment (
  id INTEGER PRIMARY KEY AUTOINCREMENT, issue_id INTEGER NOT NULL, body TEXT NOT NULL,
  author TEXT NOT NULL, editor TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL,
  visibility TEXT
);
CREATE INDEX IF NOT EXISTS comment_issue ON comment (issue_id, id);
CREATE TABLE IF NOT EXISTS indexed (
  issue_id INTEGER NOT NULL, fields TEXT NOT NULL, visible_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS indexed_issue ON indexed (issue_id, visible_at);
CREATE TABLE IF NOT EXISTS task (
  id INTEGER PRIMARY KEY AUTOINCREMENT, submitter TEXT NOT NULL, submitted REAL NOT NULL,
  due REAL NOT NULL, work TEXT NOT NULL, finished REAL
);
"""

SELECT_ISSUE_BY_KEY = "SELECT id, key, fields, created, updated FROM issue WHERE key = ?"
# Text compares as text: a number too long for SQLite is no issue's id, not an error.
SELECT_ISSUE_BY_ID = """
SELECT id, key, fields, created, updated FROM issue WHERE CAST(id AS TEXT) = ?
"""
SELECT_ISSUES = "SELECT id, key, fields, created, updated FROM issue ORDER BY id"
UPSERT_PROPERTY = """
INSERT INTO property (entity, entity_id, key, value) VALUES (?, ?, ?, ?)
ON CONFLICT (entity, entity_id, key) DO UPDATE SET value = excluded.value
"""
INSERT_COMMENT = """
INSERT INTO comment (issue_id, body, author, editor, created, updated, visibility)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
SELECT_COMMENTS = """
SELECT id, issue_id, body, author, editor, created, updated, visibility
FROM comment WHERE issue_id = ? ORDER BY id
"""
SELECT_COMMENT = """
SELECT id, issue_id, body, author, editor, created, updated, visibility FROM comment WHERE id = ?
"""
# What a search sees of an issue now: the newest entry whose time has come.
SELECT_INDEXED = """
SELECT issue.id, issue.key, (
  SELECT fields FROM indexed WHERE issue_id = issue.id AND visible_at <= ?
  ORDER BY visible_at DESC, rowid DESC LIMIT 1
) AS fields FROM issue ORDER BY issue.id
"""
PRUNE_INDEX = """
DELETE FROM indexed WHERE issue_id = ? AND rowid < (
  SELECT rowid FROM indexed WHERE issue_id = ? AND visible_at <= ?
  ORDER BY visible_at DESC, rowid DESC LIMIT 1
)
"""
INSERT_ISSUE = "INSERT INTO issue (id, key, fields, created, updated) VALUES (?, ?, ?, ?, ?)"
# One more than any there is or was: the number of a deleted issue is not given again.
NEXT_ISSUE = """
SELECT 1 + max(number) FROM (
  SELECT max(id) AS number FROM issue
  UNION ALL
  SELECT ? + max(CAST(substr(record, instr(record, '-') + 1) AS INTEGER))
  FROM effect WHERE operation IN ('create', 'delete')
)
"""
UPDATE_FIELDS = "UPDATE issue SET fields = ?, updated = ? WHERE id = ?"
INSERT_CHANGE = "INSERT INTO change (issue_id, at, author, items, metadata) VALUES (?, ?, ?, ?, ?)"
INSERT_INDEXED = "INSERT INTO indexed (issue_id, fields, visible_at) VALUES (?, ?, ?)"
SELECT_CHANGES = "SELECT id, at, author, items, metadata FROM change WHERE issue_id = ? ORDER BY id"
SELECT_PROPERTIES = (
    "SELECT key, value FROM property WHERE entity = ? AND entity_id = ? ORDER BY key"
)
SELECT_PROPERTY = "SELECT value FROM property WHERE entity = ? AND entity_id = ? AND key = ?"
UPDATE_COMMENT = "UPDATE comment SET body = ?, editor = ?, updated = ? WHERE id = ?"
TOUCH_ISSUE = "UPDATE issue SET updated = ? WHERE id = ?"
DELETE_COMMENT = "DELETE FROM comment WHERE id = ?"
DELETE_COMMENT_PROPERTIES = "DELETE FROM property WHERE entity = 'comment' AND entity_id = ?"
DELETE_PROPERTY = "DELETE FROM property WHERE entity = ? AND entity_id = ? AND key = ?"
DELETE_ISSUE = (
    (
        "DELETE FROM property WHERE entity = 'comment'"
        " AND entity_id IN (SELECT id FROM comment WHERE issue_id = ?)"
    ),
    "DELETE FROM property WHERE entity = 'issue' AND entity_id = ?",
    "DELETE FROM change WHERE issue_id = ?",
    "DELETE FROM comment WHERE issue_id = ?",
    "DELETE FROM indexed WHERE issue_id = ?",
    "DELETE FROM issue WHERE id = ?",
)
