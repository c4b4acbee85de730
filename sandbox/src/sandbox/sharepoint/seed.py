"""The list and the items a new SharePoint stand-in has, from `seed.toml`."""

import tomllib
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from sandbox.sharepoint.columns import Column, Kind
from sandbox.sharepoint.records import Author, Records
from sandbox.store import Store

CREATED = datetime(2026, 9, 1, 8, 0, tzinfo=UTC).timestamp()
SYSTEM = Author(name="Dana Kowalski", via="seed")
SYSTEM_COLUMNS = (
    Column(name="ID", title="ID", kind=Kind.COUNTER, read_only=True),
    Column(name="Modified", title="Modified", kind=Kind.DATETIME, read_only=True),
    Column(name="Created", title="Created", kind=Kind.DATETIME, read_only=True),
)


def seed(store: Store) -> None:
    text = files("sandbox.sharepoint").joinpath("seed.toml").read_text(encoding="utf-8")
    plan = tomllib.loads(text)
    columns = [_column(values) for values in plan["column"]]
    records = Records(store)
    records.create_list(1, plan["title"], plan["entity_type"], [*columns, *SYSTEM_COLUMNS])
    where = records.lists()[0]
    for number, values in enumerate(plan["item"]):
        records.add(where, values, SYSTEM, CREATED + number)


def _column(values: dict[str, Any]) -> Column:
    return Column(
        **{**values, "kind": Kind[values["kind"]], "choices": tuple(values.get("choices", ()))}
    )
