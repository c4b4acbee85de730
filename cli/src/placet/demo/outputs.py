"""HaluEval records as `ModelOutput` records. Pure but for reading the package's own file.

Owns the mapping, which never changes: publishing again must be recognised as the same records.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, Final

SOURCE: Final = "support-rag"
TARGET: Final = "support-faq"
_FIRST: Final = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
# HaluEval joins the passages of a question without a space: "… 19th century.First for Women …".
_PASSAGE_END: Final = re.compile(r"(?<=[a-z0-9)\"']\.)(?=[A-Z])")
_PROMPT: Final = (
    "{question}\n\n"
    "Answer the customer in one sentence. Use nothing but the passages that were found."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One HaluEval record; `wrong` says which of its two answers the model gave here."""

    id: str
    question: str
    passages: tuple[str, ...]
    answer: str
    wrong: bool


def questions() -> list[Question]:
    text = files("placet.demo").joinpath("halueval-qa-500.jsonl").read_text("utf-8")
    return [_question(number, json.loads(line)) for number, line in enumerate(text.splitlines())]


def _question(number: int, record: dict[str, str]) -> Question:
    wrong = number % 2 == 1
    answer = record["hallucinated_answer" if wrong else "right_answer"].strip()
    return Question(
        id=record["id"],
        question=record["question"],
        passages=tuple(_PASSAGE_END.split(record["knowledge"])),
        answer=answer if answer.endswith((".", "!", "?")) else f"{answer}.",
        wrong=wrong,
    )


def model_output(question: Question) -> dict[str, Any]:
    """The record a pipeline would publish, as plain JSON (contract: `ModelOutput`)."""
    number = int(question.id.rsplit("-", 1)[-1])
    return {
        "source": SOURCE,
        "external_id": question.id,
        "revision": 1,
        "correlation_id": f"demo-{question.id}",
        "timestamp": (_FIRST + timedelta(seconds=number)).isoformat().replace("+00:00", "Z"),
        "prompt": _PROMPT.format(question=question.question),
        "model": {"name": "halueval-qa", "version": "2023", "config": {"max_sentences": "1"}},
        "retrieval": [
            {
                "doc_id": f"{question.id}-{place}",
                "score": round(0.95 - 0.07 * (place - 1), 2),
                "snippet": passage,
                "source": "help-centre",
            }
            for place, passage in enumerate(question.passages, start=1)
        ],
        "output": question.answer,
        "confidence": drawn(question.id, "confidence", 0.55, 0.99),
        "risk": {
            "score": drawn(question.id, "risk", 0.05, 0.95),
            "reasons": ["shown to customers as it is"],
        },
        "change": {
            "target": {"system": "sql", "instance": TARGET, "identifier": question.id},
            "fields": {"answer": json.dumps(question.answer, ensure_ascii=False)},
        },
        "labels": {"topic": "faq"},
    }


def lines(chosen: Sequence[Question] | None = None) -> list[bytes]:
    """Every record as one line of JSON."""
    return [
        json.dumps(model_output(question), ensure_ascii=False).encode()
        for question in (questions() if chosen is None else chosen)
    ]


def drawn(identifier: str, what: str, low: float, high: float) -> float:
    """A number that looks drawn but is the same every time; says nothing about the answer."""
    digest = hashlib.sha256(f"{what}:{identifier}".encode()).digest()
    return round(low + (high - low) * int.from_bytes(digest[:4]) / 2**32, 3)
