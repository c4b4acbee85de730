"""Laws of the record, on events nobody thought of. `rfc8785` is the oracle of canonical form."""

import json

import msgspec
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.examples import EXAMPLES

from audit_sink.payload import Packer, payload_commitment, unpack
from audit_sink.record import FIELDS, MAX_BYTES, Fact, draft, record_problem, seal
from contract.codec import encode
from contract.events import Control, ModelOutput, Origin, ReviewDecision, ReviewItem

FACTS: list[Fact] = [event for event in EXAMPLES if not isinstance(event, ModelOutput)]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
BIG = st.builds(lambda text, times: text * times, TEXT, st.sampled_from([1, 1, 50]))


@settings(max_examples=150, deadline=None)
@given(
    event=st.sampled_from(FACTS),
    text=BIG,
    causes=st.lists(BIG, max_size=30),
    sequence=st.integers(0, 2**53 - 1),
    offset=st.integers(0, 2**53 - 1),
    salt=st.binary(min_size=32, max_size=32),
)
def test_every_record_is_canonical_bounded_and_well_formed(  # noqa: PLR0917 - what is drawn
    event: Fact, text: str, causes: list[str], sequence: int, offset: int, salt: bytes
) -> None:
    event = replace(event, correlation_id=text, causation_ids=causes)
    if isinstance(event, Control):
        event = replace(event, actor_id=text, role=text, control=text, reason=text)
    if isinstance(event, ReviewItem | ReviewDecision):
        event = replace(event, item_id=text)
    origin = Origin(topic=text or "t", partition=1, offset=offset)
    received = encode(event)
    made = draft(event, received=received, origin=origin, salt=salt)
    record = seal(made, sequence=sequence, recorded_at="2026-11-24T10:00:00.000000Z")
    fields = json.loads(record)
    assert record == rfc8785.dumps(fields)
    assert fields.keys() == FIELDS
    assert len(record) <= MAX_BYTES
    assert record_problem(record, sequence) is None
    assert fields["payload_commitment"] == payload_commitment(salt, made.parts).hex()
    assert unpack(Packer().pack(made.parts)) == dict(made.parts)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300), sequence=st.integers(0, 10))
def test_whatever_bytes_are_called_a_record_the_answer_is_a_sentence(
    data: bytes, sequence: int
) -> None:
    problem = record_problem(data, sequence)
    assert problem
    assert msgspec.json.encode(problem)
