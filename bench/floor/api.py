"""The floor's HTTP API: what somebody writes in an afternoon who knows PostgreSQL.

A decision is durable, counted once, retried safely and in the outbox, in one transaction. Nobody
signs in, nothing is signed, and nothing is compared with what the reviewer saw.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import orjson
import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

_CONNECTIONS: Final = 16
_PAGE: Final = """
SELECT id, record, created_at, body FROM item WHERE status = 0 ORDER BY created_at, id LIMIT $1
"""
_CLOSE: Final = "UPDATE item SET status = 1 WHERE id = $1 AND status = 0 RETURNING record"
_DECIDE: Final = "INSERT INTO decision (item_id, key, verdict, who) VALUES ($1, $2, $3, $4)"
_EARLIER: Final = "SELECT key FROM decision WHERE item_id = $1"
_EMIT: Final = "INSERT INTO outbox (event) VALUES ($1)"


class Decision(BaseModel):
    """The body of a request."""

    key: str
    verdict: str
    answer: str
    who: str


@asynccontextmanager
async def _pool(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(
        os.environ["FLOOR_DSN"], min_size=_CONNECTIONS, max_size=_CONNECTIONS
    ) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=_pool)


@app.get("/items")
async def items(limit: int = 50) -> list[dict[str, Any]]:
    rows = await app.state.pool.fetch(_PAGE, limit)
    return [{**dict(row), "body": orjson.loads(row["body"])} for row in rows]


@app.post("/items/{item}/decision")
async def decide(item: int, decision: Decision) -> dict[str, Any]:
    async with app.state.pool.acquire() as connection, connection.transaction():
        record = await connection.fetchval(_CLOSE, item)
        if record is None:
            if await connection.fetchval(_EARLIER, item) == decision.key:
                return {"item": item, "replayed": True}
            raise HTTPException(409, "already decided")
        await connection.execute(_DECIDE, item, decision.key, decision.verdict, decision.who)
        event = {"type": "decided", "item": item, "record": record, **decision.model_dump()}
        await connection.execute(_EMIT, orjson.dumps(event).decode())
        await connection.execute("NOTIFY outbox")
    return {"item": item, "replayed": False}


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
