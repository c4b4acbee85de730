"""The three business systems of a running stack, as the people who work in them use them.

Records are made, read and edited by the systems' own published doors: SQL, Jira's and SharePoint's
REST. Owns how values look there in plain JSON, and each system's own log of what Placet did. Knows
nothing of Placet but its name in those logs.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import httpx
import psycopg
from tests.support.desk import Placet

Values = dict[str, Any]

_DANA: Final = ("dana@example.test", "jira-dana-token")
_OWNER: Final = {
    "grant_type": "client_credentials",
    "client_id": "0b7c2f3e-5d1a-4c55-9a0e-000000000004",
    "client_secret": "sharepoint-owner-secret",
}
_LIST: Final = "/sites/support/_api/web/lists/getbytitle('Knowledge articles')/items"
_PLAIN: Final = "application/json;odata=nometadata"
_PAGE: Final = 100_000


@dataclass(frozen=True, kw_only=True)
class Done:
    """One thing that Placet did to a record. `marker` has the write-back's key (SQL: nothing)."""

    operation: str
    fields: Values
    marker: str


class System(Protocol):
    """One business system. `fields` are those that a person may propose to change."""

    system: str
    instance: str
    fields: tuple[str, ...]

    def create(self, values: Sequence[Values]) -> list[str]:
        """Make a record of each; returns their identifiers."""

    def read(self, record: str) -> Values:
        """Return what the record holds now, `fields` alone."""

    def edit(self, record: str, **values: Any) -> None:
        """Change the record as somebody who works with it does."""

    def done(self, records: Sequence[str]) -> dict[str, list[Done]]:
        """Return what Placet did to each of these records, oldest first, by the system's log."""

    def target(self, record: str) -> dict[str, str]:
        """Return the record's name, as pipelines write it."""


class _Named:
    system: str
    instance: str

    def target(self, record: str) -> dict[str, str]:
        return {"system": self.system, "instance": self.instance, "identifier": record}


class Table(_Named):
    """The table of frequent questions. Its log is a trigger's; its owner edits it."""

    system = "sql"
    instance = "support-faq"
    fields = ("answer",)

    def __init__(self, placet: Placet) -> None:
        self._dsn = next(
            one["dsn"] for one in placet.status()["targets"] if one["name"] == self.instance
        )

    def create(self, values: Sequence[Values]) -> list[str]:
        with self._open() as connection, connection.cursor() as cursor:
            ids = []
            for one in values:
                cursor.execute(
                    "INSERT INTO faq_answer (id, question, answer, status, version)"
                    " VALUES (gen_random_uuid()::text, 'q', %s, 'draft', 1) RETURNING id",
                    (one["answer"],),
                )
                ids += [row[0] for row in cursor.fetchall()]
            return ids

    def read(self, record: str) -> Values:
        with self._open() as connection:
            row = connection.execute(
                "SELECT answer FROM faq_answer WHERE id = %s", (record,)
            ).fetchone()
        assert row is not None
        return {"answer": row[0]}

    def edit(self, record: str, **values: Any) -> None:
        with self._open() as connection:
            connection.execute(
                "UPDATE faq_answer SET answer = %s, version = version + 1 WHERE id = %s",
                (values["answer"], record),
            )

    def done(self, records: Sequence[str]) -> dict[str, list[Done]]:
        found: dict[str, list[Done]] = {record: [] for record in records}
        with self._open() as connection:
            rows = connection.execute(
                "SELECT id, answer FROM effect WHERE id = ANY(%s) AND who <> session_user"
                " ORDER BY version, at",
                (list(records),),
            ).fetchall()
        for record, answer in rows:
            found[record].append(Done(operation="edit", fields={"answer": answer}, marker=""))
        return found

    def _open(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(self._dsn, autocommit=True)


class _StandIn(_Named):
    """What both stand-ins have: an address, people at it, a log."""

    http: httpx.Client

    def done(self, records: Sequence[str]) -> dict[str, list[Done]]:
        found: dict[str, list[Done]] = {record: [] for record in records}
        for one in _answered(self.http.get(f"/_sandbox/effects?limit={_PAGE}"))["effects"]:
            if one["record"] in found and one["actor"] == "Placet":
                fields = {name: value["after"] for name, value in one["fields"].items()}
                entry = Done(operation=one["operation"], fields=fields, marker=one["marker"] or "")
                found[one["record"]].append(entry)
        return found


class Jira(_StandIn):
    """A project of issues. Texts by version 2 of the API: plain, as people type them."""

    system = "jira"
    instance = "jira-demo"
    fields = ("summary", "description", "priority", "labels")

    def __init__(self, http: httpx.Client) -> None:
        http.auth = httpx.BasicAuth(*_DANA)
        self.http = http

    def create(self, values: Sequence[Values]) -> list[str]:
        fixed = {"project": {"key": "SUP"}, "issuetype": {"name": "Task"}}
        return [
            str(self._call("POST", "issue", {"fields": fixed | _for_jira(one)})["key"])
            for one in values
        ]

    def read(self, record: str) -> Values:
        asked = ",".join(self.fields)
        values: Values = self._call("GET", f"issue/{record}?fields={asked}")["fields"]
        return values | {"priority": values["priority"]["name"]}

    def edit(self, record: str, **values: Any) -> None:
        self._call("PUT", f"issue/{record}", {"fields": _for_jira(values)})

    def comments(self, record: str) -> list[str]:
        """Return the texts of the record's comments, oldest first."""
        found = self._call("GET", f"issue/{record}/comment")["comments"]
        return [one["body"] for one in found]

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        return _answered(self.http.request(method, f"/rest/api/2/{path}", json=body))


def _for_jira(values: Values) -> Values:
    name = values.get("priority")
    return values if name is None else values | {"priority": {"name": name}}


class SharePoint(_StandIn):
    """A list of articles. The site's owner works in it, by an app of their own."""

    system = "sharepoint"
    instance = "sharepoint-demo"
    fields = ("Title", "Answer", "Category", "Published")

    def __init__(self, http: httpx.Client) -> None:
        token = _answered(http.post("/tenant/oauth2/v2.0/token", data=_OWNER))["access_token"]
        http.headers.update({"Authorization": f"Bearer {token}", "Accept": _PLAIN})
        self.http = http

    def create(self, values: Sequence[Values]) -> list[str]:
        return [str(_answered(self._send(_LIST, one))["Id"]) for one in values]

    def read(self, record: str) -> Values:
        found = _answered(self.http.get(f"{_LIST}({record})"))
        return {name: found[name] for name in self.fields}

    def edit(self, record: str, **values: Any) -> None:
        headers = {"X-HTTP-Method": "MERGE", "If-Match": "*"}
        _answered(self._send(f"{_LIST}({record})", values, headers))

    def _send(
        self, path: str, values: Values, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        kind = {"Content-Type": _PLAIN}
        return self.http.post(path, content=json.dumps(values), headers=kind | (headers or {}))


def _answered(answer: httpx.Response) -> Any:
    assert answer.is_success, f"{answer.request.url}: {answer.status_code} {answer.text}"
    return answer.json() if answer.content else None


@contextmanager
def at_targets(placet: Placet) -> Iterator[tuple[Table, Jira, SharePoint]]:
    """The people of the demonstration's three targets."""
    urls = {one["name"]: one.get("url") for one in placet.status()["targets"]}
    with ExitStack() as stack:
        jira, sharepoint = (
            stack.enter_context(httpx.Client(base_url=urls[name], timeout=30))
            for name in (Jira.instance, SharePoint.instance)
        )
        yield Table(placet), Jira(jira), SharePoint(sharepoint)
