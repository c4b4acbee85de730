"""HaluEval records as proposals for the stand-ins: customers' questions in issues and articles.

Owns the mapping, which never changes: publishing again must be recognised as the same records.
Pure. The rest of a record (prompt, passages, answer) is `placet.demo.outputs`'.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from placet.demo.outputs import Question, drawn, model_output, questions
from placet.demo.stand_ins import JIRA, SHAREPOINT, StandIn

_ISSUES: Final = slice(480, 492)
_ARTICLES: Final = slice(492, 500)
_REVIEWED_ON: Final = "2026-11-02T09:00:00Z"
_PRIORITIES: Final = ("Low", "High", "Highest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One question, the record it was asked in, and what the model would write there."""

    stand_in: StandIn
    identifier: str
    question: Question
    asked: Mapping[str, Any]
    """What the record holds before: a person filled it in."""
    fields: Mapping[str, Any]
    comment: str | None = None

    def line(self) -> bytes:
        """The record a pipeline would publish, as one line of JSON."""
        question = self.question
        external_id = f"{self.stand_in.target}-{self.identifier}"
        change = {
            "target": {
                "system": self.stand_in.system,
                "instance": self.stand_in.target,
                "identifier": self.identifier,
            },
            "fields": {name: _json(value) for name, value in self.fields.items()},
        }
        output = model_output(question) | {
            "source": f"{self.stand_in.system}-rag",
            "external_id": external_id,
            "correlation_id": f"demo-{external_id}",
            # High enough to be seen on the first pages of the queue, which begin with the riskiest.
            "risk": {
                "score": drawn(external_id, "risk", 0.8, 0.97),
                "reasons": ["read by customers"],
            },
            "change": change if self.comment is None else change | {"comment": self.comment},
            "labels": {"topic": self.stand_in.system},
        }
        return _json(output).encode()


def proposals() -> list[Proposal]:
    found = questions()
    issues = [_issue(place, one) for place, one in enumerate(found[_ISSUES], start=1)]
    articles = [_article(place, one) for place, one in enumerate(found[_ARTICLES], start=1)]
    return issues + articles


def lines(chosen: Sequence[Proposal]) -> list[bytes]:
    """Every record as one line of JSON."""
    return [proposal.line() for proposal in chosen]


def _issue(place: int, question: Question) -> Proposal:
    asked = question.question.strip()
    number = int(drawn(question.id, "priority", 0, len(_PRIORITIES)))
    return Proposal(
        stand_in=JIRA,
        identifier=f"SUP-{place}",
        question=question,
        asked={"summary": f"Customer question {place}", "description": asked, "priority": "Medium"},
        fields={
            "summary": asked,
            "description": f"{asked}\n\n{question.answer}",
            "labels": ["answered", "support"],
            "priority": _PRIORITIES[min(number, len(_PRIORITIES) - 1)],
        },
        comment="Answered from the passages that were found for this question.",
    )


def _article(place: int, question: Question) -> Proposal:
    title = question.question.strip()
    return Proposal(
        stand_in=SHAREPOINT,
        identifier=str(place),
        question=question,
        asked={"Title": title, "Answer": "To be written.", "Category": "Other", "Published": False},
        fields={"Answer": question.answer, "Published": True, "ReviewedOn": _REVIEWED_ON},
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
