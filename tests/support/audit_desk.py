"""A desk beside a real audit log, in one process: what the desk says is sealed by `carry`.

Stands in for Kafka alone: rows of the desk's outbox become records of the log, in their order.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from tests.support.audit_log import KEY, read
from tests.support.audit_process import audit_place
from tests.support.audit_story import WRITE_BACK, Log, audit_log
from tests.support.review import TOKEN, Desk, desk, fresh_database, review_item, served

from audit_sink.desk_answers import Answers
from audit_sink.desk_http import application
from contract.codec import decode, encode
from contract.events import ReviewDecision, ReviewItem, WriteBackState
from contract.identity import write_back_event_id
from contract.statement import from_text
from contract.topics import CONTROLS, DECISIONS, REVIEW_ACTIVITY, REVIEW_ITEMS, WRITE_BACKS
from conveyor.keys import Verifier

_FACTS = [DECISIONS, REVIEW_ACTIVITY, CONTROLS]


@dataclass
class AuditedDesk:
    """Both."""

    desk: Desk
    log: Log
    offset: int = 0
    carried: int = 0

    def _take(self, topic: str, value: bytes) -> None:
        self.offset += 1
        self.log.appender.handle([read(value, topic=topic, offset=self.offset)])

    def propose(self, number: int | str, /, **changes: Any) -> ReviewItem:
        now = datetime.now(UTC)
        item = review_item(number, **{"timestamp": now, "ingested_at": now} | changes)
        self.desk.ingest([item])
        self._take(REVIEW_ITEMS, encode(item))
        return item

    def carry(self) -> None:
        """Seal and index what the desk has said since."""
        rows = self.desk.query(
            "SELECT seq, aggregatetype, payload FROM review.outbox"
            " WHERE seq > %s AND aggregatetype = ANY(%s) ORDER BY seq",
            self.carried,
            _FACTS,
        )
        for number, topic, payload in rows:
            self.carried = number
            self._take(topic, bytes(payload))
        self.log.seal()
        self.log.index()

    def approve(self, item: ReviewItem, username: str = "reviewer") -> str:
        """Approve as somebody, and let the target say that it was written."""
        person = self.desk.person(username)
        answer = person.decide(person.item(item.item_id))
        assert answer.status_code == 201, answer.text
        decision_id: str = answer.json()["decision_id"]
        self.carry()
        (row,) = self.desk.query(
            "SELECT payload FROM review.outbox WHERE aggregatetype = %s ORDER BY seq DESC LIMIT 1",
            DECISIONS,
        )
        decision = decode(bytes(row[0]))
        assert isinstance(decision, ReviewDecision)
        assert decision.decision_id == decision_id
        step = from_text(decision.statement).steps[0]
        for transition, state in enumerate((WriteBackState.SENDING, WriteBackState.APPLIED), 1):
            event = replace(
                WRITE_BACK,
                event_id=write_back_event_id(step.write_back_id, transition),
                item_id=item.item_id,
                decision_id=decision_id,
                write_back_id=step.write_back_id,
                correlation_id=item.correlation_id,
                causation_ids=[decision_id],
                target=item.change.target,
                timestamp=datetime.now(UTC),
                state=state,
                transition=transition,
            )
            self._take(WRITE_BACKS, encode(event))
        self.carry()
        return decision_id


@contextmanager
def audited_desk(server: str, folder: Path) -> Iterator[AuditedDesk]:
    """A desk with `/audit` pages, and the log that they read."""
    with (
        fresh_database(server) as log_dsn,
        fresh_database(server) as desk_dsn,
        audit_place(log_dsn, folder / "log") as place,
        audit_log(place) as log,
    ):
        (folder / "keys").mkdir()
        answers = Answers(
            database=place.database,
            ledger=place.ledger,
            vault=log.vault,
            folder=place.folder,
            key=KEY.public,
            signers=_Late(folder / "desk" / "public"),
            frozen=lambda: None,
        )
        with (
            served(application(answers, TOKEN)) as url,
            desk(desk_dsn, folder / "desk", audit_url=url) as made,
        ):
            both = AuditedDesk(desk=made, log=log)
            both.propose("first")
            both.carry()
            yield both
        answers.close()


class _Late:
    """The desk's public keys, which the desk makes when it starts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def verify(self, name: str, signature: bytes, data: bytes) -> bool:
        return Verifier.load(self._folder).verify(name, signature, data)
