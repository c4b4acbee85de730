"""Data keys by subject: made where there were none, remembered for a minute, gone when destroyed.

Owns the cache. Its bound is a promise: at most CACHE_SECONDS after a key was destroyed, and after
every reader of it has gone on, nobody encrypts or decrypts with it any more.
"""

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import structlog

from vault.cipher import KEY_SIZE, NONCE_SIZE, open_sealed, seal
from vault.keys import KeyEncryption, KeyFile, RetiredKeyError, UnknownKeyError, Wrapped
from vault.store import Store

log = structlog.get_logger()

CACHE_SECONDS: Final = 60.0
CACHE_SIZE: Final = 20_000
_TOMBSTONES: Final = 500


@dataclass(frozen=True, slots=True, repr=False)
class DataKey:
    """The key of one subject."""

    raw: bytes

    def seal(self, data: bytes, *, purpose: str, identity: str) -> bytes:
        """Return `data` encrypted for this purpose of this record, and no other."""
        nonce = os.urandom(NONCE_SIZE)
        return seal(self.raw, data, purpose=purpose, identity=identity, nonce=nonce)

    def open(self, sealed: bytes, *, purpose: str, identity: str) -> bytes:
        """Return what was sealed. Raises CipherError."""
        return open_sealed(self.raw, sealed, purpose=purpose, identity=identity)


class Keyring:
    """The vault as services use it. Thread safe. Raises UnavailableError and UnknownKeyError.

    In answers, None stands for a key that was destroyed.
    """

    def __init__(
        self,
        store: Store,
        kek: KeyEncryption,
        *,
        clock: Callable[[], float] = time.monotonic,
        seconds: float = CACHE_SECONDS,
        size: int = CACHE_SIZE,
    ) -> None:
        """Remember at most `size` keys, each for `seconds` from when it was asked for."""
        self._store = store
        self._kek = kek
        self._clock = clock
        self._seconds = seconds
        self._size = size
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, DataKey | None]] = OrderedDict()

    @classmethod
    def open(cls, dsn: str, key_file: Path, name: str) -> "Keyring":
        """Return the keyring of a vault and a key file. Connects when first used.

        Raises:
            KeyFileError: the file holds no key-encryption key.
        """
        return cls(Store(dsn, name), KeyFile(key_file))

    def __enter__(self) -> Self:
        """Close it at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """End the session."""
        self.close()

    def check(self) -> None:
        """See that what may be wrapped in the vault can be unwrapped.

        Raises:
            UnknownKeyError: the key file is another installation's, or an older one.
        """
        for kek_id in self._store.keks():
            if not self._kek.has(kek_id):
                raise UnknownKeyError(self._kek.lacks(kek_id))

    def keys_for(self, subjects: Iterable[str]) -> dict[str, DataKey | None]:
        """Return a key for each subject, new where it had none; one question to the database.

        A key is durable before it is returned. Raises RetiredKeyError.
        """
        wanted = list(dict.fromkeys(subjects))
        found, missing = self._remembered(wanted)
        if missing:
            asked = self._clock()
            try:
                wrapped = self._made(missing)
            except RetiredKeyError:
                self._kek.refresh()
                wrapped = self._made(missing)
            # Not the candidates: somebody else may have been quicker.
            found |= self._unwrapped(wrapped, asked)
        return found

    def find(self, subjects: Iterable[str]) -> dict[str, DataKey | None]:
        """Return the keys that there are, and make none."""
        wanted = list(dict.fromkeys(subjects))
        found, missing = self._remembered(wanted)
        if missing:
            asked = self._clock()
            found |= self._unwrapped(self._store.find_keys(missing), asked)
        return found

    def destroy(self, subject: str, reason: str, actor: str) -> bool:
        """Destroy the key of a subject for ever; durable on return. False: it was destroyed before.

        Others that have the key in memory go on for at most CACHE_SECONDS.
        """
        done = self._store.destroy(subject, reason, actor)
        self._bury([subject])
        log.info("subject_key_destroyed", actor=actor, first=done)
        return done

    def destroyed_after(self, position: int) -> list[tuple[int, str]]:
        """Return the next destructions after `position`, and use none of those keys any more."""
        found = self._store.destroyed_after(position, _TOMBSTONES)
        self._bury(subject for _, subject in found)
        return found

    def close(self) -> None:
        """End the session."""
        self._store.close()

    def _made(self, missing: list[str]) -> dict[str, Wrapped | None]:
        candidates = [self._kek.encrypt(os.urandom(KEY_SIZE), subject) for subject in missing]
        return self._store.keys_for(missing, candidates)

    def _bury(self, subjects: Iterable[str]) -> None:
        """Remember that they are destroyed, which an answer that is under way cannot undo."""
        now = self._clock()
        with self._lock:
            for subject in subjects:
                self._keep(subject, now, None)

    def _keep(self, subject: str, at: float, key: DataKey | None) -> None:
        self._known[subject] = (at, key)
        self._known.move_to_end(subject)
        if len(self._known) > self._size:
            self._known.popitem(last=False)

    def _remembered(self, wanted: list[str]) -> tuple[dict[str, DataKey | None], list[str]]:
        oldest = self._clock() - self._seconds
        found: dict[str, DataKey | None] = {}
        missing = []
        with self._lock:
            for subject in wanted:
                at, key = self._known.get(subject, (float("-inf"), None))
                if at > oldest:
                    found[subject] = key
                    self._known.move_to_end(subject)
                else:
                    missing.append(subject)
        return found, missing

    def _unwrapped(
        self, wrapped: dict[str, Wrapped | None], asked: float
    ) -> dict[str, DataKey | None]:
        keys = {
            subject: None if one is None else DataKey(self._kek.decrypt(one, subject))
            for subject, one in wrapped.items()
        }
        with self._lock:
            kept = {
                subject: None if self._known.get(subject, (0.0, key))[1] is None else key
                for subject, key in keys.items()
            }
            for subject, key in kept.items():
                self._keep(subject, asked, key)
        return kept
