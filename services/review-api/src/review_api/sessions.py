"""Whether somebody is still there. Owns when a session was last used by a person.

A session that nobody used for a while is idle until its owner proves who they are again (`proof`).
It is noted at most once a minute per session and process: a page costs nothing more, and idle is
found up to a minute early, never late. What a page asks by itself is no sign of anybody.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from review_api.proof import IDLE
from review_api.store import Store

_EVERY: Final = 60.0
_MOST: Final = 10_000


class Sessions:
    """Notes uses. `clock` counts seconds."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._noted: OrderedDict[bytes, float] = OrderedDict()

    async def used(self, token: bytes) -> None:
        """Note that whoever has the session of the hashed cookie `token` is there."""
        now = self._clock()
        before = self._noted.get(token)
        if before is not None and now - before < _EVERY:
            return
        noted = {"token": token, "idle": (IDLE.total_seconds() - _EVERY)}
        await self._store.one("note_use", noted)
        self._noted[token] = now
        self._noted.move_to_end(token)
        while len(self._noted) > _MOST:
            self._noted.popitem(last=False)
