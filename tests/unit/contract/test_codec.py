"""Every framing a pipeline may send, and every way in which bytes are no event."""

import orjson
import pytest
from fastavro import parse_schema, schemaless_writer
from tests.support.examples import EXAMPLES

from contract import codec
from contract.codec import CodecError, UnknownSchemaError
from contract.events import ModelOutput
from contract.reasons import Reason

MINIMAL = {
    "source": "support-rag",
    "external_id": "42",
    "correlation_id": "req-7",
    "timestamp": "2026-11-24T10:00:00Z",
    "prompt": "p",
    "model": {"name": "m", "version": "1"},
    "output": "o",
    "risk": {"score": 0.5},
    "change": {
        "target": {"system": "sql", "instance": "faq", "identifier": "1"},
        "fields": {"answer": '"x"'},
    },
}
OUTPUT = next(example for example in EXAMPLES if isinstance(example, ModelOutput))


def test_plain_json_needs_only_the_required_fields():
    event, plain = codec.decode_model_output(orjson.dumps(MINIMAL))
    assert event.revision == 1
    assert plain["labels"] == {}


def test_the_same_output_has_one_plain_value_in_every_framing():
    _, from_avro = codec.decode_model_output(codec.encode(OUTPUT))
    as_json = orjson.dumps(from_avro)
    _, from_json = codec.decode_model_output(as_json)
    assert from_json == from_avro


def test_confluent_framing_is_resolved_by_the_registry():
    import io

    body = io.BytesIO()
    schemaless_writer(body, codec.READER["ModelOutput"], orjson_free(OUTPUT))
    framed = b"\x00" + (7).to_bytes(4) + body.getvalue()
    schemas = {7: codec.READER["ModelOutput"]}
    event, _ = codec.decode_model_output(framed, schemas.__getitem__)
    assert event == OUTPUT
    with pytest.raises(UnknownSchemaError, match="registry has no schema 7"):
        codec.decode_model_output(framed, {}.__getitem__)
    with pytest.raises(UnknownSchemaError, match="no schema registry is configured"):
        codec.decode_model_output(framed)


def orjson_free(event):
    from datetime import datetime

    import msgspec

    return msgspec.to_builtins(event, builtin_types=(datetime, bytes))


@pytest.mark.parametrize("name", MINIMAL)
def test_a_missing_required_field_is_named(name):
    with pytest.raises(CodecError, match=name) as refused:
        codec.decode_model_output(orjson.dumps({k: v for k, v in MINIMAL.items() if k != name}))
    assert refused.value.reason is Reason.MISSING_FIELD


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.UNREADABLE),
        (b"\xff\xfe\x00", Reason.UNREADABLE),
        (b"[1]", Reason.UNREADABLE),
        (b"{", Reason.BAD_JSON),
        (b'{"source": "\xff"}', Reason.BAD_TEXT),
        (orjson.dumps(MINIMAL | {"extra": 1}), Reason.UNKNOWN_FIELD),
        (orjson.dumps(MINIMAL | {"revision": "1"}), Reason.BAD_TYPE),
        (orjson.dumps(MINIMAL | {"timestamp": "2026-11-24T10:00:00"}), Reason.BAD_VALUE),
        (orjson.dumps(MINIMAL | {"timestamp": "yesterday"}), Reason.BAD_TYPE),
        (orjson.dumps(MINIMAL).replace(b'"o"', b'"\\ud800"'), Reason.BAD_TEXT),
        (orjson.dumps(MINIMAL).replace(b"0.5", b"NaN"), Reason.NOT_FINITE),
        (orjson.dumps(MINIMAL).replace(b"0.5", b"1e999"), Reason.NOT_FINITE),
        (b"\xc3\x01" + b"\x00" * 8 + b"body", Reason.UNKNOWN_SCHEMA),
        (codec.encode(OUTPUT)[:-3], Reason.TRUNCATED),
        (codec.encode(OUTPUT) + b"\x00", Reason.TRUNCATED),
        (codec.encode(EXAMPLES[1]), Reason.UNREADABLE),
        (b"\x00\x00", Reason.TRUNCATED),
    ],
)
def test_what_is_no_model_output_says_why(data, reason):
    with pytest.raises(CodecError) as refused:
        codec.decode_model_output(data)
    assert refused.value.reason is reason


def test_an_older_writer_is_read_and_a_newer_one_is_unknown():
    newer = {
        "type": "record",
        "name": "ModelOutput",
        "namespace": "placet",
        "fields": [{"name": "other", "type": "string"}],
    }
    assert codec._fingerprint_of(newer) not in codec._WRITER
    assert parse_schema(newer)
