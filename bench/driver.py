"""The load: an HTTP client that costs as little as possible, the same one for both sides.

Owns keep-alive connections, each with one request under way at most, and the clock around each
request. Requests arrive as finished bytes. It runs in a process of its own, so that whoever waits
for the target doesn't slow it down.
"""

import gc
import multiprocessing
import select
import signal
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from bench.errors import BenchError

_SECONDS: Final = 120.0
_RECEIVE: Final = 65_536
Address = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`sent` and `answered` are wall-clock seconds: commit times are compared with them."""

    status: int
    sent: float
    answered: float
    body: bytes


@dataclass(slots=True, kw_only=True)
class _Connection:
    socket: socket.socket
    request: int | None = None
    """Which request is under way."""
    sent: float = 0.0
    received: bytearray = field(default_factory=bytearray)


class Driver:
    """Drives from another process; answers come back in the order of the requests."""

    def __init__(self) -> None:
        """Start the process now: that takes time nobody should measure."""
        self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        self._pool.submit(_ready).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def send(
        self,
        address: Address,
        requests: Sequence[bytes],
        *,
        clients: int,
        rate: float | None = None,
    ) -> list[Answer]:
        """Send `requests`: as fast as `clients` connections can, or `rate` a second.

        With a rate a request is sent when it is due, whatever is still under way (up to `clients`).

        Raises:
            BenchError: a connection broke or there was no answer for two minutes.
        """
        return self._pool.submit(_drive, address, requests, clients, rate).result()


def expect(answers: Sequence[Answer], status: int) -> None:
    """Refuse a run in which anything was answered otherwise."""
    wrong = [answer for answer in answers if answer.status != status]
    if wrong:
        told = wrong[0].body[:300].decode("utf-8", "replace")
        raise BenchError(
            f"{len(wrong)} of {len(answers)} answers are not {status}; "
            f"the first is {wrong[0].status}: {told}"
        )


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Return one HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body


def _ready() -> None:
    # Ctrl-C reaches this process too: it has nothing to clean up, and nothing to say.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # What is collected here is nobody's garbage: the answers are all kept.
    gc.disable()


def _drive(
    address: Address, requests: Sequence[bytes], clients: int, rate: float | None
) -> list[Answer]:
    loop = _Loop(address, requests, clients)
    try:
        return loop.run(rate)
    finally:
        loop.close()


class _Loop:
    """One run. Level-triggered epoll would do the same; `poll` is there on every system."""

    def __init__(self, address: Address, requests: Sequence[bytes], clients: int) -> None:
        self._address = address
        self._requests = requests
        self._answers: list[Answer | None] = [None] * len(requests)
        self._poll = select.poll()
        self._by_file: dict[int, _Connection] = {}
        self._left = len(requests)
        self._clients = clients
        # Last in, first out: those that are rarely needed may be closed by the server meanwhile.
        self._idle = [self._connect() for _ in range(min(clients, len(requests)))]

    def run(self, rate: float | None) -> list[Answer]:
        began = time.monotonic()
        deadline = began + _SECONDS + (len(self._requests) / rate if rate else 0.0)
        number = 0
        while self._left:
            wait = deadline - time.monotonic()
            if wait < 0:
                raise BenchError(f"{self._left} requests without an answer")
            while number < len(self._requests) and self._may_send():
                if rate and (early := began + number / rate - time.monotonic()) > 0:
                    wait = early
                    break
                self._send(number)
                number += 1
            for file, _ in self._poll.poll(wait * 1000):
                self._receive(self._by_file[file])
        return [answer for answer in self._answers if answer]

    def close(self) -> None:
        for connection in self._by_file.values():
            connection.socket.close()

    def _may_send(self) -> bool:
        return bool(self._idle) or len(self._by_file) < self._clients

    def _connect(self) -> _Connection:
        link = socket.create_connection(self._address, timeout=10)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(socket=link)
        self._by_file[link.fileno()] = connection
        self._poll.register(link, select.POLLIN)
        return connection

    def _send(self, number: int) -> None:
        connection = self._idle.pop() if self._idle else self._connect()
        connection.request = number
        connection.sent = time.time()
        connection.socket.sendall(self._requests[number])

    def _receive(self, connection: _Connection) -> None:
        data = connection.socket.recv(_RECEIVE)
        if not data:
            self._gone(connection)
            return
        connection.received += data
        head = connection.received.find(b"\r\n\r\n")
        if head < 0 or connection.request is None:
            return
        start = head + 4
        if len(connection.received) < start + _length(connection.received[:start]):
            return
        self._answers[connection.request] = Answer(
            status=int(connection.received[9:12]),
            sent=connection.sent,
            answered=time.time(),
            body=bytes(connection.received[start:]),
        )
        self._left -= 1
        connection.request = None
        connection.received.clear()
        self._idle.append(connection)

    def _gone(self, connection: _Connection) -> None:
        if connection.request is not None:
            raise BenchError("the server closed a connection instead of answering")
        self._poll.unregister(connection.socket)
        del self._by_file[connection.socket.fileno()]
        connection.socket.close()
        self._idle.remove(connection)


def _length(head: bytearray) -> int:
    lower = bytes(head).lower()
    at = lower.find(b"\r\ncontent-length:")
    if at < 0:
        raise BenchError(f"an answer without a length: {bytes(head[:200])!r}")
    return int(lower[at + 17 : lower.index(b"\r\n", at + 2)])
