"""One item from proposal to write-back, signed and sealed: what `show` and `export` tell."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace
from tests.support.audit_log import KEY, MemoryLetters, read
from tests.support.audit_process import Place
from tests.support.decisions import AT, Desk
from tests.support.examples import EXAMPLES

from audit_sink.append import Appender
from audit_sink.index import Indexer
from audit_sink.ledger import PostgresLedger
from audit_sink.lookup import HotStore
from audit_sink.publish import Publisher
from audit_sink.store import Reader, Writer
from audit_sink.tiles import FileStore
from audit_sink.whereabouts import Defaults
from contract.events import (
    Event,
    Retrieval,
    ReviewActivity,
    ReviewDecision,
    ReviewItem,
    WriteBack,
    WriteBackState,
)
from contract.identity import Digester, derive, write_back_event_id
from contract.topics import DECISIONS, REVIEW_ACTIVITY, REVIEW_ITEMS, WRITE_BACKS
from vault.keyring import Keyring

ITEM, ACTIVITY, WRITE_BACK = (
    next(one for one in EXAMPLES if isinstance(one, kind))
    for kind in (ReviewItem, ReviewActivity, WriteBack)
)
PROMPT = "Wie heißt die Hauptstadt?\r\n\tNenne\u00a0nur den Namen 🏛 \u2028 zebracorn"
SNIPPET = "Delhi\u0301 is the capital; exact bytes \u200b matter."
_TOPICS = {
    ReviewItem: REVIEW_ITEMS,
    ReviewActivity: REVIEW_ACTIVITY,
    ReviewDecision: DECISIONS,
    WriteBack: WRITE_BACKS,
}


@dataclass(frozen=True)
class Story:
    """What happened to one item."""

    item: ReviewItem
    opened: ReviewActivity
    decision: ReviewDecision
    write_backs: list[WriteBack]
    desk: Desk

    @property
    def events(self) -> list[Event]:
        return [self.item, self.opened, self.decision, *self.write_backs]


def story(number: int = 1, *, desk: Desk | None = None) -> Story:
    desk = desk or Desk()
    statement = replace(
        desk.statement(f"q-{number}", {"answer": ('"Delhi"', '"Mumbai"')}),
        correlation_id=f"trace-{number}",
        comment=f"checked against the atlas, number {number}",
        decision_id=derive("test-decision", number),
    )
    item_id = statement.item_id
    item = replace(
        ITEM,
        event_id=derive("test-item", number),
        item_id=item_id,
        external_id=str(number),
        correlation_id=f"trace-{number}",
        prompt=PROMPT,
        retrieval=[Retrieval(snippet=SNIPPET, doc_id="kb-1", score=0.5)],
        origin=replace(ITEM.origin, partition=0, offset=number),
    )
    opened = replace(
        ACTIVITY,
        event_id=str(uuid.UUID(int=number, version=4)),
        item_id=item_id,
        correlation_id=f"trace-{number}",
        activity="OPENED",
        statement=None,
        signatures=[],
    )
    decision = desk.decision(statement, number, causation_ids=[item.event_id])
    write_backs = [
        replace(
            WRITE_BACK,
            event_id=write_back_event_id(statement.steps[0].write_back_id, transition),
            item_id=item_id,
            decision_id=decision.decision_id,
            write_back_id=statement.steps[0].write_back_id,
            correlation_id=f"trace-{number}",
            causation_ids=[decision.decision_id],
            timestamp=AT + timedelta(seconds=transition),
            state=state,
            transition=transition,
        )
        for transition, state in enumerate((WriteBackState.SENDING, WriteBackState.APPLIED), 1)
    ]
    return Story(item=item, opened=opened, decision=decision, write_backs=write_backs, desk=desk)


@dataclass
class Log:
    """A hot store, its files and its ledger, without Kafka."""

    place: Place
    appender: Appender
    publisher: Publisher
    indexer: Indexer
    vault: Keyring
    offset: int = 0

    def take(self, *events: Event) -> None:
        for event in events:
            self.offset += 1
            topic = _TOPICS[type(event)]  # type: ignore[index]
            self.appender.handle([read(event, topic=topic, offset=self.offset)])

    def seal(self) -> None:
        self.publisher.publish()

    def index(self) -> None:
        while self.indexer.step():
            pass

    @property
    def options(self) -> list[str]:
        """Where commands find it: files, hot store and key."""
        # And where the vault is: `defaults`.
        return [
            *("--from", str(self.place.folder)),
            *("--database", self.place.database),
            *("--key", KEY.public.text),
        ]


_HERE: list[Place] = []


def defaults() -> Defaults:
    """What commands are told without options: the vault of the log there is."""
    if not _HERE:
        return Defaults()
    return Defaults(vault=_HERE[-1].vault, vault_key_file=_HERE[-1].vault_key_file)


@contextmanager
def audit_log(place: Place) -> Iterator[Log]:
    writer, reader = Writer(place.database), Reader(place.database)
    vault = place.keyring()
    ledger = PostgresLedger(place.ledger, KEY.name)
    store = HotStore(place.database, "test", vault)
    writer.migrate()
    ledger.migrate()
    files = FileStore(place.folder)
    appender = Appender(
        log=writer,
        letters=MemoryLetters(),
        digester=Digester(b"k" * 32),
        vault=vault,
        appended=lambda _: None,
    )
    _HERE.append(place)
    yield Log(
        place=place,
        vault=vault,
        appender=appender,
        publisher=Publisher(rows=reader, files=files, ledger=ledger, key=KEY),
        indexer=Indexer(store, vault),
    )
    _HERE.pop()
    for one in (writer, reader, ledger, store, files, vault):
        one.close()


def keys_folder(folder: Path, desk: Desk) -> Path:
    """Write the desk's public key as services keep it."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    folder.mkdir(exist_ok=True)
    key = Ed25519PublicKey.from_public_bytes(desk.signer.public_bytes)
    (folder / "decision.pem").write_bytes(
        key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return folder
