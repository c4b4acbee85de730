"""The six measures on `/insight`, from decisions taken over HTTP."""

import re
from collections.abc import Iterator

import pytest
from tests.support.review import Desk, desk, fresh_database, review_item


@pytest.fixture(scope="module")
def placet_desk(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with (
        fresh_database(postgres_server) as dsn,
        desk(dsn, tmp_path_factory.mktemp("desk")) as made,
    ):
        items = [review_item(number) for number in range(4)]
        made.ingest(items)
        reviewer = made.person()
        for number, one in enumerate(items[:3]):
            action = "REJECT" if number else "APPROVE"
            assert reviewer.decide(reviewer.item(one.item_id), action).status_code == 201
        yield made


def test_every_measure_is_a_picture_with_words_and_a_table(placet_desk: Desk) -> None:
    page = placet_desk.person("sre").http.get("/insight").text
    sections = page.split('class="card measure"')[1:]
    assert len(sections) == 6
    for section in sections:
        assert re.search(r'<title id="t-\w+">.+</title>', section)
        assert re.search(r'<desc id="d-\w+">.+</desc>', section)
        assert "Show as table" in section
        assert "<table>" in section
    assert "style=" not in page


def test_numbers_are_those_of_the_api(placet_desk: Desk) -> None:
    person = placet_desk.person("auditor")
    measures = person.http.get("/api/metrics/review").json()
    page = person.http.get("/insight").text
    assert (measures["pending"], measures["decided"]) == (1, 3)
    (waiting, _, approved, *_) = re.findall(r'class="now num">([^<]+)<', page)
    assert (waiting, approved) == ("1", "33 %")
    assert len(re.findall(r"<rect ", page.split('id="m-waiting"')[1].split("</svg>")[0])) == 24


def test_it_shows_no_text_of_any_proposal(placet_desk: Desk) -> None:
    page = placet_desk.person("sre").http.get("/insight").text
    assert "Delhi" not in page
    assert 'href="/review"' not in page.split("<nav")[1].split("</nav>")[0]
