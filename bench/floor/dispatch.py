"""The floor's dispatcher: outbox rows to the business table and a hash-chained audit table.

One transaction per batch, because here everything is in one database: nothing is ever unknown,
so there is no protocol.
"""

import asyncio
import hashlib
import os
from typing import Any, Final

import asyncpg
import orjson
import uvloop

_BATCH: Final = 100
_POLL_SECONDS: Final = 0.5
_HASH_BYTES: Final = 32
_TAKE: Final = """
DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
) RETURNING id, event
"""
_FIRST_TIME: Final = """
INSERT INTO applied (key) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING RETURNING key
"""
_APPLY: Final = """
UPDATE faq_answer AS row SET answer = new.answer, version = row.version + 1
  FROM unnest($1::text[], $2::text[]) AS new (id, answer) WHERE row.id = new.id
"""
_LAST: Final = "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1"
_APPEND: Final = "INSERT INTO audit (seq, event, hash) VALUES ($1, $2, $3)"


class Dispatcher:
    """Knows where the chain ends; there is one of it."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._seq = 0
        self._hash = bytes(_HASH_BYTES)

    async def run(self) -> None:
        wake = asyncio.Event()
        await self._connection.add_listener("outbox", lambda *_: wake.set())
        if last := await self._connection.fetchrow(_LAST):
            self._seq, self._hash = last
        while True:
            wake.clear()
            if await self._batch():
                continue
            try:
                await asyncio.wait_for(wake.wait(), _POLL_SECONDS)
            except TimeoutError:
                continue

    async def _batch(self) -> int:
        async with self._connection.transaction():
            rows = await self._connection.fetch(_TAKE, _BATCH)
            if rows:
                events = [orjson.loads(event) for _, event in sorted(rows)]
                await self._apply(events)
                await self._connection.executemany(_APPEND, self._chain(events))
        return len(rows)

    async def _apply(self, events: list[dict[str, Any]]) -> None:
        keys = [event["key"] for event in events]
        new = {key for (key,) in await self._connection.fetch(_FIRST_TIME, keys)}
        approved = [e for e in events if e["key"] in new and e["verdict"] == "approve"]
        records = [event["record"] for event in approved]
        await self._connection.execute(_APPLY, records, [event["answer"] for event in approved])

    def _chain(self, events: list[dict[str, Any]]) -> list[tuple[int, str, bytes]]:
        rows = []
        for event in events:
            for kind in ("decided", "applied"):
                text = orjson.dumps({**event, "type": kind}, option=orjson.OPT_SORT_KEYS)
                self._hash = hashlib.sha256(self._hash + text).digest()
                self._seq += 1
                rows.append((self._seq, text.decode(), self._hash))
        return rows


async def main() -> None:
    connection = await asyncpg.connect(os.environ["FLOOR_DSN"])
    await Dispatcher(connection).run()


if __name__ == "__main__":
    uvloop.run(main())
