"""The border: what becomes an item, and with which reason everything else does not."""

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from tests.support.examples import EXAMPLES
from tests.support.model_outputs import BAD, LARGE, Bad, good, plain, targets

from contract.codec import encode
from contract.events import ModelOutput, Origin, ReviewItem, Risk
from contract.identity import Digester
from contract.reasons import Reason
from intake.limits import MAX_RECORD, Refused
from intake.normalise import Rules, normalise

AT = datetime(2026, 11, 24, 12, 0, 0, 1000, tzinfo=UTC)
ORIGIN = Origin(topic="placet.model-outputs", partition=2, offset=7)
RULES = Rules(targets=targets(), digester=Digester(b"k" * 32))


def take(value: bytes | None, key: bytes | None = None, origin: Origin = ORIGIN) -> Any:
    return normalise(key=key, value=value, origin=origin, at=AT, rules=RULES)


def item(value: bytes | None) -> ReviewItem:
    result = take(value)
    assert isinstance(result, ReviewItem), result
    return result


def changed(**fields: Any) -> bytes:
    return orjson.dumps({**plain(), **fields})


@pytest.mark.parametrize("bad", [*BAD, LARGE], ids=lambda bad: bad[0])
def test_each_way_to_be_bad_has_its_reason(bad: Bad) -> None:
    _, value, reason = bad
    result = take(value())
    assert isinstance(result, Refused)
    assert result.reason == reason
    assert result.message


def test_every_reason_of_intake_is_tested() -> None:
    later = {"REVISION_REUSED", "ITEM_DECIDED", "KEY_REUSED", "BAD_SIGNATURE", "ERASED"}
    assert {bad[2] for bad in (*BAD, LARGE)} == {r for r in Reason if r not in later}


def test_a_good_record_becomes_an_item_with_its_texts_untouched() -> None:
    record = item(good(42))
    assert record.item_id == "b6e87070-6681-5338-b243-fdb88f23e92e"
    assert (record.revision, record.origin, record.ingested_at) == (1, ORIGIN, AT)
    assert record.timestamp == datetime(2026, 11, 24, 10, 0, 0, 123456, tzinfo=UTC)
    assert record.change.fields == {"answer": '"Delhi"'}
    assert record.divergence.sentences[0].support > 0.5
    assert record.causation_ids == []
    assert encode(record)


def test_the_same_content_is_the_same_event_wherever_it_is_read() -> None:
    elsewhere = Origin(topic="placet.model-outputs", partition=0, offset=99)
    reordered = orjson.dumps(dict(reversed(plain().items())))
    again = take(reordered, origin=elsewhere)
    assert again.event_id == item(good()).event_id
    assert again.content_digest == item(good()).content_digest


def test_avro_and_json_of_one_output_are_the_same_event() -> None:
    output = EXAMPLES[0]
    assert isinstance(output, ModelOutput)
    as_json = json.dumps(
        {**plain(), **orjson.loads(orjson.dumps(_builtins(output)))}, ensure_ascii=False
    ).encode()
    assert item(encode(output)).event_id == item(as_json).event_id


def _builtins(output: ModelOutput) -> Any:
    import msgspec

    return msgspec.to_builtins(output)


def test_other_content_of_a_revision_is_another_event_of_the_same_item() -> None:
    one, other = item(good()), item(changed(output="Mumbai."))
    assert one.item_id == other.item_id
    assert one.event_id != other.event_id


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none_are_refused_in_avro_too(score: float) -> None:
    import msgspec

    output = EXAMPLES[0]
    assert isinstance(output, ModelOutput)
    for odd in (
        msgspec.structs.replace(output, risk=Risk(score=score)),
        msgspec.structs.replace(output, confidence=score),
        msgspec.structs.replace(
            output, retrieval=[msgspec.structs.replace(output.retrieval[0], score=score)]
        ),
    ):
        assert take(encode(odd)).reason == Reason.NOT_FINITE


@pytest.mark.parametrize(
    "value",
    [
        changed(prompt="x" * 262_144),
        changed(output="é" * 131_072),
        changed(retrieval=[{"snippet": "x"}] * 100),
        changed(source="s" * 512),
        changed(risk={"score": 1}),
        changed(risk={"score": 0}),
        changed(output=""),
        changed(prompt="", retrieval=[]),
        changed(correlation_id=""),
        changed(output="a literal \\u0000 and \\\\u0000 is innocent"),
        changed(subject="customer-9"),
        changed(labels={"mail": "none @ all", "package": "lib@1.2.3", "offset": "+00:00"}),
        changed(due_at="2026-11-25T00:00:00+05:00"),
        good() + b" " * (MAX_RECORD - len(good())),
    ],
    ids=lambda value: value[:60].decode(),
)
def test_what_is_just_allowed_passes(value: bytes) -> None:
    assert encode(item(value))


@pytest.mark.parametrize(
    "text",
    ['"a"', " 1 ", "null", "1.10", "1e400", "[1, {}]", '"\\u00e9 \\\\u0000"', '"\\ud83d\\ude00"'],
)
def test_field_values_stay_byte_for_byte(text: str) -> None:
    record = plain()
    record["change"]["fields"]["answer"] = text
    assert item(orjson.dumps(record)).change.fields["answer"] == text


@pytest.mark.parametrize(
    "text", ["", "{", "1 2", "'a'", "-Infinity", "[" * 100_000, '"\n"', "\ufeff1"]
)
def test_a_field_value_that_is_no_json_is_refused(text: str) -> None:
    record = plain()
    record["change"]["fields"]["answer"] = text
    assert take(orjson.dumps(record)).reason == Reason.BAD_FIELD_VALUE


def test_times_are_utc_and_stay_in_the_calendar() -> None:
    assert item(changed(timestamp="2026-11-24T12:00:00+02:00")).timestamp.isoformat() == (
        "2026-11-24T10:00:00+00:00"
    )
    assert take(changed(timestamp="0001-01-01T00:00:00+14:00")).reason == Reason.BAD_VALUE
    assert take(changed(due_at="9999-12-31T23:59:59-12:00")).reason == Reason.BAD_VALUE


def test_a_subject_goes_no_further_than_its_token() -> None:
    record = item(changed(subject="customer-9"))
    assert record.user_id_token is not None
    assert record.user_id_token == item(changed(subject="customer-9", output="x")).user_id_token
    assert b"customer-9" not in encode(record)
    assert item(good()).user_id_token is None


def test_a_refusal_does_not_repeat_the_address_it_refuses() -> None:
    refused = take(changed(external_id="jane@example.org"))
    assert "jane" not in refused.message


def test_an_address_as_the_key_of_the_record_is_refused() -> None:
    assert take(good(), key=b"jane@example.org").reason == Reason.PII_IN_IDENTIFIER
    assert isinstance(take(good(), key=b"\xff\xfe"), ReviewItem)


def test_a_target_without_a_list_of_columns_takes_any_field() -> None:
    from dataclasses import replace

    open_target = {"support-faq": replace(targets()["support-faq"], columns=())}
    rules = Rules(targets=open_target, digester=Digester(b"k" * 32))
    record = plain()
    record["change"]["fields"] = {"anything": "1"}
    result = normalise(key=None, value=orjson.dumps(record), origin=ORIGIN, at=AT, rules=rules)
    assert isinstance(result, ReviewItem)


@pytest.mark.parametrize(
    "value",
    [
        changed(**{"bad\0name": 1}),
        changed(**{"bad\nname": 1}),
        orjson.dumps({**plain(), "change": {**plain()["change"], "fields": {"a\x1b[2J": "1"}}}),
    ],
)
def test_a_refusal_quotes_no_control_characters(value: bytes) -> None:
    assert take(value).message.isprintable()
