"""Law 1 on the desk's side: what each record of review-items becomes, on a real database."""

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from tests.support.review import (
    INSTANCE,
    POLICY,
    fresh_database,
    make_schema,
    records,
    review_item,
)

from contract.codec import UnknownSchemaError, encode
from contract.events import Control, Risk
from contract.reasons import Reason
from conveyor.errors import UnavailableError
from review_api.ingest import Ingest
from review_api.policy import parse_policy


@pytest.fixture(scope="module")
def database(postgres_server: str) -> Iterator[str]:
    with fresh_database(postgres_server) as dsn:
        make_schema(dsn)
        yield dsn


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as made:
        made.execute("TRUNCATE review.item, review.item_revision")
        yield made


@pytest.fixture
def ingest(database: str, connection: psycopg.Connection) -> Iterator[Ingest]:
    with closing(Ingest(database, parse_policy(POLICY))) as made:
        yield made


def _items(connection: psycopg.Connection) -> list[tuple[int, str, str]]:
    return connection.execute(
        "SELECT revision, state, lane FROM review.item ORDER BY external_id"
    ).fetchall()


def _set_state(connection: psycopg.Connection, state: str) -> None:
    connection.execute("UPDATE review.item SET state = %s", (state,))


def test_batch_twice_is_the_batch_once(ingest: Ingest, connection: psycopg.Connection) -> None:
    batch = records([review_item(number) for number in range(50)])
    assert ingest.handle(batch) == []
    before = _items(connection)
    assert ingest.handle(list(reversed(batch))) == []
    assert _items(connection) == before
    assert len(before) == 50


def test_one_item_many_times_in_a_batch_is_handled_in_order(
    ingest: Ingest, connection: psycopg.Connection
) -> None:
    first, second = review_item(1), review_item(1, revision=2)
    other_content = review_item(1, revision=2, output="something else")
    batch = records([first, second, first, second, other_content, second])
    (parked,) = ingest.handle(batch)
    assert (parked.reason, parked.record.offset) == (Reason.REVISION_REUSED, 4)
    assert _items(connection) == [(2, "PENDING", "ordinary")]
    assert connection.execute("SELECT count(*) FROM review.item_revision").fetchone() == (2,)


def test_late_lower_revision_is_history_only(
    ingest: Ingest, connection: psycopg.Connection
) -> None:
    assert ingest.handle(records([review_item(1, revision=3)])) == []
    assert ingest.handle(records([review_item(1, revision=1), review_item(1, revision=2)])) == []
    assert _items(connection) == [(3, "PENDING", "ordinary")]
    assert connection.execute("SELECT count(*) FROM review.item_revision").fetchone() == (3,)


@pytest.mark.parametrize("state", ["PENDING", "NEEDS_INFO", "SECOND_APPROVAL"])
def test_higher_revision_reopens(
    ingest: Ingest, connection: psycopg.Connection, state: str
) -> None:
    ingest.handle(records([review_item(1)]))
    _set_state(connection, state)
    assert ingest.handle(records([review_item(1, revision=2, output="better")])) == []
    assert _items(connection) == [(2, "PENDING", "ordinary")]


@pytest.mark.parametrize(
    "state",
    ["REJECTED", "APPROVED", "WRITING", "COMPLETED", "CONFLICT", "STUCK", "FAILED", "UNDONE"],
)
def test_higher_revision_of_a_decided_item_is_a_dead_letter(
    ingest: Ingest, connection: psycopg.Connection, state: str
) -> None:
    ingest.handle(records([review_item(1)]))
    _set_state(connection, state)
    (parked,) = ingest.handle(records([review_item(1, revision=2)]))
    assert parked.reason is Reason.ITEM_DECIDED
    assert _items(connection) == [(1, state, "ordinary")]


@pytest.mark.parametrize("together", [True, False])
def test_the_same_revision_with_other_content_is_parked(
    ingest: Ingest,
    connection: psycopg.Connection,
    together: bool,  # noqa: FBT001
) -> None:
    first, other = records([review_item(1), review_item(1, output="Mumbai.")])
    batches = [[first, other]] if together else [[first], [other]]
    (parked,) = [one for batch in batches for one in ingest.handle(batch)]
    assert (parked.record, parked.reason) == (other, Reason.REVISION_REUSED)
    rows = connection.execute("SELECT event FROM review.item_revision").fetchall()
    assert [bytes(row[0]) for row in rows] == [first.value]


def test_lane_can_only_rise(ingest: Ingest, connection: psycopg.Connection) -> None:
    ingest.handle(records([review_item(1, risk=Risk(score=0.95))]))
    assert _items(connection) == [(1, "PENDING", "critical")]
    ingest.handle(records([review_item(1, revision=2, risk=Risk(score=0.1))]))
    assert _items(connection) == [(2, "PENDING", "critical")]


def test_poison_is_parked_and_everything_else_arrives(
    ingest: Ingest, connection: psycopg.Connection
) -> None:
    control = Control(
        event_id="11111111-1111-5111-8111-111111111111",
        correlation_id="",
        timestamp=review_item(1).timestamp,
        scope="x",
        control="PAUSED",
        actor_id="a",
        role="sre",
        content_digest=b"",
    )
    good = encode(review_item(1))
    batch = records([b"", b"garbage", good[:-5], encode(control), review_item(2), good])
    parked = ingest.handle(batch)
    assert [one.record.offset for one in parked] == [0, 1, 2, 3]
    assert len(_items(connection)) == 2


def test_schema_of_a_newer_release_stops_uncommitted(
    ingest: Ingest, connection: psycopg.Connection
) -> None:
    newer = b"\xc3\x01" + b"\x07" * 8 + b"whatever"
    with pytest.raises(UnknownSchemaError):
        ingest.handle(records([review_item(1), newer]))
    assert _items(connection) == []


def test_text_is_kept_byte_for_byte(ingest: Ingest, connection: psycopg.Connection) -> None:
    odd = review_item(
        1, prompt="  \u202eodd\u0301 \r\n\ttext\x0b ", fields={"answer": '"\\u0041 "'}
    )
    ingest.handle(records([odd]))
    row = connection.execute("SELECT event, title FROM review.item_revision").fetchone()
    assert row is not None
    assert bytes(row[0]) == encode(odd)
    assert row[1] == "\u202eodd\u0301"


def test_two_workers_with_the_same_new_items_lose_nothing(
    database: str, ingest: Ingest, connection: psycopg.Connection
) -> None:
    """During a rebalance two workers may hold the same records: one is told to try again."""
    batch = records([review_item(number) for number in range(20)])
    with psycopg.connect(database) as other:
        with other.cursor() as cursor:
            Ingest(database, parse_policy(POLICY))._write(cursor, _arrivals(batch))
        import threading

        outcome: list[object] = []

        def handle() -> None:
            try:
                outcome.append(ingest.handle(batch))
            except UnavailableError as error:
                outcome.append(error)

        thread = threading.Thread(target=handle)
        thread.start()
        thread.join(0.2)
        other.commit()
        thread.join(10)
    assert isinstance(outcome[0], UnavailableError)
    assert ingest.handle(batch) == []
    assert len(_items(connection)) == 20


def _arrivals(batch: list) -> list:
    from review_api.ingest import read

    return read(batch)[0]


def test_database_away_is_unavailable() -> None:
    with (
        closing(Ingest("postgresql://nobody@127.0.0.1:1/none", parse_policy(POLICY))) as away,
        pytest.raises(UnavailableError),
    ):
        away.handle(records([review_item(1)]))


def test_target_is_kept_as_sent(ingest: Ingest, connection: psycopg.Connection) -> None:
    ingest.handle(records([review_item(1, identifier="a/b c")]))
    row = connection.execute("SELECT instance, identifier FROM review.item").fetchone()
    assert row == (INSTANCE, "a/b c")
