"""The three business systems of a fault campaign: a table, a list of items, a Jira project.

Owns how each is made with as many records as wanted, how it misbehaves, and its own log of what
changed in it. Refuses to know what a dispatcher thinks: nothing here asks a ledger.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from tests.support import articles, issues
from tests.support.faq import Faq, faq
from tests.support.lossy_proxy import LossyProxy
from tests.support.sandbox import Sandbox, running

from sandbox.jira.app import DEFAULTS as JIRA_SETTINGS
from sandbox.jira.queries import SCHEMA as JIRA_SCHEMA
from sandbox.jira.records import Records as JiraRecords
from sandbox.jira.seed import CREATED, PROJECT, Seeder
from sandbox.sharepoint.app import DEFAULTS as SHAREPOINT_SETTINGS
from sandbox.sharepoint.queries import SCHEMA as SHAREPOINT_SCHEMA
from sandbox.sharepoint.records import Records as SharePointRecords
from sandbox.sharepoint.seed import SYSTEM, seed
from sandbox.store import Store

KINDS: Final = ("sql", "sharepoint", "jira")
FIRST: Final = "as it was"
"""What the field that is changed holds in every record at first."""
_PAGE: Final = 20_000
_RETRY: Final = "retry = [" + ", ".join(["0.2"] * 60) + "]"


class Change(NamedTuple):
    """An effect, from the system's own log."""

    record: str
    value: str


class System(Protocol):
    """One business system. `entry`: the target in `targets.toml`, but for name and address."""

    kind: str
    changing: str
    entry: str
    records: tuple[str, ...]

    def changes(self) -> list[Change]:
        """Every change that was made by other than a person's hand, in order."""

    def lose_answers(self, share: float, seed: int) -> None:
        """Lose this share of all answers, to reads and writes, after the work was done."""

    def misbehave(self, seed: int) -> None:
        """Fail in every manner that it has, before and after the work, without end."""

    def behave(self) -> int:
        """Stop failing; returns how often it failed in the manner in which it did least."""


@dataclass
class Table:
    """PostgreSQL behind a proxy; the log is a trigger's."""

    faq: Faq
    proxy: LossyProxy
    records: tuple[str, ...]
    kind: str = "sql"
    changing: str = "answer"

    @property
    def entry(self) -> str:
        return f"""
kind = "postgresql"
dsn_file = "dsn"
table = "faq_answer"
key_column = "id"
version_column = "version"
columns = ["answer", "status"]
{_RETRY}
"""

    def changes(self) -> list[Change]:
        return [Change(*one) for one in self.faq.effects()]

    def lose_answers(self, share: float, seed: int) -> None:
        self.proxy.lose_some(share, "answer")

    def misbehave(self, seed: int) -> None:
        self.proxy.lose_some(0.1, "answer", "request")

    def behave(self) -> int:
        self.proxy.lose_some(0.0)
        return min(self.proxy.losses.values(), default=0)


@dataclass
class StandIn:
    """What both stand-ins share. `wrong`: faults of this system beside those that all have."""

    sandbox: Sandbox
    kind: str
    changing: str
    entry: str
    records: tuple[str, ...]
    writes: Mapping[str, str]
    faults: tuple[tuple[str, Mapping[str, Any]], ...] = field(repr=False)

    def effects(self) -> list[dict[str, Any]]:
        """Every entry of the log that is not from a person's hand."""
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["sequence"] if found else 0
            page = self.sandbox.get(f"effects?after={after}&limit={_PAGE}")["effects"]
            if not page:
                return [one for one in found if one["via"] != "hand"]
            found += page

    def changes(self) -> list[Change]:
        return [
            Change(one["record"], one["fields"][self.changing]["after"])
            for one in self.effects()
            if one["operation"] == "edit"
        ]

    def lose_answers(self, share: float, seed: int) -> None:
        self.sandbox.break_next("drop", times=None, share=share, seed=seed, path="/(rest|_api)/")

    def misbehave(self, seed: int) -> None:
        for number, (kind, rule) in enumerate(self.faults):
            values = {"share": 0.01, "path": "/(rest|_api)/", **rule}
            self.sandbox.break_next(kind, times=None, seed=seed + number, **values)

    def behave(self) -> int:
        faults = self.sandbox.get("faults")
        for one in faults:
            self.sandbox._call("DELETE", f"faults/{one['id']}")
        return int(min(one["struck"] for one in faults))


_FAULTS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("500", {}),
    ("503", {}),
    ("503", {"when": "after"}),  # it lies: the work is done
    ("429", {"retry_after": 1}),
    ("drop", {}),
    ("drop", {"when": "before"}),
    ("drop", {"reset": True}),
    ("cut", {}),
    ("delay", {"seconds": 0.3, "share": 0.03}),
)


def _options(timeout: float, settle: float) -> str:
    return f"timeout = {timeout}\nsettle = {settle}\nconcurrency = 8\n{_RETRY}"


@contextmanager
def table(server: str, count: int) -> Iterator[Table]:
    """`server`: a superuser's DSN of an empty database."""
    records = tuple(f"q{number}" for number in range(1, count + 1))
    with faq(server, records) as made:
        made.run("UPDATE faq_answer SET answer = %s", FIRST)
        made.run("TRUNCATE effect")
        proxy = LossyProxy(made.writer)
        try:
            yield Table(made, proxy, records)
        finally:
            proxy.close()


@contextmanager
def items(folder: Path, count: int, *, timeout: float, settle: float) -> Iterator[StandIn]:
    """A SharePoint stand-in whose list has `count` more items. `settle` is not SharePoint's."""
    store = Store(folder / "sharepoint.sqlite3", SHAREPOINT_SCHEMA, seed, dict(SHAREPOINT_SETTINGS))
    made = SharePointRecords(store)
    [where] = made.lists()
    with store.transaction():
        records = tuple(
            str(made.add(where, {"Title": FIRST}, SYSTEM, store.now()).id) for _ in range(count)
        )
    store.close()
    with running("sharepoint", data=folder) as sandbox:
        articles.write_secret(folder, sandbox.url)
        yield StandIn(
            sandbox=sandbox,
            kind="sharepoint",
            changing="Title",
            entry=f"""
kind = "sharepoint"
url = "{sandbox.url}/sites/support"
secret_file = "secret.json"
table = "Knowledge articles"
columns = ["Title"]
{_options(timeout, settle)}
""",
            records=records,
            writes={"method": "POST", "path": articles.ITEM},
            faults=(*_FAULTS, ("412", {"method": "POST", "path": articles.ITEM, "share": 0.05})),
        )


@contextmanager
def project(folder: Path, count: int, *, timeout: float, settle: float) -> Iterator[StandIn]:
    """A Jira Cloud stand-in whose project has `count` more issues."""
    path = folder / "jira-cloud.sqlite3"
    store = Store(path, JIRA_SCHEMA, Seeder(cloud=True), dict(JIRA_SETTINGS))
    made = JiraRecords(store)
    last = max(made.all(), key=lambda one: one.id)
    first = int(last.key.rpartition("-")[2]) + 1
    records = tuple(f"{PROJECT}-{first + number}" for number in range(count))
    with store.transaction():
        for number, key in enumerate(records, last.id + 1):
            made.create(number, key, {**last.fields, "summary": FIRST}, CREATED)
    store.close()
    with running("jira", data=folder) as sandbox:
        issues.write_secret(folder)
        yield StandIn(
            sandbox=sandbox,
            kind="jira",
            changing="summary",
            entry=f"""
kind = "jira"
url = "{sandbox.url}"
secret_file = "jira.secret"
columns = ["summary"]
identifier_pattern = "SUP-[0-9]+"
{_options(timeout, settle)}
""",
            records=records,
            writes={"method": "PUT", "path": r"/issue/SUP-\d+(\?|$)"},
            faults=_FAULTS,
        )


@contextmanager
def systems(
    folder: Path, server: str, count: int, *, timeout: float, settle: float,
    kinds: tuple[str, ...] = KINDS,
) -> Iterator[dict[str, System]]:  # fmt: skip
    """The systems of these kinds, with `count` records each."""
    makers: dict[str, Callable[[], Any]] = {
        "sql": lambda: table(server, count),
        "sharepoint": lambda: items(folder, count, timeout=timeout, settle=settle),
        "jira": lambda: project(folder, count, timeout=timeout, settle=settle),
    }
    with ExitStack() as stack:
        yield {kind: stack.enter_context(makers[kind]()) for kind in kinds}


def in_order(changes: Sequence[Change]) -> bool:
    """Whether each record took its values, numbered, in the order in which they were decided."""
    last: dict[str, int] = {}
    for record, value in changes:
        number = int(value.rpartition(" ")[2])
        if number <= last.get(record, 0):
            return False
        last[record] = number
    return True


# Comments, which Jira alone has


def comments_of(jira: StandIn) -> dict[str, list[str]]:
    """What was done to comments, by the key in their markers: "comment", "comment-delete" …"""
    done: dict[str, list[str]] = {}
    owner: dict[str, str] = {}
    for one in jira.effects():
        if not one["operation"].startswith("comment"):
            continue
        [name] = one["fields"]
        marker = json.loads(one["marker"] or "{}").get("placet.write-back")
        if marker is not None:
            owner[name] = marker["write_back_id"]
        done.setdefault(owner[name], []).append(one["operation"])
    return done
