"""A record's payload under the key of whom it is about: whose key, and how it is locked and opened.

Owns the subject of a record and the form of what is stored: the record's salt and its packed parts,
sealed together (`vault.cipher`) for this sequence number. Pure: keys are passed in.

The subject is the person that the event names (`user_id_token`), else its item. What belongs to no
item is about whoever did it (sign-ins, controls); a dead letter holds bytes that nobody could read,
so it stands for itself, and so does what nobody did. Destroying a person's key destroys the keys of
their items too (`index`), because decisions and write-backs name the item alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from audit_sink.payload import SALT_SIZE
from vault import subjects
from vault.cipher import CipherError
from vault.keyring import DataKey

PURPOSE: Final = "audit payload"


class Vault(Protocol):
    """Where keys are: `vault.keyring.Keyring`, whose promises count. None: destroyed."""

    def keys_for(self, subjects: Iterable[str]) -> Mapping[str, DataKey | None]:
        """Return a key for each subject, made where there was none. Raises UnavailableError."""

    def find(self, subjects: Iterable[str]) -> Mapping[str, DataKey | None]:
        """Return the keys that there are. Raises UnavailableError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What a record commits to, in clear."""

    salt: bytes
    packed: bytes


class Absent(StrEnum):
    """Why there is no payload to show."""

    DESTROYED = "destroyed"
    LOCKED = "locked: no vault was given"
    COLD = "in the cold store, which was not asked: say where it is (PLACET_COLD)"
    KEY_LOST = "locked: the vault does not know its key"
    DAMAGED = "payload parts are not as they were stored: altered, moved, or under another key"


def subject_of(fields: Mapping[str, Any]) -> str:
    """Return whose key the payload of a record with these fields is under."""
    if token := fields.get("user_id_token"):
        return subjects.person(token)
    if item_id := fields.get("item_id"):
        return subjects.item(item_id)
    if (actor := fields.get("actor")) and fields.get("type") != "DeadLetter":
        return subjects.account(actor)
    return subjects.event(fields["event_id"])


def lock(key: DataKey, sequence: int, payload: Payload) -> bytes:
    """Return the payload of record `sequence` as it is stored."""
    data = payload.salt + payload.packed
    return key.seal(data, purpose=PURPOSE, identity=str(sequence))


def unlock(key: DataKey, sequence: int, locked: bytes) -> Payload | Absent:
    """Return what was locked; DAMAGED where it is not what this key locked for this record."""
    try:
        data = key.open(locked, purpose=PURPOSE, identity=str(sequence))
    except CipherError:
        return Absent.DAMAGED
    return Payload(salt=data[:SALT_SIZE], packed=data[SALT_SIZE:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A payload as the hot store has it: `subject` is None where it is older than the vault."""

    sequence: int
    subject: str | None
    salt: bytes
    parts: bytes


def open_stored(stored: Iterable[Stored], vault: Vault | None) -> dict[int, Payload | Absent]:
    """Return payloads by their sequence, with one question to the vault.

    Raises UnavailableError.
    """
    rows = list(stored)
    wanted = {row.subject for row in rows if row.subject is not None}
    keys = vault.find(wanted) if vault is not None and wanted else {}
    return {row.sequence: _opened(row, keys, known=vault is not None) for row in rows}


def _opened(row: Stored, keys: Mapping[str, DataKey | None], *, known: bool) -> Payload | Absent:
    if row.subject is None:
        return Payload(salt=row.salt, packed=row.parts)
    if not known:
        return Absent.LOCKED
    if row.subject not in keys:
        return Absent.KEY_LOST
    key = keys[row.subject]
    if key is None:
        return Absent.DESTROYED
    if row.salt:  # it is inside
        return Absent.DAMAGED
    return unlock(key, row.sequence, row.parts)
