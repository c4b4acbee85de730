"""The stand-ins of Jira and SharePoint that a run of the bench writes to: processes of its own.

Owns their records, secrets, and what `targets.toml` says of them; nothing is left of them.
"""

import base64
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import orjson

from bench.systems import CONCURRENCY, ODATA, System
from placet.demo.stand_ins import HEALTH, JIRA, SHAREPOINT, StandIn
from placet.servers.ports import LOOPBACK, free_port
from placet.servers.process import running, wait_until
from sandbox.jira.app import DEFAULTS as JIRA_DEFAULTS
from sandbox.jira.queries import SCHEMA as JIRA_SCHEMA
from sandbox.jira.records import FIRST_ID
from sandbox.jira.records import Records as Issues
from sandbox.jira.seed import CREATED, Seeder
from sandbox.sharepoint.app import DEFAULTS as SHAREPOINT_DEFAULTS
from sandbox.sharepoint.queries import SCHEMA as SHAREPOINT_SCHEMA
from sandbox.sharepoint.records import Records as Items
from sandbox.sharepoint.seed import SYSTEM
from sandbox.sharepoint.seed import seed as seed_list
from sandbox.store import Store

_START_SECONDS: Final = 30.0


@contextmanager
def running_systems(folder: Path, count: int) -> Iterator[list[System]]:
    """Run both stand-ins with `count` records each, and their secrets in `folder`."""
    folder.mkdir()
    issues, items = _issues(folder, count), _items(folder, count)
    ports = [free_port(), free_port()]
    with _serving(JIRA, folder, ports[0]), _serving(SHAREPOINT, folder, ports[1]):
        yield [_jira(folder, ports[0], issues), _sharepoint(folder, ports[1], items)]


@contextmanager
def _serving(stand_in: StandIn, folder: Path, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "sandbox.main", stand_in.system]
    command += ["--host", LOOPBACK, "--port", str(port), "--data", str(folder)]
    log = folder / f"{stand_in.process}.log"
    with running(command, log=log, environment=os.environ) as process:
        wait_until(
            lambda: _answers(f"http://{LOOPBACK}:{port}{HEALTH}"),
            alive=lambda: process.poll() is None,
            what=stand_in.process,
            log=log,
            seconds=_START_SECONDS,
        )
        yield


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False


def _issues(folder: Path, count: int) -> list[str]:
    path = folder / "jira-cloud.sqlite3"
    store = Store(path, JIRA_SCHEMA, Seeder(cloud=True), dict(JIRA_DEFAULTS))
    made = Issues(store)
    seeded = made.all()
    keys = [f"SUP-{len(seeded) + number}" for number in range(1, count + 1)]
    with store.transaction():
        for number, key in enumerate(keys, len(seeded)):
            made.create(FIRST_ID + number, key, {**seeded[0].fields, "summary": "new"}, CREATED)
    store.close()
    return keys


def _items(folder: Path, count: int) -> list[str]:
    path = folder / "sharepoint.sqlite3"
    store = Store(path, SHAREPOINT_SCHEMA, seed_list, dict(SHAREPOINT_DEFAULTS))
    made = Items(store)
    [where] = made.lists()
    with store.transaction():
        numbers = [made.add(where, {"Title": "new"}, SYSTEM, store.now()).id for _ in range(count)]
    store.close()
    return [str(number) for number in numbers]


def _jira(folder: Path, port: int, records: list[str]) -> System:
    secret = JIRA.secret(port)
    (folder / "jira.secret").write_text(secret, "utf-8")
    told = json.loads(secret)
    basic = base64.b64encode(f"{told['email']}:{told['token']}".encode()).decode()

    def body(text: str) -> bytes:
        key = str(uuid4())
        marker: dict[str, Any] = {
            "write_back_id": key,
            "decision_id": key,
            "since": None,
            "before": {},
        }
        return orjson.dumps(
            {
                "fields": {"summary": text},
                "properties": [{"key": f"placet.{key}", "value": marker}],
                "historyMetadata": {"type": "bench", "activityDescription": key},
            }
        )

    return System(
        stand_in=JIRA,
        instance="bench-jira",
        changing="summary",
        url=f"http://{LOOPBACK}:{port}",
        entry=_entry(
            "bench-jira",
            f"""
kind = "jira"
url = "http://{LOOPBACK}:{port}"
secret_file = "{folder / "jira.secret"}"
columns = ["summary"]
identifier_pattern = "SUP-[0-9]+"
settle = 5
""",
        ),
        records=records,
        mark=lambda identifier: f"/{identifier}",
        body=body,
        headers=lambda: {"Authorization": f"Basic {basic}"},
    )


def _sharepoint(folder: Path, port: int, records: list[str]) -> System:
    secret = SHAREPOINT.secret(port)
    (folder / "sharepoint.secret").write_text(secret, "utf-8")
    told = json.loads(secret)

    def headers() -> Mapping[str, str]:
        form = {
            "grant_type": "client_credentials",
            "client_id": told["client_id"],
            "client_secret": told["client_secret"],
            "scope": f"http://{LOOPBACK}:{port}/.default",
        }
        answer = httpx.post(told["token_url"], data=form, timeout=30, trust_env=False)
        token = answer.raise_for_status().json()["access_token"]
        return {"Authorization": f"Bearer {token}", "Accept": ODATA}

    return System(
        stand_in=SHAREPOINT,
        instance="bench-sharepoint",
        changing="Title",
        url=f"http://{LOOPBACK}:{port}",
        entry=_entry(
            "bench-sharepoint",
            f"""
kind = "sharepoint"
url = "http://{LOOPBACK}:{port}/sites/support"
secret_file = "{folder / "sharepoint.secret"}"
table = "Knowledge articles"
columns = ["Title"]
identifier_pattern = "[1-9][0-9]*"
""",
        ),
        records=records,
        mark=lambda identifier: f"({identifier})",
        body=lambda text: orjson.dumps({"Title": text, "PlacetWriteBack": str(uuid4())}),
        headers=headers,
    )


def _entry(instance: str, own: str) -> str:
    return f"""
[[target]]
name = "{instance}"{own}concurrency = {CONCURRENCY}
dispatcher_url = "http://{LOOPBACK}:{free_port()}"
hold = 0
timeout = 30
retry = [1, 5, 60]
"""
