"""Records as a Parquet table, for whoever counts and compares: keys and codes, no text.

Owns its columns. It is a convenience: the evidence is in the entry bundles, and a table that does
not say the same is found out.
"""

import io
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

_TIME: Final = pa.timestamp("us", tz="UTC")
_CODE: Final = pa.dictionary(pa.int32(), pa.string())
_PLAIN: Final = {
    "sequence": pa.int64(),
    "event_id": pa.string(),
    "type": _CODE,
    "correlation_id": pa.string(),
    "item_id": pa.string(),
    "decision_id": pa.string(),
    "revision": pa.int64(),
    "actor": _CODE,
    "role": _CODE,
    "user_id_token": pa.string(),
    "action_type": _CODE,
    "write_status": _CODE,
    "schema": _CODE,
}
_JSON: Final = ("target", "model")
_TIMES: Final = ("timestamp", "recorded_at")
_LEVEL: Final = 9


class TableError(ValueError):
    """These bytes are no such table."""


def table_of(records: Sequence[bytes]) -> pa.Table:
    """Return the table of canonical records."""
    rows = [orjson.loads(record) for record in records]
    columns = {
        name: pa.array([_of_type(row.get(name), kind) for row in rows], kind)
        for name, kind in _PLAIN.items()
    }
    columns |= {name: pa.array([_time(row.get(name)) for row in rows], _TIME) for name in _TIMES}
    columns |= {name: pa.array([_json(row.get(name)) for row in rows], _CODE) for name in _JSON}
    columns["causation_ids"] = pa.array(
        [[str(one) for one in row.get("causation_ids") or ()] for row in rows],
        pa.list_(pa.string()),
    )
    origins = [row.get("origin") or {} for row in rows]
    columns["origin_topic"] = pa.array(
        [_of_type(one.get("topic"), _CODE) for one in origins], _CODE
    )
    for name in ("partition", "offset"):
        columns[f"origin_{name}"] = pa.array(
            [_of_type(one.get(name), pa.int64()) for one in origins], pa.int64()
        )
    return pa.table(columns)


def parquet_of(records: Sequence[bytes]) -> bytes:
    """Return the table as a Parquet file."""
    file = io.BytesIO()
    pq.write_table(table_of(records), file, compression="zstd", compression_level=_LEVEL)
    return file.getvalue()


def says_the_same(data: bytes, records: Sequence[bytes]) -> bool:
    """Tell whether a Parquet file holds the table of these records.

    Raises:
        TableError: it is none.
    """
    wanted = table_of(records)
    try:
        found = pq.read_table(io.BytesIO(data))
        return bool(found.cast(wanted.schema).equals(wanted))
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise TableError(f"no table: {error}") from error


def _of_type(value: Any, kind: pa.DataType) -> Any:
    """Return a value as its column takes it: a text that replaced a number is none."""
    if value is None or isinstance(value, bool):
        return None
    if kind == pa.int64():
        return value if isinstance(value, int) else None
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _time(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None


def _json(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
