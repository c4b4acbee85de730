"""Payloads that have left the hot store, read from their packs by range.

Owns which bytes of a pack are one record's row. Refuses to open what is locked, and to judge it:
the record's commitment does, once it is open.
"""

from collections.abc import Callable, Mapping, Sequence

from audit_sink.cold.pack import Pack, PackError, open_pack, read_row
from audit_sink.cold.place import OpenCold
from audit_sink.folder import FileProblemError
from audit_sink.locking import Absent, Stored
from audit_sink.lookup import PackPlace
from conveyor.errors import UnavailableError


class PackReader:
    """`lookup.ColdPayloads` on a cold store, opened when it is first needed."""

    def __init__(self, opened: Callable[[], OpenCold]) -> None:
        """Take what opens the store; whatever it raises, the store is away."""
        self._opened = opened
        self._cold: OpenCold | None = None
        self._packs: dict[tuple[str, str], Pack] = {}

    def stored(self, places: Sequence[PackPlace]) -> Mapping[int, Stored | Absent]:
        """Return what packs hold; nothing of a record whose payload was destroyed before."""
        return {place.sequence: row for place in places if (row := self._row(place)) is not None}

    def close(self) -> None:
        """Let go of the store."""
        if self._cold is not None:
            self._cold.close()
        self._cold = None

    def _store(self) -> OpenCold:
        if self._cold is None:
            try:
                self._cold = self._opened()
            except (FileProblemError, OSError, ValueError) as error:
                raise UnavailableError(f"the cold store cannot be opened: {error}") from error
        return self._cold

    def _row(self, place: PackPlace) -> Stored | Absent | None:
        cold = self._store()

        def read(start: int, count: int) -> bytes:
            return cold.get_range(place.pack, place.version, start, count)

        try:
            found = self._packs.get((place.pack, place.version)) or open_pack(read)
            self._packs[place.pack, place.version] = found
            row = read_row(found, read, place.sequence)
            if row is None:
                return None
            subject, salt, parts = row["subject"], row["salt"], row["parts"]
        except (PackError, FileProblemError, KeyError):
            return Absent.DAMAGED
        if not (isinstance(subject, str) and isinstance(salt, bytes) and isinstance(parts, bytes)):
            return Absent.DAMAGED
        return Stored(sequence=place.sequence, subject=subject, salt=salt, parts=parts)
