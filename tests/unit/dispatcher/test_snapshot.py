"""The snapshot endpoint and its cache, on the target in memory and with a clock of its own."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI
from tests.support.memory_target import MemoryTarget

from dispatcher.snapshot import FRESH, Known, Snapshots, application
from dispatcher.targets.columns import Column, Kind
from dispatcher.targets.target import Snapshot
from dispatcher.writeback import Refused, Unavailable

TOKEN = "token"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def target() -> MemoryTarget:
    one = MemoryTarget({"answer": Column(name="answer", kind=Kind.TEXT, sql_type="text")})
    one.add("a", {"answer": '"old"'})
    return one


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def snapshots(target: MemoryTarget, clock: Clock) -> Snapshots:
    return Snapshots(target, clock)


def seen(snapshots: Snapshots, identifier: str = "a") -> Known:
    found = snapshots.get(identifier)
    assert isinstance(found, Known)
    return found


def test_a_fresh_snapshot_is_kept_with_its_age(
    target: MemoryTarget, snapshots: Snapshots, clock: Clock
) -> None:
    assert seen(snapshots).age == 0
    target.change("a", "answer", '"new"')
    clock.now += FRESH
    assert seen(snapshots).age == FRESH
    assert seen(snapshots).snapshot.fields["answer"] == '"old"'
    clock.now += 0.1
    assert seen(snapshots).snapshot.fields["answer"] == '"new"'


def test_a_record_that_was_written_is_read_anew(target: MemoryTarget, snapshots: Snapshots) -> None:
    seen(snapshots)
    target.change("a", "answer", '"new"')
    snapshots.forget("a")
    assert seen(snapshots).snapshot.fields["answer"] == '"new"'


def test_a_read_that_a_write_overtook_is_not_kept_as_fresh(
    monkeypatch: pytest.MonkeyPatch, target: MemoryTarget, snapshots: Snapshots
) -> None:
    read = target.read

    def overtaken(identifier: str) -> Snapshot | Refused | Unavailable:
        before = read(identifier)
        target.change("a", "answer", '"new"')
        snapshots.forget("a")
        return before

    with monkeypatch.context() as patch:
        patch.setattr(target, "read", overtaken)
        seen(snapshots)
    assert seen(snapshots).snapshot.fields["answer"] == '"new"'


def test_the_last_known_value_stands_in_for_a_target_that_is_away_and_says_so(
    target: MemoryTarget, snapshots: Snapshots, clock: Clock
) -> None:
    seen(snapshots)
    target.away = True
    clock.now += 100
    old = seen(snapshots)
    assert (old.stale, old.age) == (True, 100)
    assert isinstance(snapshots.get("never read"), Unavailable)
    target.away = False
    assert seen(snapshots).stale  # it is left alone for a moment
    clock.now += 3
    assert not seen(snapshots).stale


def test_the_cache_is_bounded(
    monkeypatch: pytest.MonkeyPatch, target: MemoryTarget, snapshots: Snapshots
) -> None:
    monkeypatch.setattr("dispatcher.snapshot.MOST", 3)
    for i in range(10):
        target.add(str(i), {})
        seen(snapshots, str(i))
    assert len(snapshots._kept) == 3


def get(app: FastAPI, path: str, authorization: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(
                path, headers={b"Authorization": authorization.encode("latin-1")}
            )

    return asyncio.run(ask())


@pytest.fixture
def app(snapshots: Snapshots) -> FastAPI:
    return application("faq", snapshots, TOKEN, lambda: {"state": "running"})


@pytest.mark.parametrize(
    ("path", "authorization", "status", "code"),
    [
        ("/internal/snapshot?instance=faq&identifier=a", "Bearer token", 200, None),
        ("/internal/snapshot?instance=faq&identifier=a", "", 401, "NOT_SIGNED_IN"),
        ("/internal/snapshot?instance=faq&identifier=a", "Bearer tokem", 401, "NOT_SIGNED_IN"),
        ("/internal/snapshot?instance=faq&identifier=a", "Bearer t\u00f6ken", 401, "NOT_SIGNED_IN"),
        ("/internal/snapshot?instance=other&identifier=a", "Bearer token", 404, "UNKNOWN_TARGET"),
        ("/internal/snapshot?instance=faq&identifier=b", "Bearer token", 404, "RECORD_NOT_FOUND"),
        ("/internal/snapshot?instance=faq", "Bearer token", 404, "RECORD_NOT_FOUND"),
        ("/internal/snapshot", "Bearer token", 404, "UNKNOWN_TARGET"),
    ],
)
def test_every_answer_is_a_snapshot_or_a_problem(
    app: FastAPI, path: str, authorization: str, status: int, code: str | None
) -> None:
    answer = get(app, path, authorization)
    assert answer.status_code == status
    if code is not None:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == code
    else:
        assert answer.json()["fields"] == {"answer": '"old"'}


def test_a_target_that_was_never_read_and_is_away_is_a_503(
    app: FastAPI, target: MemoryTarget
) -> None:
    target.away = True
    answer = get(app, "/internal/snapshot?instance=faq&identifier=a", f"Bearer {TOKEN}")
    assert answer.status_code == 503
    assert answer.json()["code"] == "TARGET_UNAVAILABLE"
