"""Records as pipelines send them: good ones, and one of each way to be bad."""

import json
from collections.abc import Callable
from typing import Any

import orjson
from tests.support.examples import EXAMPLES

from contract.codec import encode
from contract.reasons import Reason
from contract.targets import TargetConfig, parse_targets

TARGETS_TOML = """
[[target]]
name = "support-faq"
kind = "postgresql"
dispatcher_url = "http://127.0.0.1:1"
dsn_file = "support.dsn"
table = "faq_answer"
key_column = "id"
columns = ["answer", "status"]
identifier_pattern = "q-[0-9]+"
"""

SNIPPETS = (
    "The Oberoi Group is a hotel company with its head office in Delhi.",
    "The Oberoi family is an Indian family that is famous for its involvement in hotels.",
)


def targets() -> dict[str, TargetConfig]:
    return parse_targets(TARGETS_TOML)


def plain(number: int = 1) -> dict[str, Any]:
    """A good record, as the value that is JSON on the wire."""
    return {
        "source": "support-rag",
        "external_id": str(number),
        "correlation_id": f"req-{number}",
        "timestamp": "2026-11-24T10:00:00.123456Z",
        "prompt": "In which city does the Oberoi Group have its head office?",
        "model": {"name": "faq-writer", "version": "3"},
        "retrieval": [{"snippet": text, "doc_id": f"kb-{n}"} for n, text in enumerate(SNIPPETS)],
        "output": "The head office of the Oberoi Group is in Delhi.",
        "confidence": 0.9,
        "risk": {"score": 0.25},
        "change": {
            "target": {"system": "sql", "instance": "support-faq", "identifier": f"q-{number}"},
            "fields": {"answer": '"Delhi"'},
        },
    }


def good(number: int = 1) -> bytes:
    return orjson.dumps(plain(number))


def _with(*path: str | int, to: Any) -> bytes:
    """A good record with one thing set, as JSON (what JSON cannot say is written all the same)."""
    record = plain()
    inside: Any = record
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = to
    return json.dumps(record).encode()


def _without(name: str) -> bytes:
    record = plain()
    del record[name]
    return orjson.dumps(record)


def _avro() -> bytes:
    return encode(EXAMPLES[0])


Bad = tuple[str, Callable[[], bytes | None], Reason]

BAD: tuple[Bad, ...] = (
    ("a tombstone", lambda: None, Reason.UNREADABLE),
    ("no bytes", lambda: b"", Reason.UNREADABLE),
    ("garbage", lambda: b"\xde\xad\xbe\xef garbage", Reason.UNREADABLE),
    ("another event", lambda: encode(EXAMPLES[1]), Reason.UNREADABLE),
    ("truncated Avro", lambda: _avro()[:-20], Reason.TRUNCATED),
    ("Avro with a tail", lambda: _avro() + b"\0", Reason.TRUNCATED),
    ("an unknown fingerprint", lambda: b"\xc3\x01" + b"\x07" * 8 + b"x", Reason.UNKNOWN_SCHEMA),
    ("a schema id, no registry", lambda: b"\x00\x00\x00\x00\x07x", Reason.UNKNOWN_SCHEMA),
    ("half a schema id", lambda: b"\x00\x00", Reason.TRUNCATED),
    ("half a JSON object", lambda: good()[:-5], Reason.BAD_JSON),
    ("a missing field", lambda: _without("prompt"), Reason.MISSING_FIELD),
    ("an unknown field", lambda: _with("colour", to="red"), Reason.UNKNOWN_FIELD),
    ("a mistyped field", lambda: _with("output", to=7), Reason.BAD_TYPE),
    ("a timestamp without zone", lambda: _with("timestamp", to="2026-11-24"), Reason.BAD_TYPE),
    ("invalid UTF-8", lambda: good().replace(b"Delhi.", b"Delh\xff."), Reason.BAD_TEXT),
    ("U+0000 in a text", lambda: _with("output", to="De\0lhi"), Reason.BAD_TEXT),
    ("U+0000 in a key", lambda: _with("labels", to={"a\0": "b"}), Reason.BAD_TEXT),
    (
        "U+0000 in a field",
        lambda: _with("change", "fields", "answer", to='"\\u0000"'),
        Reason.BAD_TEXT,
    ),
    ("a lone surrogate", lambda: _with("output", to="De\ud800lhi"), Reason.BAD_TEXT),
    (
        "a lone surrogate in a field",
        lambda: _with("change", "fields", "answer", to='"\\udc00"'),
        Reason.BAD_TEXT,
    ),
    ("a score of NaN", lambda: _with("risk", "score", to=float("nan")), Reason.NOT_FINITE),
    ("a risk of 2", lambda: _with("risk", "score", to=2.0), Reason.BAD_VALUE),
    ("revision 0", lambda: _with("revision", to=0), Reason.BAD_VALUE),
    ("no name", lambda: _with("external_id", to=""), Reason.BAD_VALUE),
    ("a backward span", lambda: _with("retrieval", 0, "end", to=-3), Reason.BAD_VALUE),
    (
        "a column that is not to be changed",
        lambda: _with("change", "fields", "id", to="1"),
        Reason.BAD_VALUE,
    ),
    ("a long prompt", lambda: _with("prompt", to="x" * 262_145), Reason.TEXT_TOO_LONG),
    (
        "a long snippet",
        lambda: _with("retrieval", 1, "snippet", to="é" * 131_073),
        Reason.TEXT_TOO_LONG,
    ),
    (
        "101 passages",
        lambda: _with("retrieval", to=[{"snippet": "x"}] * 101),
        Reason.TOO_MANY_RETRIEVALS,
    ),
    ("no fields", lambda: _with("change", "fields", to={}), Reason.NO_FIELDS),
    (
        "51 fields",
        lambda: _with("change", "fields", to={f"f{n}": "1" for n in range(51)}),
        Reason.TOO_MANY_FIELDS,
    ),
    (
        "a field that is no JSON",
        lambda: _with("change", "fields", "answer", to="Delhi"),
        Reason.BAD_FIELD_VALUE,
    ),
    (
        "a field of NaN",
        lambda: _with("change", "fields", "answer", to="NaN"),
        Reason.BAD_FIELD_VALUE,
    ),
    (
        "a field that says it twice",
        lambda: _with("change", "fields", "answer", to='{"a":1,"a":2}'),
        Reason.BAD_FIELD_VALUE,
    ),
    (
        "a long identifier",
        lambda: _with("correlation_id", to="x" * 513),
        Reason.IDENTIFIER_TOO_LONG,
    ),
    (
        "a wrong identifier form",
        lambda: _with("change", "target", "identifier", to="Q-1"),
        Reason.BAD_IDENTIFIER,
    ),
    (
        "an identifier and a line end",
        lambda: _with("change", "target", "identifier", to="q-1\n"),
        Reason.BAD_IDENTIFIER,
    ),
    (
        "an unknown target",
        lambda: _with("change", "target", "instance", to="billing"),
        Reason.UNKNOWN_TARGET,
    ),
    (
        "a target of another system",
        lambda: _with("change", "target", "system", to="jira"),
        Reason.UNKNOWN_TARGET,
    ),
    (
        "an address in an id",
        lambda: _with("external_id", to="jane.doe@example.org/7"),
        Reason.PII_IN_IDENTIFIER,
    ),
    (
        "an address in a label",
        lambda: _with("labels", to={"by": "jane@example.org"}),
        Reason.PII_IN_IDENTIFIER,
    ),
    (
        "an address in a URI",
        lambda: _with(
            "evidence", to=[{"title": "t", "uri": "https://example.org/?who=jane%40example.org"}]
        ),
        Reason.PII_IN_IDENTIFIER,
    ),
    (
        "a telephone number in an id",
        lambda: _with("external_id", to="call/+4915112345678"),
        Reason.PII_IN_IDENTIFIER,
    ),
)
"""Name, bytes, and the reason code it is parked with."""

LARGE: Bad = ("2 MiB", lambda: b"{" + b" " * (2 * 1_048_576), Reason.RECORD_TOO_LARGE)
