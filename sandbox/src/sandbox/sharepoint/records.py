"""SharePoint's records in SQLite: lists, their items, and each item's versions.

Callers open the transaction. It checks no permission and speaks no HTTP.
"""

import json
import sqlite3
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.sharepoint import queries
from sandbox.sharepoint.columns import Column
from sandbox.sharepoint.errors import DUPLICATE, SharePointError
from sandbox.store import Effect, JsonObject, Store

MARKER_PREFIX = "Placet"  # columns whose values the log of effects shows as the marker


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemList:
    id: int
    guid: str
    title: str
    entity_type: str
    columns: Mapping[str, Column]
    created: float
    modified: float
    items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """`fields` holds canonical values by internal name; `version` grows by one with each write."""

    list_id: int
    id: int
    guid: str
    version: int
    fields: JsonObject
    created: float
    modified: float
    author: str
    editor: str

    @property
    def etag(self) -> str:
        return f'"{self.guid},{self.version}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    name: str
    via: str = "api"
    request_id: str | None = None


class Records:
    def __init__(self, store: Store) -> None:
        self.store = store

    def lists(self) -> list[ItemList]:
        return [_list(row) for row in self.store.rows(queries.SELECT_LISTS)]

    def create_list(self, number: int, title: str, entity_type: str, columns: list[Column]) -> None:
        now = self.store.now()
        guid = str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:placet:sandbox:{title}"))
        self.store.execute(
            queries.INSERT_LIST,
            number, guid, title, entity_type,
            json.dumps([column.to_json() for column in columns]), now, now,
        )  # fmt: skip

    def item(self, where: ItemList, number: int) -> Item | None:
        row = self.store.row(queries.SELECT_ITEM, where.id, number)
        return None if row is None else _item(row)

    def items(self, where: ItemList, after: int = 0) -> list[Item]:
        return [_item(row) for row in self.store.rows(queries.SELECT_ITEMS, where.id, after)]

    def versions(self, item: Item) -> list[sqlite3.Row]:
        """Newest first, the current one included."""
        return self.store.rows(
            queries.SELECT_VERSIONS,
            item.list_id, item.id,
        )  # fmt: skip

    def add(self, where: ItemList, values: Mapping[str, Any], author: Author, at: float) -> Item:
        """Raises SharePointError for a value that has to be unique and is not."""
        number = self.store.rows(queries.NEXT_ID, at, where.id)[0][0]
        fields = {**dict.fromkeys(_writable(where)), **values}
        self._reserve(where, number, fields)
        self.store.execute(
            queries.INSERT_ITEM, where.id, number, str(uuid.uuid4()), json.dumps(fields), at, at,
            author.name, author.name,
        )  # fmt: skip
        changes = {name: (None, value) for name, value in values.items()}
        return self._after_write(where, number, changes, author, "create")

    def merge(self, where: ItemList, item: Item, values: Mapping[str, Any], author: Author) -> Item:
        """A new version, even where no value is different. Raises as `add` does."""
        fields = {**item.fields, **values}
        self._reserve(where, item.id, fields)
        now = self.store.now()
        self.store.execute(
            queries.UPDATE_ITEM,
            item.version + 1,
            json.dumps(fields),
            now,
            author.name,
            where.id,
            item.id,
        )
        self.store.execute(queries.TOUCH_LIST, now, where.id)
        changes = {name: (item.fields.get(name), value) for name, value in values.items()}
        return self._after_write(where, item.id, changes, author, "edit")

    def delete(self, where: ItemList, item: Item, author: Author) -> None:
        for statement in queries.DELETE_ITEM:
            self.store.execute(statement, where.id, item.id)
        self._note("delete", item.id, {}, author)

    def _reserve(self, where: ItemList, number: int, fields: Mapping[str, Any]) -> None:
        for column in where.columns.values():
            if not column.unique:
                continue
            self.store.execute(
                queries.RELEASE_VALUE,
                where.id, column.name, number,
            )  # fmt: skip
            if fields.get(column.name) is None:
                continue
            try:
                self.store.execute(
                    queries.RESERVE_VALUE,
                    where.id, column.name, str(fields[column.name]), number,
                )  # fmt: skip
            except sqlite3.IntegrityError as error:
                message = (
                    "The list item could not be added or updated because duplicate values were "
                    f"found in the following field(s) in the list: [{column.title}]."
                )
                raise SharePointError(500, DUPLICATE, message) from error

    def _after_write(
        self,
        where: ItemList,
        number: int,
        changes: Mapping[str, tuple[Any, Any]],
        author: Author,
        operation: str,
    ) -> Item:
        item = self.item(where, number)
        assert item is not None
        self.store.execute(
            queries.INSERT_VERSION, where.id, number, item.version, json.dumps(item.fields),
            item.modified, item.editor,
        )  # fmt: skip
        self._note(operation, number, changes, author)
        return item

    def _note(
        self, operation: str, number: int, changes: Mapping[str, tuple[Any, Any]], author: Author
    ) -> None:
        if author.via == "seed":
            return
        marker = {n: after for n, (_, after) in changes.items() if n.startswith(MARKER_PREFIX)}
        self.store.note(
            Effect(
                operation=operation,
                record=str(number),
                fields=changes,
                marker=json.dumps(marker, sort_keys=True) if marker else None,
                actor=author.name,
                via=author.via,
                request_id=author.request_id,
            )
        )


def _writable(where: ItemList) -> list[str]:
    return [column.name for column in where.columns.values() if not column.read_only]


def _list(row: sqlite3.Row) -> ItemList:
    columns = [Column.from_json(values) for values in json.loads(row["columns"])]
    return ItemList(**{**dict(row), "columns": {column.name: column for column in columns}})


def _item(row: sqlite3.Row) -> Item:
    return Item(**{**dict(row), "fields": json.loads(row["fields"])})
