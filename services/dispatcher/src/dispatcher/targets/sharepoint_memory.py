"""Which keys the histories of items have, as far as this process has seen them.

Owns one fact: while an item still has the ETag at which its history was seen, the history is the
same. It saves a request per write and decides nothing: what is not remembered is asked.
"""

import threading
from collections import OrderedDict
from typing import Final

_ITEMS: Final = 2_000
_KEYS: Final = 500  # of one item: SharePoint's own limit of versions, unless somebody raised it


class Histories:
    """Keys by item and ETag, of the items written last. Thread safe."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[str, frozenset[str]]] = OrderedDict()
        self._lock = threading.Lock()

    def lacks(self, identifier: str, etag: str, key: str) -> bool:
        """Tell whether the history up to `etag` is known, and known not to have `key`."""
        with self._lock:
            known = self._seen.get(identifier)
        return known is not None and known[0] == etag and key not in known[1]

    def saw(self, identifier: str, etag: str, keys: frozenset[str]) -> None:
        """Remember a history that was read after the item had `etag`."""
        if len(keys) > _KEYS:
            return
        with self._lock:
            self._seen[identifier] = (etag, keys)
            self._seen.move_to_end(identifier)
            while len(self._seen) > _ITEMS:
                self._seen.popitem(last=False)

    def wrote(self, identifier: str, key: str, *, before: str, after: str) -> None:
        """Remember that our own write, and nothing else, led from one ETag to the other."""
        with self._lock:
            known = self._seen.get(identifier)
        if known is not None and known[0] == before:
            self.saw(identifier, after, known[1] | {key})
