"""Jira and SharePoint for the bench: what they say was written, and a bare client.

Owns how slowly they answer, and the floor for what goes over HTTP: the bare client sends the very
requests that our dispatcher sent for a record, as the stand-in's own log has them, with as many of
them under way at once. It keeps nothing, checks nothing and can say nothing afterwards.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import httpx

from bench.errors import BenchError
from bench.waiting import wait_for
from placet.demo.stand_ins import StandIn

CONCURRENCY: Final = 8
"""Records written at once, as `targets.toml` says; requests of the bare client under way."""
ANSWER_SECONDS: Final = 0.1
"""Each request takes that long, besides the work: what such systems take, or less."""
_WRITES: Final = frozenset({"PUT", "MERGE"})
ODATA: Final = "application/json;odata=nometadata"


class Client:
    """One connection of the bare client."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._client = httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False)
        self._etag = ""

    def write(self, steps: Sequence[tuple[str, str]], body: bytes) -> None:
        """Take `steps` (method, path); `body` goes with the one that writes."""
        for method, path in steps:
            answer = self._write(method, path, body) if method in _WRITES else self._read(path)
            if not answer.is_success:
                raise BenchError(f"{method} {path}: HTTP {answer.status_code} {answer.text[:200]}")

    def close(self) -> None:
        self._client.close()

    def _read(self, path: str) -> httpx.Response:
        answer = self._client.get(path)
        self._etag = answer.headers.get("ETag", "")  # what the next write is conditional on
        return answer

    def _write(self, method: str, path: str, body: bytes) -> httpx.Response:
        if method == "PUT":
            json_text = {"Content-Type": "application/json"}
            return self._client.put(path, content=body, headers=json_text)
        headers = {"X-HTTP-Method": method, "If-Match": self._etag, "Content-Type": ODATA}
        return self._client.post(path, content=body, headers=headers)


@dataclass(kw_only=True)
class System:
    """One stand-in. `instance`: the name of the target it is to our side."""

    stand_in: StandIn
    instance: str
    changing: str
    """The field that proposals change."""
    entry: str
    url: str
    records: list[str]
    """Identifiers nobody has written to yet, the next one last."""
    mark: Callable[[str], str]
    """How an identifier stands in a path."""
    body: Callable[[str], bytes]
    headers: Callable[[], Mapping[str, str]]
    _steps: tuple[str, Sequence[tuple[str, str]]] | None = field(default=None, repr=False)

    def take(self, count: int) -> list[str]:
        if count > len(self.records):
            raise BenchError(f"{self.instance} has only {len(self.records)} records left")
        return [self.records.pop() for _ in range(count)]

    @contextmanager
    def slow(self) -> Iterator[None]:
        """Make every answer take `ANSWER_SECONDS` longer."""
        rule = {"kind": "delay", "seconds": ANSWER_SECONDS, "times": None, "path": "/(rest|_api)/"}
        self._panel("POST", "faults", rule)
        try:
            yield
        finally:
            self._panel("DELETE", "faults")

    def log_end(self) -> int:
        """Return where the system's own log of changes ends now."""
        return int(self._panel("GET", "effects?limit=1")["total"])

    def await_written(self, since: int, identifiers: Sequence[str], *, seconds: float) -> float:
        """Return how many of `identifiers` were written a second, from the first to the last.

        Raises BenchError where one was not written, or more than once.
        """
        count = len(identifiers)
        edits = wait_for(
            f"{count} records of {self.instance} written",
            lambda: found if len(found := self._edits(since)) >= count else None,
            seconds=seconds,
            pause=0.25,
        )
        if Counter(one["record"] for one in edits) != Counter(identifiers):
            raise BenchError(f"{self.instance}: {len(edits)} changes, of {count} records")
        at: list[float] = [one["at"] for one in edits]
        return (count - 1) / (max(at) - min(at))

    def _edits(self, since: int) -> list[dict[str, Any]]:
        # The log has more than records' changes: a dispatcher's mark that it is the one, say.
        log = self._panel("GET", f"effects?after={since}&limit=100000")["effects"]
        return [one for one in log if one["operation"] == "edit"]

    def learn(self, identifiers: Sequence[str]) -> None:
        """Remember which requests a write of ours is made of: those that most of these took."""
        log = self._panel("GET", "requests")
        found: dict[tuple[str, ...], tuple[str, Sequence[tuple[str, str]]]] = {}
        seen: Counter[tuple[str, ...]] = Counter()
        for one in identifiers:
            names = self._pattern(one)
            steps = [(r["method"], r["path"]) for r in log if names.search(r["path"])]
            last = [n for n, (method, _) in enumerate(steps) if method in _WRITES]
            if not last:
                continue
            # What came before the look that precedes the write was the reviewers' reading.
            steps = steps[max(0, last[0] - 1) :]
            shape = tuple(method for method, _ in steps)
            seen[shape] += 1
            found[shape] = (one, steps)
        if not seen:
            raise BenchError(f"{self.instance} has no write of ours in its log")
        self._steps = found[seen.most_common(1)[0][0]]

    @property
    def shape(self) -> str:
        """The requests of one write, for the table's reader."""
        return "-" if self._steps is None else " ".join(method for method, _ in self._steps[1])

    def write(self, identifiers: Sequence[str]) -> None:
        """Have the bare client write `identifiers`, `CONCURRENCY` at once."""
        if self._steps is None:
            raise BenchError(f"nothing of ours was written to {self.instance} before")
        like, steps = self._steps
        pattern = self._pattern(like)
        clients = [Client(self.url, self.headers()) for _ in range(CONCURRENCY)]
        free = list(clients)

        def one(identifier: str) -> None:
            client = free.pop()
            try:
                own = [(how, pattern.sub(self.mark(identifier), path)) for how, path in steps]
                client.write(own, self.body(f"by the bare client {uuid4()}"))
            finally:
                free.append(client)

        try:
            with ThreadPoolExecutor(CONCURRENCY) as pool:
                list(pool.map(one, identifiers))
        finally:
            for client in clients:
                client.close()

    def _pattern(self, identifier: str) -> re.Pattern[str]:
        return re.compile(re.escape(self.mark(identifier)) + r"(?![0-9])")

    def _panel(self, method: str, path: str, body: Any = None) -> Any:
        content = None if body is None else json.dumps(body)
        sent = httpx.request(
            method,
            f"{self.url}/_sandbox/{path}",
            content=content,
            headers={"Content-Type": "application/json"},
            timeout=30,
            trust_env=False,
        )
        return sent.raise_for_status().json()
