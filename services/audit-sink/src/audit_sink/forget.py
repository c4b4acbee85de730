"""What the vault has destroyed, carried out here: words out of the index, payloads deleted.

Owns the order. Destroying a person's key destroys the keys of their items: decisions, activity and
write-backs name the item alone. Refuses to destroy anything that nobody asked for.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

import structlog

from vault import subjects
from vault.keyring import DataKey

log = structlog.get_logger()

ACTOR: Final = "audit-sink"
_PERSON: Final = subjects.person("")


class Destructions(Protocol):
    """The vault's side: `vault.keyring.Keyring`. Every method raises UnavailableError."""

    def find(self, subjects: Iterable[str]) -> Mapping[str, DataKey | None]:
        """Return the keys that there are; None for those that were destroyed."""

    def destroyed_after(self, position: int) -> list[tuple[int, str]]:
        """Return the next destructions after `position`, and use none of those keys any more."""

    def destroy(self, subject: str, reason: str, actor: str) -> bool:
        """Destroy a key for ever; durable on return."""


class Index(Protocol):
    """The hot store's side: `lookup.HotStore`. Every method raises UnavailableError."""

    def forgotten(self) -> int:
        """Return how many destructions have been carried out."""

    def items_of(self, subjects: Sequence[str]) -> list[str]:
        """Return the items that indexed records of these subjects are about."""

    def forget(self, subjects: Sequence[str], position: int) -> None:
        """Take their words and payloads out, and note how far that has got; durable on return."""

    def delete_payloads(self, sequences: Sequence[int]) -> None:
        """Delete payloads; durable on return."""


class Forgetter:
    """Carries out destructions. Used by the thread that writes the index, and by no other."""

    def __init__(self, index: Index, vault: Destructions) -> None:
        """Take both sides."""
        self._index = index
        self._vault = vault

    def step(self) -> int:
        """Carry out the next destructions and return how many; durable on return.

        Records of these subjects that are not indexed yet are `late`: from here on, nothing opens
        their payloads.
        """
        gone = self._vault.destroyed_after(self._index.forgotten())
        if not gone:
            return 0
        names = [subject for _, subject in gone]
        people = [name for name in names if name.startswith(_PERSON)]
        self._destroy_items(self._index.items_of(people) if people else [])
        # A crash here: the same destructions again, and the items' after them.
        self._index.forget(names, gone[-1][0])
        log.info("forgotten", subjects=len(gone))
        return len(gone)

    def late(self, closed: Sequence[tuple[int, str, str | None]]) -> None:
        """See to records (place, subject, item) without payload, before they are indexed."""
        keys = self._vault.find({subject for _, subject, _ in closed})
        # A payload can be gone for another reason: then nobody asked for anything.
        gone = [one for one in closed if keys.get(one[1], _THERE) is None]
        if not gone:
            return
        items = {item for _, name, item in gone if item and name.startswith(_PERSON)}
        self._destroy_items(sorted(items))
        self._index.delete_payloads([sequence for sequence, _, _ in gone])

    def _destroy_items(self, items: Sequence[str]) -> None:
        names = [subjects.item(item) for item in items]
        known = self._vault.find(names) if names else {}
        for name in names:
            if known.get(name, _THERE) is not None:
                self._vault.destroy(name, "of a person whose key was destroyed", ACTOR)


_THERE: Final = object()
"""Stands for a key that nobody has made yet: not destroyed."""
