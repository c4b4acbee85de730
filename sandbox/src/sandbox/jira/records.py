"""Jira's records in SQLite: issues with their history, properties, comments, and the search index.

Callers open the transaction. It checks no permission and speaks no HTTP.
"""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.jira import queries
from sandbox.jira.accounts import Account
from sandbox.jira.fields import FIELDS
from sandbox.jira.rendering import change_item
from sandbox.store import Effect, JsonObject, Store

FIRST_ID = 10001


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """`fields` holds canonical values by field id."""

    id: int
    key: str
    fields: JsonObject
    created: float
    updated: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who does it, by which door, in which request."""

    account: Account
    via: str = "api"
    request_id: str | None = None


class Records:
    def __init__(self, store: Store) -> None:
        self.store = store

    def find(self, name: str) -> Issue | None:
        """By key, whatever its case, or by id."""
        row = self.store.row(
            queries.SELECT_ISSUE_BY_ID if name.isdecimal() else queries.SELECT_ISSUE_BY_KEY, name
        )
        return None if row is None else _issue(row)

    def all(self) -> list[Issue]:
        rows = self.store.rows(queries.SELECT_ISSUES)
        return [_issue(row) for row in rows]

    def create(self, number: int, key: str, fields: JsonObject, at: float) -> None:
        self.store.execute(
            queries.INSERT_ISSUE,
            number, key, json.dumps(fields), at, at,
        )  # fmt: skip
        self._index(number, fields, visible_at=0)

    def open_issue(
        self,
        project: str,
        fields: JsonObject,
        author: Author,
        *,
        properties: Mapping[str, Any],
    ) -> Issue:
        """A new issue under the project's next number, which is nobody's again."""
        number = self.store.rows(queries.NEXT_ISSUE, FIRST_ID - 1)[0][0]
        now, key = self.store.now(), f"{project}-{number - FIRST_ID + 1}"
        self.create(number, key, fields, now)
        for name, value in properties.items():
            self.put_property("issue", number, name, value)
        issue = Issue(id=number, key=key, fields=fields, created=now, updated=now)
        self._note("create", issue, author, {k: (None, v) for k, v in fields.items()}, properties)
        return issue

    def delete(self, issue: Issue, author: Author) -> None:
        for statement in queries.DELETE_ISSUE:
            self.store.execute(statement, issue.id)
        self._note("delete", issue, author, {})

    def write_fields(
        self,
        issue: Issue,
        values: Mapping[str, Any],
        author: Author,
        *,
        properties: Mapping[str, Any] | None = None,
        metadata: object = None,
    ) -> None:
        """One edit: fields, history, index and properties, all or nothing."""
        changed = {k: (issue.fields.get(k), v) for k, v in values.items()}
        different = {k: pair for k, pair in changed.items() if pair[0] != pair[1]}
        if different:
            self._change(issue, different, author, metadata)
        for key, value in (properties or {}).items():
            self.put_property("issue", issue.id, key, value)
        self._note("edit", issue, author, changed, properties)

    def _change(
        self,
        issue: Issue,
        different: Mapping[str, tuple[Any, Any]],
        author: Author,
        metadata: object,
    ) -> None:
        now = self.store.now()
        fields = {**issue.fields, **{name: after for name, (_, after) in different.items()}}
        self.store.execute(
            queries.UPDATE_FIELDS,
            json.dumps(fields),
            now,
            issue.id,
        )
        items = [change_item(FIELDS[name], *pair) for name, pair in different.items()]
        self.store.execute(
            queries.INSERT_CHANGE,
            issue.id, now, author.account.account_id, json.dumps(items), json.dumps(metadata),
        )  # fmt: skip
        self._index(issue.id, fields, visible_at=now + self.store.setting("search_delay"))

    def _index(self, number: int, fields: JsonObject, *, visible_at: float) -> None:
        self.store.execute(queries.PRUNE_INDEX, number, number, self.store.now())
        self.store.execute(
            queries.INSERT_INDEXED,
            number, json.dumps(fields), visible_at,
        )  # fmt: skip

    def indexed(self) -> list[tuple[int, str, JsonObject]]:
        """What a search sees: possibly older than the issues themselves."""
        rows = self.store.rows(queries.SELECT_INDEXED, self.store.now())
        return [(r["id"], r["key"], json.loads(r["fields"])) for r in rows if r["fields"]]

    def changes(self, issue: Issue) -> list[sqlite3.Row]:
        """Oldest first."""
        return self.store.rows(
            queries.SELECT_CHANGES,
            issue.id,
        )

    def properties(self, entity: str, number: int) -> JsonObject:
        rows = self.store.rows(
            queries.SELECT_PROPERTIES,
            entity, number,
        )  # fmt: skip
        return {row["key"]: json.loads(row["value"]) for row in rows}

    def property(self, entity: str, number: int, key: str) -> sqlite3.Row | None:
        return self.store.row(
            queries.SELECT_PROPERTY,
            entity, number, key,
        )  # fmt: skip

    def put_property(self, entity: str, number: int, key: str, value: object) -> bool:
        """Whether it is new."""
        new = self.property(entity, number, key) is None
        self.store.execute(queries.UPSERT_PROPERTY, entity, number, key, json.dumps(value))
        return new

    def set_property(self, issue: Issue, key: str, value: object, author: Author) -> bool:
        new = self.put_property("issue", issue.id, key, value)
        self._note("property", issue, author, {}, {key: value})
        return new

    def drop_property(self, issue: Issue, key: str, author: Author) -> None:
        self.store.execute(
            queries.DELETE_PROPERTY,
            "issue",
            issue.id,
            key,
        )
        self._note("property-delete", issue, author, {}, {key: None})

    def comments(self, issue: Issue) -> list[sqlite3.Row]:
        return self.store.rows(queries.SELECT_COMMENTS, issue.id)

    def comment(self, number: int) -> sqlite3.Row | None:
        return self.store.row(queries.SELECT_COMMENT, number)

    def add_comment(
        self,
        issue: Issue,
        body: object,
        visibility: object,
        properties: Mapping[str, Any],
        author: Author,
    ) -> int:
        now, who = self.store.now(), author.account.account_id
        number = self.store.execute(
            queries.INSERT_COMMENT,
            issue.id,
            json.dumps(body),
            who,
            who,
            now,
            now,
            json.dumps(visibility),
        )
        for key, value in properties.items():
            self.put_property("comment", number, key, value)
        self._touch(issue)
        self._note("comment", issue, author, {f"comment/{number}": (None, body)}, properties)
        return number

    def edit_comment(
        self,
        issue: Issue,
        row: sqlite3.Row,
        body: object,
        properties: Mapping[str, Any],
        author: Author,
    ) -> None:
        self.store.execute(
            queries.UPDATE_COMMENT,
            json.dumps(body), author.account.account_id, self.store.now(), row["id"],
        )  # fmt: skip
        for key, value in properties.items():
            self.put_property("comment", row["id"], key, value)
        self._touch(issue)
        change = {f"comment/{row['id']}": (json.loads(row["body"]), body)}
        self._note("comment-edit", issue, author, change, properties)

    def delete_comment(self, issue: Issue, row: sqlite3.Row, author: Author) -> None:
        self.store.execute(queries.DELETE_COMMENT, row["id"])
        self.store.execute(queries.DELETE_COMMENT_PROPERTIES, row["id"])
        self._touch(issue)
        change = {f"comment/{row['id']}": (json.loads(row["body"]), None)}
        self._note("comment-delete", issue, author, change)

    def comment_property(
        self, issue: Issue, number: int, key: str, value: object, author: Author
    ) -> None:
        """`value` None removes it."""
        if value is None:
            self.store.execute(
                queries.DELETE_PROPERTY, "comment", number, key,
            )  # fmt: skip
        else:
            self.put_property("comment", number, key, value)
        self._note(
            "comment-property", issue, author, {f"comment/{number}": (None, None)}, {key: value}
        )

    def _touch(self, issue: Issue) -> None:
        self.store.execute(queries.TOUCH_ISSUE, self.store.now(), issue.id)

    def _note(
        self,
        operation: str,
        issue: Issue,
        author: Author,
        fields: Mapping[str, tuple[Any, Any]],
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        self.store.note(
            Effect(
                operation=operation,
                record=issue.key,
                fields=fields,
                marker=json.dumps(properties, sort_keys=True) if properties else None,
                actor=author.account.display_name,
                via=author.via,
                request_id=author.request_id,
            )
        )


def _issue(row: sqlite3.Row) -> Issue:
    return Issue(
        id=row["id"],
        key=row["key"],
        fields=json.loads(row["fields"]),
        created=row["created"],
        updated=row["updated"],
    )
