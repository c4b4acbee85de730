"""Whose key a payload is under, and what becomes of it when it is altered, moved or destroyed."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.support.audit_log import control, dead_letter
from tests.support.examples import EXAMPLES
from tests.support.vault import MemoryStore, memory_keyring

from audit_sink.forget import Forgetter
from audit_sink.locking import Absent, Payload, Stored, lock, open_stored, subject_of
from audit_sink.record import Fact, draft
from contract.codec import encode
from contract.events import Origin, ReviewActivity, ReviewDecision, ReviewItem, WriteBack
from vault.keyring import DataKey, Keyring

KEY = DataKey(bytes(range(32)))
PAYLOAD = Payload(salt=bytes(range(32)), packed=b"packed parts")
ITEM = next(one for one in EXAMPLES if isinstance(one, ReviewItem))


def example(kind: type[Fact]) -> Fact:
    return next(one for one in EXAMPLES if isinstance(one, kind))  # type: ignore[arg-type]


SUBJECTS: dict[str, tuple[Fact, str]] = {
    "somebody's item": (replace(ITEM, user_id_token="u-7"), "person:u-7"),
    "nobody's item": (replace(ITEM, user_id_token=None, item_id="i-7"), "item:i-7"),
    "a decision": (replace(example(ReviewDecision), item_id="i-7"), "item:i-7"),  # type: ignore[type-var]
    "a write-back": (replace(example(WriteBack), item_id="i-7"), "item:i-7"),  # type: ignore[type-var]
    "an activity": (replace(example(ReviewActivity), item_id="i-7"), "item:i-7"),  # type: ignore[type-var]
    "a control": (control(1), "account:sre"),
    "what nobody did": (replace(control(1), actor_id=""), f"event:{control(1).event_id}"),
    "a dead letter": (dead_letter(1), f"event:{dead_letter(1).event_id}"),
}


@pytest.mark.parametrize(("event", "subject"), SUBJECTS.values(), ids=SUBJECTS)
def test_a_payload_is_under_the_key_of_whom_it_is_about(event: Fact, subject: str) -> None:
    origin = Origin(topic="t", partition=0, offset=1)
    made = draft(event, received=encode(event), origin=origin, salt=bytes(32))
    assert subject_of(made.fields) == subject


def stored(**more: object) -> Stored:
    values = {"sequence": 7, "subject": "item:1", "salt": b"", "parts": b"", **more}
    return Stored(**values)  # type: ignore[arg-type]


@pytest.fixture
def vault(tmp_path: Path) -> Keyring:
    return memory_keyring(tmp_path)


def test_what_was_locked_is_opened_for_its_own_record_alone(vault: Keyring) -> None:
    key = vault.keys_for(["item:1"])["item:1"]
    assert key is not None
    locked = lock(key, 7, PAYLOAD)
    assert PAYLOAD.salt not in locked
    assert PAYLOAD.packed not in locked
    assert open_stored([stored(parts=locked)], vault) == {7: PAYLOAD}
    damaged = [
        stored(sequence=8, parts=locked),
        stored(sequence=9, parts=lock(KEY, 9, PAYLOAD)),
        stored(sequence=10, parts=lock(key, 10, PAYLOAD)[:-1]),
        stored(sequence=11, parts=b""),
        stored(sequence=12, parts=lock(key, 12, PAYLOAD), salt=b"x"),
    ]
    assert open_stored(damaged, vault) == dict.fromkeys(range(8, 13), Absent.DAMAGED)


def test_rows_older_than_the_vault_are_read_without_it() -> None:
    older = stored(subject=None, salt=PAYLOAD.salt, parts=PAYLOAD.packed)
    assert open_stored([older], None) == {7: PAYLOAD}


def test_why_there_is_nothing_to_show_is_told_apart(vault: Keyring) -> None:
    assert open_stored([stored()], None) == {7: Absent.LOCKED}
    assert open_stored([stored()], vault) == {7: Absent.KEY_LOST}
    vault.destroy("item:1", "asked for it", "privacy")
    assert open_stored([stored()], vault) == {7: Absent.DESTROYED}


class Index:
    """`forget.Index` that can stop before it has done anything."""

    def __init__(self) -> None:
        self.position = 0
        self.gone: list[str] = []
        self.deleted: list[int] = []
        self.items = {"person:ada": ["i-1", "i-2"]}
        self.crash = False

    def forgotten(self) -> int:
        return self.position

    def items_of(self, subjects: Sequence[str]) -> list[str]:
        return [item for subject in subjects for item in self.items.get(subject, [])]

    def forget(self, subjects: Sequence[str], position: int) -> None:
        if self.crash:
            raise KeyboardInterrupt
        self.gone += subjects
        self.position = position

    def delete_payloads(self, sequences: Sequence[int]) -> None:
        self.deleted += sequences


def test_a_person_s_destruction_reaches_their_items_however_often_it_is_cut_short(
    tmp_path: Path,
) -> None:
    store, index = MemoryStore(), Index()
    ring = memory_keyring(tmp_path, store)
    ring.keys_for(["person:ada", "item:i-1", "item:other"])
    memory_keyring(tmp_path, store).destroy("person:ada", "asked for it", "privacy")
    forgetter = Forgetter(index, ring)
    index.crash = True
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            forgetter.step()
    index.crash = False
    while forgetter.step():
        pass
    assert index.gone == store.tombstones == ["person:ada", "item:i-1", "item:i-2"]
    assert ring.find(["item:other"])["item:other"] is not None
    assert forgetter.step() == 0


def test_a_payload_that_is_gone_for_another_reason_destroys_nothing(tmp_path: Path) -> None:
    store, index = MemoryStore(), Index()
    ring = memory_keyring(tmp_path, store)
    ring.keys_for(["person:ada"])
    Forgetter(index, ring).late([(1, "person:ada", "i-1"), (2, "item:unknown", "unknown")])
    assert (store.tombstones, index.deleted) == ([], [])


def test_what_was_sealed_late_is_deleted_and_its_item_destroyed(tmp_path: Path) -> None:
    store, index = MemoryStore(), Index()
    ring = memory_keyring(tmp_path, store)
    ring.destroy("person:ada", "asked for it", "privacy")
    Forgetter(index, ring).late([(4, "person:ada", "i-9"), (5, "account:sre", None)])
    assert index.deleted == [4]
    assert store.tombstones == ["person:ada", "item:i-9"]
