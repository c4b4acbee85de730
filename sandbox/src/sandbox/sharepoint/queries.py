"""The SQL of the SharePoint stand-in, by name."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS list (
  id INTEGER PRIMARY KEY, guid TEXT NOT NULL, title TEXT NOT NULL UNIQUE COLLATE NOCASE,
  entity_type TEXT NOT NULL, columns TEXT NOT NULL, next_id INTEGER NOT NULL,
  created REAL NOT NULL, modified REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS item (
  list_id INTEGER NOT NULL, id INTEGER NOT NULL, guid TEXT NOT NULL, version INTEGER NOT NULL,
  fields TEXT NOT NULL, created REAL NOT NULL, modified REAL NOT NULL, author TEXT NOT NULL,
  editor TEXT NOT NULL, PRIMARY KEY (list_id, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS item_version (
  list_id INTEGER NOT NULL, item_id INTEGER NOT NULL, version INTEGER NOT NULL,
  fields TEXT NOT NULL, modified REAL NOT NULL, editor TEXT NOT NULL,
  PRIMARY KEY (list_id, item_id, version)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unique_value (
  list_id INTEGER NOT NULL, column TEXT NOT NULL, value TEXT NOT NULL COLLATE NOCASE,
  item_id INTEGER NOT NULL, PRIMARY KEY (list_id, column, value)
) WITHOUT ROWID;
"""

SELECT_LISTS = """
SELECT id, guid, title, entity_type, columns, created, modified,
  (SELECT count(*) FROM item WHERE list_id = list.id) AS items
FROM list ORDER BY id
"""
SELECT_ITEM = """
SELECT list_id, id, guid, version, fields, created, modified, author, editor
FROM item WHERE list_id = ? AND id = ?
"""
SELECT_ITEMS = """
SELECT list_id, id, guid, version, fields, created, modified, author, editor
FROM item WHERE list_id = ? AND id > ? ORDER BY id
"""
INSERT_ITEM = """
INSERT INTO item (list_id, id, guid, version, fields, created, modified, author, editor)
VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?)
"""
UPDATE_ITEM = """
UPDATE item SET version = ?, fields = ?, modified = ?, editor = ? WHERE list_id = ? AND id = ?
"""
INSERT_VERSION = """
INSERT INTO item_version (list_id, item_id, version, fields, modified, editor)
VALUES (?, ?, ?, ?, ?, ?)
"""
RESERVE_VALUE = """
INSERT INTO unique_value (list_id, column, value, item_id) VALUES (?, ?, ?, ?)
"""
NEXT_ID = """
UPDATE list SET next_id = next_id + 1, modified = ? WHERE id = ? RETURNING next_id - 1
"""
DELETE_ITEM = (
    "DELETE FROM item WHERE list_id = ? AND id = ?",
    "DELETE FROM item_version WHERE list_id = ? AND item_id = ?",
    "DELETE FROM unique_value WHERE list_id = ? AND item_id = ?",
)
TOUCH_LIST = "UPDATE list SET modified = ? WHERE id = ?"
RELEASE_VALUE = "DELETE FROM unique_value WHERE list_id = ? AND column = ? AND item_id = ?"
INSERT_LIST = """
INSERT INTO list (id, guid, title, entity_type, columns, next_id, created, modified)
VALUES (?, ?, ?, ?, ?, 1, ?, ?)
"""
SELECT_VERSIONS = """
SELECT version, fields, modified, editor FROM item_version
WHERE list_id = ? AND item_id = ? ORDER BY version DESC
"""
