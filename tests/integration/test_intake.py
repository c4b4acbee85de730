"""Intake on a real broker: law 1, whatever is sent and whatever dies.

Topics and the group's offsets go on from test to test; each test looks at what it published.
"""

import itertools
import json
import os
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

import pytest
from tests.support.intake_process import (
    IntakeProcess,
    Place,
    assigned,
    committed,
    ends,
    lag,
    publish,
    read_all,
    running,
    until,
)
from tests.support.model_outputs import BAD, LARGE, good

from contract.codec import decode
from contract.events import DeadLetter, ReviewItem
from contract.topics import DEAD_LETTERS, REVIEW_ITEMS
from placet.servers import create_topics, kafka_broker

_NUMBERS = itertools.count(1_000)


def fresh(count: int) -> list[bytes]:
    """Good records that no test has sent before."""
    return [good(next(_NUMBERS)) for _ in range(count)]


def items(bootstrap: str, places: dict[Place, bytes | None]) -> Counter[Place]:
    """How many review items there are of each of `places`."""
    counts: Counter[Place] = Counter()
    for record in read_all(bootstrap, REVIEW_ITEMS):
        event = decode(_bytes(record.value()))
        assert isinstance(event, ReviewItem)
        counts[event.origin.partition, event.origin.offset] += 1
    return Counter({place: counts[place] for place in places if counts[place]})


def letters(bootstrap: str, places: dict[Place, bytes | None]) -> dict[Place, DeadLetter]:
    found = {}
    for record in read_all(bootstrap, DEAD_LETTERS):
        event = decode(_bytes(record.value()))
        assert isinstance(event, DeadLetter)
        place = (event.origin.partition, event.origin.offset)
        if place in places:
            assert place not in found
            found[place] = event
    return found


def _bytes(value: str | bytes | None) -> bytes:
    assert isinstance(value, bytes)
    return value


def test_ten_thousand_bad_records_among_good_ones_are_all_parked(
    kafka: str, tmp_path: Path
) -> None:
    bad = [(value(), reason) for _, value, reason in BAD if "long" not in _]
    heavy = [(value(), reason) for name, value, reason in (*BAD, LARGE) if "long" in name]
    heavy += [(LARGE[1](), LARGE[2]), (b"\xff" * 4_190_000, LARGE[2])]
    cycle = [*heavy, *itertools.islice(itertools.cycle(bad), 10_000 - len(heavy))]
    goods = fresh(500)
    values = [value for value, _ in cycle]
    for n, value in enumerate(goods):
        values.insert(n * 21, value)
    places = publish(kafka, values)
    with running(kafka, tmp_path) as intake:
        until(lambda: lag(kafka) == 0, "lag 0")
        assert intake.terminate()[0] == 0
    parked = letters(kafka, places)
    assert len(parked) == 10_000
    assert Counter(letter.reason_code for letter in parked.values()) == Counter(
        reason.value for _, reason in cycle
    )
    assert all(letter.value == places[place] for place, letter in parked.items())
    arrived = items(kafka, places)
    assert len(arrived) == 500
    assert {places[place] for place in arrived} == set(goods)


def test_sigkill_midway_loses_nothing(kafka: str, tmp_path: Path) -> None:
    places = publish(kafka, fresh(4_000))
    before = sum(ends(kafka, REVIEW_ITEMS).values())
    for goal in (300, 1_200, 2_500):
        with running(kafka, tmp_path) as intake:
            until(
                lambda: sum(ends(kafka, REVIEW_ITEMS).values()) >= before + goal,  # noqa: B023
                f"{goal} items",
            )
            intake.kill()
        passed = committed(kafka)
        arrived = items(kafka, places)
        lost = [p for p in places if p[1] < passed.get(p[0], 0) and p not in arrived]
        assert lost == []
    with running(kafka, tmp_path) as intake:
        until(lambda: lag(kafka) == 0, "lag 0")
        intake.terminate()
    assert len(items(kafka, places)) == 4_000


def test_what_sigterm_leaves_uncommitted_is_all_that_is_done_again(
    kafka: str, tmp_path: Path
) -> None:
    places = publish(kafka, fresh(3_000))
    before = sum(ends(kafka, REVIEW_ITEMS).values())
    with running(kafka, tmp_path) as intake:
        until(lambda: sum(ends(kafka, REVIEW_ITEMS).values()) >= before + 200, "200 items")
        code, seconds = intake.terminate()
    assert code == 0
    assert seconds < 10
    passed = committed(kafka)
    arrived = items(kafka, places)
    assert [p for p in places if p[1] < passed.get(p[0], 0) and p not in arrived] == []
    with running(kafka, tmp_path) as intake:
        until(lambda: lag(kafka) == 0, "lag 0")
        intake.terminate()
    assert len(items(kafka, places)) == 3_000


def test_two_share_the_work_and_one_may_die(kafka: str, tmp_path: Path) -> None:
    places = publish(kafka, fresh(6_000))
    before = sum(ends(kafka, REVIEW_ITEMS).values())
    with running(kafka, tmp_path / "1") as one, running(kafka, tmp_path / "2") as other:
        until(lambda: sum(ends(kafka, REVIEW_ITEMS).values()) >= before + 500, "500 items")
        one.kill()
        until(lambda: lag(kafka) == 0, "lag 0")
        other.terminate()
    assert len(items(kafka, places)) == 6_000


_SABOTAGED = """
import intake.effects as effects
honest = effects.normalise
def normalise(**record):
    if b"BOOM" in (record["value"] or b""):
        raise ZeroDivisionError("nobody foresaw this")
    return honest(**record)
effects.normalise = normalise
from intake.main import main
main()
"""


def test_an_unforeseen_error_ends_the_process_before_the_commit(kafka: str, tmp_path: Path) -> None:
    values = fresh(40)
    values[20] = values[20].replace(b"Oberoi", b"BOOM", 1)
    places = publish(kafka, values)
    fatal = next(place for place, value in places.items() if b"BOOM" in (value or b""))
    for _ in range(2):  # again and again: it is never skipped
        broken = IntakeProcess(kafka, tmp_path, _SABOTAGED)
        assert broken.process.wait(60) == 1
        assert "nobody foresaw this" in broken.text()
        assert committed(kafka).get(fatal[0], 0) <= fatal[1]
    with running(kafka, tmp_path) as mended:
        until(lambda: lag(kafka) == 0, "lag 0")
        mended.terminate()
    assert len(items(kafka, places)) == 40


_SLOW = """
import time
from intake.effects import Effects
Effects.settle = lambda self, records: time.sleep(60)
from intake.main import main
main()
"""


def test_a_batch_that_sigterm_interrupts_is_not_committed(kafka: str, tmp_path: Path) -> None:
    places = publish(kafka, fresh(60))
    before = committed(kafka)
    with running(kafka, tmp_path, _SLOW) as slow:
        until(lambda: assigned(slow), "partitions")
        time.sleep(1)  # the batch is being settled now, and will be for a minute
        code, seconds = slow.terminate()
    assert (code, seconds < 10) == (0, True)
    assert committed(kafka) == before
    with running(kafka, tmp_path) as intake:
        until(lambda: lag(kafka) == 0, "lag 0")
        intake.terminate()
    assert len(items(kafka, places)) == 60


def test_pipelines_choose_their_compression(kafka: str, tmp_path: Path) -> None:
    places: dict[Place, bytes | None] = {}
    for compression in ("none", "gzip", "snappy", "lz4", "zstd"):
        places |= publish(kafka, fresh(24), compression)
    with running(kafka, tmp_path) as intake:
        until(lambda: lag(kafka) == 0, "lag 0", 30)
        intake.terminate()
    assert len(items(kafka, places)) == 5 * 24


@pytest.mark.skipif(
    os.environ.get("PLACET_TEST_SERVERS") == "containers", reason="stops a broker of its own"
)
def test_it_outlives_its_broker(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with kafka_broker(tmp_path / "kafka") as bootstrap:
            create_topics(bootstrap)
            publish(bootstrap, fresh(50))
            intake = stack.enter_context(running(bootstrap, tmp_path))
            until(lambda: lag(bootstrap) == 0, "lag 0")
        with kafka_broker(tmp_path / "kafka") as again:
            assert again == bootstrap
            places = publish(again, fresh(50))
            until(lambda: lag(again) == 0, "lag 0 again")
            assert len(items(again, places)) == 50
            assert intake.terminate()[0] == 0


def test_it_says_how_it_is_and_logs_json_only(kafka: str, tmp_path: Path) -> None:
    publish(kafka, [*fresh(2), b"garbage"])
    with running(kafka, tmp_path) as intake:
        until(lambda: lag(kafka) == 0, "lag 0")
        address = f"http://127.0.0.1:{intake.port}"
        with urlopen(f"{address}/readyz") as answer:
            assert json.load(answer) == {"consuming": True, "effects": True}
        with urlopen(f"{address}/metrics") as answer:
            text = answer.read().decode()
        assert 'placet_records_total{group="intake"} 3.0' in text
        assert 'placet_dead_letters_total{group="intake",reason="UNREADABLE"} 1.0' in text
        assert "placet_divergence_seconds_count 2.0" in text
        intake.terminate()
    lines = intake.text().splitlines()
    assert [json.loads(line)["service"] for line in lines] == ["intake"] * len(lines)


def test_it_waits_for_kafka_and_stops_when_told_to(tmp_path: Path) -> None:
    with running("127.0.0.1:9", tmp_path) as intake:
        until(lambda: '"waiting"' in intake.text(), "it says that it waits", 30)
        code, seconds = intake.terminate()
    assert (code, seconds < 10) == (0, True)
