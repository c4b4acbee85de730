"""A long queue without publishing it: rows of our own tables copied in SQL.

The clones are whole (item, revision with its text, index entries), pending, and never decided.
Knows review-api's tables, so it must follow them.
"""

from typing import Any, Final, LiteralString

import psycopg

_BATCH: Final = 50_000
_PENDING: Final[LiteralString] = "SELECT count(*) FROM review.item WHERE state = 'PENDING'"
# gen_random_uuid once per clone: the same one names the item and its revision.
_CLONE: Final[LiteralString] = """
WITH pattern AS MATERIALIZED (
    SELECT item_id, row_number() OVER () - 1 AS place FROM (
        SELECT item_id FROM review.item WHERE state = 'PENDING' AND source = 'bench' LIMIT 2000
    ) AS some
), clone AS MATERIALIZED (
    SELECT pattern.item_id AS of, gen_random_uuid() AS item_id, random() AS risk
      FROM generate_series(1, %(count)s) AS number
      JOIN pattern ON pattern.place = number %% (SELECT count(*) FROM pattern)
), cloned AS (
    INSERT INTO review.item (item_id, source, external_id, revision, state, lane, policy_version,
                             system, instance, identifier, risk, divergence, due_at,
                             correlation_id)
    SELECT clone.item_id, 'clone', clone.item_id::text, revision, state, lane, policy_version,
           system, instance, identifier, clone.risk, divergence, due_at, correlation_id
      FROM clone JOIN review.item ON item.item_id = clone.of
)
INSERT INTO review.item_revision (item_id, revision, event_id, content_digest, title, search,
                                  event)
SELECT clone.item_id, item_revision.revision, gen_random_uuid(), content_digest, title, search,
       event
  FROM clone JOIN review.item_revision ON item_revision.item_id = clone.of
"""


def lengthen(database: psycopg.Connection[Any], length: int) -> None:
    """Make the queue `length` items long. Takes minutes at a million."""
    (have,) = database.execute(_PENDING).fetchone() or (0,)
    left = length - have
    while left > 0:
        database.execute(_CLONE, {"count": min(left, _BATCH)})
        left -= _BATCH
    database.execute("VACUUM ANALYZE review.item")
    database.execute("VACUUM ANALYZE review.item_revision")
