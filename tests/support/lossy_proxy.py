"""A PostgreSQL connection that keeps breaking: a share of what is said on it is lost, or held.

Owns what becomes of each message of a client: `answer` (the server does it, the client never
hears), `request` (the server never hears), both followed by the end of the connection. Nothing is
lost before a connection's first transaction: opening one is twenty messages, and with a share of
those lost there would be no connection to lose. COMMITs can be held instead, for a client that is
cut off (a zombie) or one that is frozen and waits.
"""

import contextlib
import random
import select
import socket
import threading
from collections import Counter

from tests.support.proxy import Loss, Proxy, _end


class LossyProxy(Proxy):
    """`losses` and `commits_lost` count what was lost; nothing is before `lose_some`."""

    def __init__(self, dsn: str, seed: int = 1) -> None:
        self._chance = random.Random(seed)
        self._drawing = threading.Lock()
        self._share = 0.0
        self._kinds: tuple[Loss, ...] = ()
        self._holding = 0
        self._cutting = True
        self._gate = threading.Event()
        self.losses: Counter[Loss] = Counter()
        self.commits_lost = 0
        self.held = 0
        super().__init__(dsn)

    def lose_some(self, share: float, *kinds: Loss) -> None:
        """From now on, lose this share of the messages, each in one of the `kinds`."""
        self._share, self._kinds = share, kinds

    def hold_commits(self, count: int, *, cut: bool) -> None:
        """Hold the next `count` COMMITs until `release`; `cut`: the client's connection ends."""
        self._gate = threading.Event()
        self._cutting = cut
        self._holding = count

    def release(self) -> None:
        self._gate.set()

    def close(self) -> None:
        self._gate.set()
        super().close()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        with (
            contextlib.suppress(OSError, ValueError),  # closed by the other side, or by `cut`
            client,
            server,
        ):
            working, losing = False, False
            while True:
                ready, _, _ = select.select([client, server], [], [])
                for source in ready:
                    data = source.recv(65536)
                    if not data or (losing and source is server):
                        return  # where its answer is to be lost, it has happened now
                    if source is server:
                        client.sendall(data)
                        continue
                    working = working or b"BEGIN" in data
                    loss = self._draw(commit=b"COMMIT" in data) if working and not losing else None
                    if loss == "request":
                        return
                    cut = loss == "hold" and self._hold(client)
                    losing = losing or loss == "answer"
                    server.sendall(data)
                    if cut:
                        server.recv(65536)  # it happens now, and nobody hears
                        return

    def _draw(self, *, commit: bool) -> Loss | None:
        with self._drawing:
            if commit and self._holding:
                self._holding -= 1
                return "hold"
            if self._chance.random() >= self._share:
                return None
            loss = self._chance.choice(self._kinds)
            self.losses[loss] += 1
            self.commits_lost += commit
            return loss

    def _hold(self, client: socket.socket) -> bool:
        """Wait for `release`; tell whether the client was cut off meanwhile."""
        gate, cutting = self._gate, self._cutting
        if cutting:
            _end(client)
        self.held += 1
        gate.wait()
        return cutting
