"""A TCP proxy in front of PostgreSQL that loses what it is told to lose.

`lose` says what happens to the next COMMIT: `"answer"` (the server does it, the client never
hears), `"request"` (the server never hears), `"hold"` (the client is cut off, the server hears
when `release` is called: a zombie). `frozen` is a network path that swallows everything:
connections stay open, and nothing comes through until it is False again.
"""

import contextlib
import select
import socket
import threading
import time
from typing import Literal

import psycopg

Loss = Literal["answer", "request", "hold"]


class Proxy:
    def __init__(self, dsn: str) -> None:
        parts = psycopg.conninfo.conninfo_to_dict(dsn)
        self._upstream = (str(parts["host"]), int(str(parts["port"])))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.dsn = psycopg.conninfo.make_conninfo(
            dsn, host="127.0.0.1", port=self._listener.getsockname()[1], sslmode="disable"
        )
        self.lose: Loss | None = None
        self.lost = 0
        self.down = False
        self.frozen = False
        self.accepted = 0
        self._released = threading.Event()
        self._open: list[socket.socket] = []
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def release(self) -> None:
        """Let a held COMMIT through."""
        self._released.set()

    def cut(self) -> None:
        """Be away: drop every connection and refuse new ones until `down` is False again."""
        self.down = True
        for one in self._open:
            _end(one)

    def close(self) -> None:
        self._closed = True
        self._released.set()
        _end(self._listener)
        self.cut()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            if self.down:
                client.close()
                continue
            server = socket.create_connection(self._upstream)
            self._open += [client, server]
            threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        with (
            contextlib.suppress(OSError, ValueError),
            client,
            server,
        ):  # ValueError: closed while selecting
            while True:
                ready, _, _ = select.select([client, server], [], [])
                while self.frozen and not self._closed:
                    time.sleep(0.02)
                for source in ready:
                    data = source.recv(65536)
                    if not data:
                        return
                    if source is client and b"COMMIT" in data and self.lose is not None:
                        self._drop(client, server, data)
                        return
                    (server if source is client else client).sendall(data)

    def _drop(self, client: socket.socket, server: socket.socket, data: bytes) -> None:
        loss, self.lose = self.lose, None
        if loss == "hold":
            _end(client)
            self.lost += 1
            self._released.wait()
            server.sendall(data)
            server.recv(65536)
        elif loss == "answer":
            server.sendall(data)
            server.recv(65536)  # it has happened
            self.lost += 1
        else:
            self.lost += 1


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        one.close()
