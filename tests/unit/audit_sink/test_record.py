import contextlib
import hashlib
import json
import re

import pytest
import rfc8785
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from msgspec.structs import replace
from tests.support.audit_log import control, dead_letter
from tests.support.examples import EXAMPLES

from audit_sink.payload import (
    Packer,
    PayloadError,
    combine,
    part_commitment,
    part_salt,
    payload_commitment,
    unpack,
)
from audit_sink.record import (
    FIELDS,
    MAX_BYTES,
    Fact,
    draft,
    has_sound_id,
    record_problem,
    seal,
)
from contract.codec import encode
from contract.events import ModelOutput, Origin, ReviewDecision, ReviewItem, WriteBack

ORIGIN = Origin(topic="placet.decisions", partition=3, offset=2**53 - 1)
SALT = bytes(range(32))
AT = "2026-11-24T10:00:00.000005Z"
FACTS: list[Fact] = [event for event in EXAMPLES if not isinstance(event, ModelOutput)]


def _example(kind: type[Fact]) -> Fact:
    return next(event for event in FACTS if isinstance(event, kind))


def _sealed(event: Fact, sequence: int = 7) -> bytes:
    made = draft(event, received=encode(event), origin=ORIGIN, salt=SALT)
    return seal(made, sequence=sequence, recorded_at=AT)


@pytest.mark.parametrize("event", FACTS, ids=lambda event: type(event).__name__)
def test_a_record_is_canonical_and_holds_exactly_the_fields(event: Fact) -> None:
    record = _sealed(event)
    fields = json.loads(record)
    assert record == rfc8785.dumps(fields)
    assert fields.keys() == FIELDS
    assert record_problem(record, 7) is None
    assert (fields["sequence"], fields["recorded_at"]) == (7, AT)
    assert fields["type"] == type(event).__name__
    assert fields["schema"] == encode(event)[2:10].hex()
    assert fields["origin"] == {"topic": "placet.decisions", "partition": 3, "offset": 2**53 - 1}


@pytest.mark.parametrize("event", FACTS, ids=lambda event: type(event).__name__)
def test_no_text_of_an_event_is_in_its_record(event: Fact) -> None:
    record = _sealed(event).decode()
    for name in ("prompt", "output", "reason", "statement"):
        text = getattr(event, name, None)
        assert not text or text not in record


def test_a_record_says_who_did_what_to_which_target() -> None:
    item = json.loads(_sealed(_example(ReviewItem)))
    assert item["target"] == {"system": "sql", "instance": "support-faq", "identifier": "q-1"}
    assert len(item["model"]) == 64
    applied = json.loads(_sealed(_example(WriteBack)))
    assert applied["write_status"] == _example(WriteBack).state.value  # type: ignore[union-attr]
    assert json.loads(_sealed(control(1)))["actor"] == "sre"
    assert json.loads(_sealed(dead_letter(1)))["action_type"] == "UNREADABLE"


def test_a_decision_names_whoever_made_it_effective() -> None:
    decision = json.loads(_sealed(_example(ReviewDecision)))
    assert decision["decision_id"] == _example(ReviewDecision).decision_id  # type: ignore[union-attr]


def test_a_forged_decision_is_a_fact_without_an_actor() -> None:
    forged = replace(_example(ReviewDecision), statement='{"approvers": [{"actor_id": "boss"}]}')
    fields = json.loads(_sealed(forged))
    assert fields["actor"] is None
    assert fields["type"] == "ReviewDecision"


HOSTILE = {
    "a long id": replace(control(1), correlation_id="x" * 3_000_000),
    "escapes": replace(control(1), correlation_id="\x01" * 5_000, actor_id='"' * 9_000),
    "many causes": replace(control(1), causation_ids=["c" * 36] * 10_000),
    "long causes": replace(control(1), causation_ids=["\N{PILE OF POO}" * 500] * 15),
    "all long": replace(
        control(1),
        correlation_id="é" * 300,
        actor_id="a" * 255,
        role="r" * 255,
        control="c" * 4_000,
        causation_ids=[str(n) * 200 for n in range(16)],
    ),
}


@pytest.mark.parametrize("event", HOSTILE.values(), ids=HOSTILE)
def test_whatever_an_event_says_its_record_seals_within_8_kib(event: Fact) -> None:
    record = _sealed(event)
    assert len(record) <= MAX_BYTES
    assert record_problem(record, 7) is None
    assert record == rfc8785.dumps(json.loads(record))


def test_what_is_too_long_is_named_by_its_digest() -> None:
    fields = json.loads(_sealed(HOSTILE["a long id"]))
    assert fields["correlation_id"] == f"sha256:{hashlib.sha256(b'x' * 3_000_000).hexdigest()}"
    assert fields["actor"] == "sre"


@pytest.mark.parametrize(
    ("event_id", "sound"),
    [
        ("11111111-1111-5111-8111-111111111111", True),
        ("11111111-1111-5111-8111-11111111111A", False),
        ("{11111111-1111-5111-8111-111111111111}", False),
        ("11111111-1111-5111-8111-111111111111\n", False),
        ("", False),
        ("1" * 5_000, False),
    ],
)
def test_an_id_has_one_text(event_id: str, sound: bool) -> None:  # noqa: FBT001 - a table
    assert has_sound_id(replace(control(1), event_id=event_id)) is sound


RECORD = _sealed(control(1))


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (b"", "no JSON"),
        (b"[" * 5_000, "no JSON"),
        (b"[]", "not the fields"),
        (b"{}", "not the fields"),
        (RECORD[:-1] + b" }", "canonical"),
        (RECORD.replace(b'"sequence":7', b'"sequence":8'), "record 8"),
        (RECORD.replace(b'"sequence":7', b'"sequence":7.0'), r"record 7\.0"),
        (RECORD.replace(b'"sequence":7', b'"sequence":true'), "record True"),
        (RECORD + b" " * MAX_BYTES, "at most 8192"),
    ],
)
def test_what_is_no_record_is_called_so(record: bytes, says: str) -> None:
    problem = record_problem(record, 7)
    assert problem is not None
    assert re.search(says, problem)


def test_one_part_can_be_shown_without_the_others() -> None:
    parts = {"prompt": b"Which city?", "output": b"Delhi."}
    whole = payload_commitment(SALT, parts)
    shown_salt = part_salt(SALT, "output")
    hidden = part_commitment(part_salt(SALT, "prompt"), parts["prompt"])
    assert combine({"output": part_commitment(shown_salt, b"Delhi."), "prompt": hidden}) == whole
    assert combine({"output": part_commitment(shown_salt, b"Paris."), "prompt": hidden}) != whole


def test_salts_are_hkdf_of_the_records_salt() -> None:
    derived = HKDFExpand(SHA256(), 32, b"placet/part/prompt").derive(SALT)
    assert part_salt(SALT, "prompt") == derived


def test_the_received_bytes_are_a_part_and_packed_parts_come_back() -> None:
    event = _example(ReviewItem)
    made = draft(event, received=encode(event), origin=ORIGIN, salt=SALT)
    packed = Packer().pack(made.parts)
    assert unpack(packed) == dict(made.parts)
    assert unpack(packed)["received"] == encode(event)
    assert unpack(packed)["prompt"] == event.prompt.encode()  # type: ignore[union-attr]


@pytest.mark.parametrize("number", range(0, 60, 7))
def test_damaged_parts_are_called_so(number: int) -> None:
    packed = bytearray(Packer().pack({"a": b"1" * 100, "b": bytes(range(200))}))
    packed[number] ^= 0xFF
    with contextlib.suppress(PayloadError):
        assert unpack(bytes(packed)) is not None  # zstd keeps no checksum: the commitment does


def test_another_salt_is_another_commitment() -> None:
    one = draft(control(1), received=b"x" * 20, origin=ORIGIN, salt=SALT)
    two = draft(control(1), received=b"x" * 20, origin=ORIGIN, salt=bytes(32))
    assert one.fields["payload_commitment"] != two.fields["payload_commitment"]
    assert replace(one, salt=two.salt, fields=two.fields) == two
