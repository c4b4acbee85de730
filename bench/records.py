"""The records that are proposed: 2,048 bytes of JSON each, the same ones on every machine.

Owns their text, which is real (HaluEval, as in the demonstration): what divergence costs depends
on sentences, numbers and names. Every record changes a row of its own.
"""

import json
import random
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from placet.demo.outputs import Question, questions

SOURCE: Final = "bench"
INSTANCE: Final = "bench-faq"
BYTES: Final = 2_048
_QUESTIONS: Final = 4
"""Their passages are what the model was given: always more than fits, so that it is cut to size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One proposal; `identifier` names both the pipeline's record and the row it changes."""

    identifier: str
    answer: str
    output: dict[str, Any]
    """The `ModelOutput`."""
    value: bytes
    """The same as JSON, as it is published."""


@cache
def _texts() -> tuple[Question, ...]:
    return tuple(questions())


def record(number: int) -> Record:
    """Return the `number`-th record."""
    chosen = random.Random(number).sample(_texts(), _QUESTIONS)
    identifier = f"b-{number:08d}"
    answer = " ".join(question.answer for question in chosen[:3])
    output = {
        "source": SOURCE,
        "external_id": identifier,
        "correlation_id": f"req-{identifier}",
        "timestamp": "2026-11-24T10:00:00Z",
        "prompt": f"Answer from the passages below. {chosen[0].question}",
        "model": {"name": "faq-writer", "version": "3"},
        "retrieval": [],
        "output": answer,
        "confidence": 0.8,
        "risk": {"score": number % 97 / 100, "reasons": ["shown to customers as it is"]},
        "change": {
            "target": {"system": "sql", "instance": INSTANCE, "identifier": identifier},
            "fields": {"answer": json.dumps(answer, ensure_ascii=False)},
        },
        "labels": {},
    }
    _fill(output, [passage for question in chosen for passage in question.passages])
    return Record(identifier=identifier, answer=answer, output=output, value=_json(output))


def elsewhere(number: int, system: str, instance: str, identifier: str, field: str) -> Record:
    """Return a proposal for one record of another system than the table."""
    like = record(number)
    # One line, as titles and summaries are, and no two alike.
    answer = f"{' '.join(like.answer.split())[:100]} ({identifier})"
    place = {"system": system, "instance": instance, "identifier": identifier}
    change = {"target": place, "fields": {field: json.dumps(answer, ensure_ascii=False)}}
    name = f"{instance}-{identifier}"
    output = {**like.output, "external_id": name, "correlation_id": name, "change": change}
    return Record(identifier=name, answer=answer, output=output, value=_json(output))


def _fill(output: dict[str, Any], passages: list[str]) -> None:
    """Add passages as long as they fit, and pad with a label to the byte."""
    for place, passage in enumerate(passages):
        entry = {"doc_id": f"kb-{place}", "score": 0.9, "snippet": passage}
        output["retrieval"].append(entry)
        over = len(_json(output)) - BYTES + len('"pad":""')
        if over > 0:
            output["retrieval"].pop()
    room = BYTES - len(_json(output)) - len('"pad":""')
    output["labels"]["pad"] = "x" * room


def _json(output: dict[str, Any]) -> bytes:
    return json.dumps(output, ensure_ascii=False, separators=(",", ":")).encode()
