"""Step 1: what is new, a duplicate, refused, and what a failure at each write leaves."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.support.audit_log import MemoryLetters, MemoryLog, control, dead_letter, read
from tests.support.examples import EXAMPLES
from tests.support.vault import MemoryStore, memory_keyring

from audit_sink.append import Appender, NewerWriterError
from contract.codec import decode, encode
from contract.events import DeadLetter, Event, ReviewDecision
from contract.identity import Digester, derive
from contract.reasons import Reason
from contract.topics import CONTROLS, DEAD_LETTERS, DECISIONS, REVIEW_ITEMS
from conveyor.errors import UnavailableError
from conveyor.parking import dead_letter as letter_of
from conveyor.record import REPLAY_OF, Record

DIGESTER = Digester(bytes(32))


class Sink:
    def __init__(self, folder: Path) -> None:
        self.log = MemoryLog()
        self.vault = MemoryStore()
        self.letters = MemoryLetters()
        self.sizes: list[int] = []
        self.appender = Appender(
            log=self.log,
            letters=self.letters,
            digester=DIGESTER,
            vault=memory_keyring(folder, self.vault),
            appended=self.sizes.append,
        )

    def take(self, *records: Record) -> None:
        assert self.appender.handle(records) == ()

    @property
    def ids(self) -> list[str]:
        return [str(row.event_id) for row in self.log.rows]

    @property
    def reasons(self) -> list[Reason]:
        return [parked.reason for parked in self.letters.sent]


@pytest.fixture
def sink(tmp_path: Path) -> Sink:
    return Sink(tmp_path)


def _numbered(numbers: Sequence[int]) -> list[Record]:
    return [read(control(number), offset=number) for number in numbers]


def test_facts_get_gapless_numbers_in_the_order_read(sink: Sink) -> None:
    sink.take(*_numbered(range(3)))
    sink.take(*_numbered(range(3, 5)))
    assert [row.sequence for row in sink.log.rows] == [0, 1, 2, 3, 4]
    assert sink.ids == [control(number).event_id for number in range(5)]
    assert sink.sizes == [3, 5]
    assert sink.log.offsets == {(CONTROLS, 0): 5}


def test_a_second_delivery_appends_nothing_and_moves_the_offsets(sink: Sink) -> None:
    sink.take(*_numbered([0, 1]))
    sink.take(read(control(0), offset=7), read(control(1), offset=8))
    assert len(sink.log.rows) == 2
    assert sink.sizes == [2]
    assert sink.log.offsets == {(CONTROLS, 0): 9}


def test_the_same_event_twice_in_one_batch_is_one_record(sink: Sink) -> None:
    sink.take(read(control(0)), read(control(0), offset=1))
    assert len(sink.log.rows) == 1
    assert not sink.letters.sent


def test_an_id_with_other_content_is_refused_and_never_a_duplicate(sink: Sink) -> None:
    other = control(0, reason="another")
    sink.take(read(control(0)), read(other, offset=1))
    sink.take(read(other, offset=2))
    assert len(sink.log.rows) == 1
    assert sink.reasons == [Reason.KEY_REUSED, Reason.KEY_REUSED]


def test_an_altered_decision_under_a_copied_digest_is_no_duplicate(sink: Sink) -> None:
    decision = next(event for event in EXAMPLES if isinstance(event, ReviewDecision))
    altered = replace(decision, statement=decision.statement + " ")
    sink.take(read(decision, topic=DECISIONS), read(altered, topic=DECISIONS, offset=1))
    assert sink.reasons == [Reason.KEY_REUSED]


UNREADABLE: dict[str, tuple[Record, Reason]] = {
    "no bytes": (read(b""), Reason.UNREADABLE),
    "garbage": (read(b"hello"), Reason.UNREADABLE),
    "cut off": (read(encode(control(0))[:-3]), Reason.TRUNCATED),
    "too long": (read(encode(control(0)) + b"x"), Reason.TRUNCATED),
    "another topic's": (read(control(0), topic=REVIEW_ITEMS), Reason.UNREADABLE),
    "a model output": (read(EXAMPLES[0], topic=REVIEW_ITEMS), Reason.UNREADABLE),
    "no id": (read(replace(control(0), event_id="7")), Reason.BAD_VALUE),
}


@pytest.mark.parametrize(("record", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_sealed_is_a_dead_letter_among_good_ones(
    sink: Sink, record: Record, reason: Reason
) -> None:
    sink.take(read(control(1)), record, read(control(2), offset=2))
    assert len(sink.log.rows) == 2
    assert sink.reasons == [reason]


def test_a_newer_writer_stops_the_sink_before_anything_is_committed(sink: Sink) -> None:
    newer = b"\xc3\x01" + b"\x07" * 30
    with pytest.raises(NewerWriterError, match=f"{CONTROLS}/0/9.*upgrade"):
        sink.take(read(control(1)), read(newer, offset=9))
    assert (sink.log.rows, sink.log.offsets, sink.letters.sent) == ([], {}, [])


@pytest.mark.parametrize("kind", ["fail", "lose"])
@pytest.mark.parametrize("write", ["letters", "commit"])
def test_a_batch_that_failed_anywhere_is_appended_once_when_it_comes_again(
    sink: Sink, write: str, kind: str
) -> None:
    batch = [*_numbered(range(3)), read(b"garbage", offset=3)]
    trouble = sink.letters.trouble if write == "letters" else sink.log.trouble
    getattr(trouble, kind).add(write)
    with pytest.raises(UnavailableError):
        sink.take(*batch)
    before = len(sink.log.rows)
    assert before == (3 if (write, kind) == ("commit", "lose") else 0)
    getattr(trouble, kind).clear()
    sink.take(*batch)
    assert [row.sequence for row in sink.log.rows] == [0, 1, 2]
    assert len(set(sink.ids)) == 3
    assert sink.letters.sent  # once or twice: the same letter under the same id


def _round(sink: Sink) -> list[Record]:
    """Return the dead letters the sink has written, as it will read them."""
    sent, sink.letters.sent = sink.letters.sent, []
    messages = [letter_of(parked, "audit-sink", DIGESTER) for parked in sent]
    return [
        read(message.value, topic=DEAD_LETTERS, offset=1_000 + n, headers=message.headers)
        for n, message in enumerate(messages)
    ]


@pytest.mark.parametrize(
    "headers", [(), ((REPLAY_OF, b"placet.controls/0/5"),)], ids=["plain", "replayed"]
)
@pytest.mark.parametrize(
    "poison",
    [
        b"garbage",
        encode(replace(dead_letter(1), event_id="x")),
        encode(dead_letter(1, b"other")),
        b"\xc3\x01" * 4_000_000,
    ],
    ids=["garbage", "no id", "id reused", "8 MB"],
)
def test_refusing_a_dead_letter_comes_to_an_end(
    sink: Sink, poison: bytes, headers: tuple[tuple[str, bytes], ...]
) -> None:
    if poison[2:10] == b"\xc3\x01" * 4:
        poison = b"\x00" + poison
    taken = derive("dead-letter", "audit-sink", "placet.controls", 0, 5)
    sink.take(
        read(dead_letter(1), topic=DEAD_LETTERS),
        read(replace(dead_letter(2), event_id=taken), topic=DEAD_LETTERS, offset=1),
    )
    sink.take(read(poison, topic=DEAD_LETTERS, offset=2, headers=headers))
    (letter,) = _round(sink)
    assert len(letter.value or b"") < 100_000
    sink.take(letter)
    assert not sink.letters.sent
    assert len(sink.log.rows) == 3
    event: Event = decode(letter.value or b"")
    assert isinstance(event, DeadLetter)
    assert event.origin.topic == DEAD_LETTERS


def test_text_that_postgresql_has_no_letters_for_is_sealed_all_the_same(sink: Sink) -> None:
    sink.take(read(replace(control(1), correlation_id="a\0b")))
    assert b"a\\u0000b" in sink.log.rows[0].record


def test_a_digest_of_another_length_is_32_bytes_in_the_log(sink: Sink) -> None:
    sink.take(read(control(1, digest=b"short")))
    assert sink.log.rows[0].digest == hashlib.sha256(b"short").digest()
