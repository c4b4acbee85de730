"""Pages of the queue on a real database: complete, in order, flat."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from tests.support.review import Desk, desk, fresh_database, review_item

from contract.events import Divergence, Risk

DUE = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def placet_desk(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with (
        fresh_database(postgres_server) as dsn,
        desk(dsn, tmp_path_factory.mktemp("desk")) as made,
    ):
        made.ingest(
            [
                review_item(
                    number,
                    due_at=DUE + timedelta(hours=number % 5) if number % 3 else None,
                    risk=Risk(score=(number * 7 % 11) / 11),
                    divergence=Divergence(score=(number * 3 % 7) / 7, unsupported_ratio=0),
                    source="other" if number % 10 == 0 else "support-rag",
                    prompt=f"Is {'Zanzibar' if number == 17 else 'Delhi'} number {number}?",
                )
                for number in range(60)
            ]
        )
        yield made


def _pages(placet_desk: Desk, query: str, limit: int = 7) -> list[dict]:
    http = placet_desk.person().http
    rows: list[dict] = []
    cursor = ""
    while True:
        answer = http.get(f"/api/items?limit={limit}&{query}&cursor={cursor}")
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= limit
        rows += page["items"]
        cursor = page["next"]
        if cursor is None:
            return rows


def _key(row: dict) -> tuple:
    return (row["due_at"] or "9999", -row["risk"], row["item_id"])


@pytest.mark.parametrize("limit", [1, 7, 59, 60, 200])
def test_pages_together_are_everything_once_in_order(placet_desk: Desk, limit: int) -> None:
    rows = _pages(placet_desk, "", limit)
    assert len({row["item_id"] for row in rows}) == 60
    assert rows == sorted(rows, key=_key)


def test_other_order(placet_desk: Desk) -> None:
    rows = _pages(placet_desk, "sort=-divergence")
    assert len(rows) == 60
    assert rows == sorted(rows, key=lambda row: (-row["divergence"], row["item_id"]))


def test_filters(placet_desk: Desk) -> None:
    assert len(_pages(placet_desk, "source=other")) == 6
    critical = _pages(placet_desk, "lane=critical")
    assert critical
    assert all(row["risk"] >= 0.9 for row in critical)
    assert len(_pages(placet_desk, "lane=ordinary")) == 60 - len(critical)
    assert _pages(placet_desk, "state=COMPLETED,REJECTED") == []
    assert len(_pages(placet_desk, "state=PENDING")) == 60


def test_search_finds_words_names_and_ids(placet_desk: Desk) -> None:
    (found,) = _pages(placet_desk, "q=zanzi")
    assert found["external_id"] == "q-17"
    assert _pages(placet_desk, "q=q-17")[0]["external_id"] == "q-17"
    assert _pages(placet_desk, f"q={found['item_id']}") == [found]
    assert len(_pages(placet_desk, "q=delhi")) == 59
    assert _pages(placet_desk, "q=delhi+zanzibar") == []


def test_next_page_is_an_index_range(placet_desk: Desk) -> None:
    """However long the queue: the plan of a later page reads what it shows and no more."""
    import psycopg

    from review_api.listing import parse_filter
    from review_api.queries import page
    from review_api.review import State

    first = placet_desk.person().http.get("/api/items?limit=5&state=PENDING").json()
    wanted = parse_filter({"limit": "5", "state": State.PENDING, "cursor": first["next"]})
    statement, values = page(replace(wanted, viewer=UUID(int=1)))
    with psycopg.connect(placet_desk.dsn) as connection:
        connection.execute("SET enable_seqscan = off")
        connection.execute("SET enable_sort = off")
        text = statement.as_string(connection)
        plan = connection.execute("EXPLAIN " + text, values).fetchall()  # type: ignore[arg-type]
    lines = "\n".join(row[0] for row in plan)
    assert "item_by_due" in lines
    assert "Index Cond" in lines
    assert "ROW(due_at, (- risk), item_id) > ROW(" in lines
    assert "Filter" not in lines
