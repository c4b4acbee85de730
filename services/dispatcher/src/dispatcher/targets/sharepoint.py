"""SharePoint targets: one list of one site, written to item by item. How: `sharepoint_write`.

Owns what is known of the list, connections and threads.

What this adapter cannot promise:
- A comment has no place in an item.
- A key that was used for another item is not noticed: keys are looked for in the item alone.
- The history answers for a key only while its version is kept: the list's version limit, "delete
  old versions" and a restored backup can take it away once a later write has replaced the marker,
  or a person has emptied the column. An item that a person restores from the history is known.
- An edit between read and MERGE to fields the reviewer did not see changes the ETag but is no
  conflict: it is kept, ours goes beside it.
- What SharePoint does because of the edit (alerts, flows) is not undone by an undo.
- `Absent` after which nothing is sent (a person gives up, a right is taken away) does not keep a
  request away that is still on its way; SharePoint ends requests after minutes.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from contract.targets import TargetConfig
from conveyor.errors import UnavailableError
from dispatcher.targets import sharepoint_judgement as judgement
from dispatcher.targets import sharepoint_list
from dispatcher.targets.columns import BadValueError, Value
from dispatcher.targets.sharepoint_answers import LostError, later
from dispatcher.targets.sharepoint_client import Client, Clients
from dispatcher.targets.sharepoint_fields import canonical
from dispatcher.targets.sharepoint_judgement import BAD_IDENTIFIER, NOT_FOUND, Prepared
from dispatcher.targets.sharepoint_list import ItemList
from dispatcher.targets.sharepoint_memory import Histories
from dispatcher.targets.sharepoint_token import Tokens, load_secret, require_tls
from dispatcher.targets.sharepoint_write import Writer
from dispatcher.targets.target import Promises, Repair, Snapshot, StartRefusedError
from dispatcher.targets.watchdog import Watchdog
from dispatcher.writeback import (
    Absent,
    Code,
    Images,
    Outcome,
    Probe,
    Refused,
    Unavailable,
    WriteBack,
)

log = structlog.get_logger()

LIMIT: Final = 30.0
"""Seconds the target may leave a request without its whole answer."""
SETTLE: Final = 0.0
"""The ETag fences late requests: one can land instead of the next attempt, never beside it."""
STEP: Final = "fields"
_STALE: Final = 5.0
"""Seconds for which what is known of the list is believed when a value does not fit it."""
_OK: Final = 200


class SharePointTarget:
    """One SharePoint list. See `target.Target` for what each method promises.

    `prepare` and `send` are `apply` in two halves, for an intent to be committed between them.
    They, `read` and `probe` may be called from several threads, never two for one item. Each may
    block for three requests or so, each of them for `limit`.
    """

    def __init__(
        self,
        config: TargetConfig,
        secret_file: Path,
        *,
        limit: float = LIMIT,
        settle: float = SETTLE,
        workers: int = 4,
    ) -> None:
        """Take the configuration. Nothing is connected before the first call.

        `limit`: seconds for an answer. `settle`: seconds before a write of unknown outcome is
        looked for. `workers`: requests under way at once, in `apply_batch`.

        Raises:
            StartRefusedError: the configuration or the secret file cannot be used.
        """
        sharepoint_list.check_config(config)
        site, title = config.url or "", config.table or ""
        require_tls(site, "url")
        load_secret(secret_file, site)
        self._config = config
        watchdog = Watchdog(limit)
        tokens = Tokens(lambda: load_secret(secret_file, site), limit, watchdog=watchdog)
        self._clients = Clients(site, title, tokens, limit, watchdog)
        self._promises = Promises(
            batch=workers, key_in_write=False, settle=settle, comment=False, undo=True
        )
        self._pool: ThreadPoolExecutor | None = None
        self._learning = threading.Lock()
        self._known: ItemList | None = None
        self._histories = Histories()
        self._known_at = 0.0

    @property
    def promises(self) -> Promises:
        return self._promises

    def inspect(self) -> None:
        with self._clients.lend() as client:
            try:
                self._learn(client)
            except LostError as lost:
                raise UnavailableError(lost.outcome.detail, lost.outcome.retry_after) from lost

    def ready(self) -> Unavailable | None:
        with self._clients.lend() as client:
            try:
                self._list(client)
                answer = client.list_settings()
            except LostError as lost:
                return lost.outcome
        return None if answer.status == _OK and answer.document is not None else later(answer)

    def interrupt(self) -> None:
        """Do nothing: whoever waits is a thread that may be left behind."""

    def close(self) -> None:
        """Let go of every connection, without waiting for the requests under way."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._clients.close()

    def normalise(self, field: str, value: str) -> str:
        known = self._known
        if known is None or field not in known.fields:
            return value
        return canonical(known.fields[field], value)

    def read(self, identifier: str) -> Snapshot | Refused | Unavailable:
        if not self._names(identifier):
            return BAD_IDENTIFIER
        try:
            with self._writer() as writer:
                item = writer.read(identifier)
        except LostError as lost:
            return self._lost(lost)
        if item is None:
            return NOT_FOUND
        return Snapshot(
            identifier=identifier,
            fields=item.fields,
            version=item.etag,
            read_at=datetime.now(UTC),
        )

    def apply(self, write_back: WriteBack) -> Outcome:
        prepared = self.prepare(write_back)
        return self.send(prepared) if isinstance(prepared, Prepared) else prepared

    def prepare(self, write_back: WriteBack) -> Prepared | Outcome:
        """Read the item and compare. Changes nothing; may block for a few requests.

        Returns what may be sent now, or the outcome where nothing is to be sent.
        """
        if not self._names(write_back.target.identifier):
            return BAD_IDENTIFIER
        if write_back.step != STEP:
            return Refused(code=Code.NOT_SUPPORTED, detail="an item has fields, nothing else")
        if not write_back.fields:
            return Refused(code=Code.NO_FIELDS, detail="no field is to be changed")
        try:
            with self._writer() as lent:
                writer, values = self._values(lent, write_back)
                item = writer.read(write_back.target.identifier)
                return NOT_FOUND if item is None else writer.prepare(write_back, values, item)
        except BadValueError as bad:
            return Refused(code=bad.code, detail=bad.detail)
        except LostError as lost:
            return self._lost(lost)

    def prepare_undo(
        self, write_back: WriteBack, before: Images, after: Images
    ) -> Prepared | Outcome:
        """Do what `prepare` does, to write `before` back where the fields are still `after`."""
        return self.prepare(replace(write_back, fields=before, seen=dict(after)))

    def repairs(self) -> list[Repair]:
        """Return none: a second write fails on the ETag."""
        return []

    def send(self, prepared: Prepared) -> Outcome:
        """Write what was prepared, under the ETag that was read then; read back.

        Outcomes as of `apply`.
        """
        try:
            with self._writer() as writer:
                return writer.send(prepared)
        except LostError as lost:  # nothing is known of the list, so nothing was sent
            return self._lost(lost)

    def apply_batch(self, write_backs: Sequence[WriteBack]) -> list[Outcome]:
        if len({one.target.identifier for one in write_backs}) < len(write_backs):
            raise ValueError("two write-backs for one record in one batch")
        if len(write_backs) == 1:
            return [self.apply(write_backs[0])]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._promises.batch, f"placet {self._config.name}")
        return list(self._pool.map(self.apply, write_backs))

    def undo(self, write_back: WriteBack, before: Images, after: Images) -> Outcome:
        return self.apply(replace(write_back, fields=before, seen=dict(after)))

    def probe(self, write_back: WriteBack) -> Probe:
        if not self._names(write_back.target.identifier):
            return Absent()
        try:
            with self._writer() as writer:
                item = writer.read(write_back.target.identifier)
                already = None if item is None else writer.found(write_back, item)
        except LostError as lost:
            return self._lost(lost)
        return already or Absent()

    # What is known of the list

    def _names(self, identifier: str) -> bool:
        return self._config.names(identifier) and judgement.item_id(identifier) is not None

    @contextmanager
    def _writer(self) -> Iterator[Writer]:
        """Lend a connection with what is known.

        Raises:
            LostError: the list cannot be worked with now.
        """
        with self._clients.lend() as client:
            known = self._list(client)
            yield Writer(client=client, known=known, histories=self._histories)

    def _values(self, writer: Writer, write_back: WriteBack) -> tuple[Writer, dict[str, Value]]:
        """Return what to write; nothing is refused on old knowledge of the columns."""
        try:
            return writer, judgement.values_of(writer.known, write_back)
        except BadValueError:
            if time.monotonic() - self._known_at < _STALE:
                raise
        writer = replace(writer, known=self._list(writer.client, again=True))
        return writer, judgement.values_of(writer.known, write_back)

    def _list(self, client: Client, *, again: bool = False) -> ItemList:
        """Return what is known of the list, asking where it is not known.

        Raises:
            LostError: it cannot be worked with now.
        """
        with self._learning:
            if self._known is not None and not again:
                return self._known
        try:
            return self._learn(client)
        except StartRefusedError as refused:
            log.warning("target_refused", target=self._config.name, code=refused.code)
            outcome = Unavailable(
                code=Code.TARGET_CHANGED,
                detail=f"the target cannot be worked with: {refused.code}",
                whole_target=True,
            )
            raise LostError(outcome) from refused

    def _learn(self, client: Client) -> ItemList:
        known = sharepoint_list.inspect(client, self._config)
        with self._learning:
            self._known, self._known_at = known, time.monotonic()
        return known

    def _lost(self, lost: LostError) -> Unavailable:
        """Return the outcome; look at the list again where it may have changed."""
        if lost.outcome.code in {Code.TARGET_CHANGED, Code.PERMISSION_DENIED}:
            with self._learning:
                self._known = None
        return lost.outcome
