"""Jira targets, Cloud (API v3) and Data Center (v2): fields in one edit, then a comment.

A write-back of the step "fields" is one PUT with fields and marker (`jira_edit`); of the step
"comment" one POST with comment and marker (`jira_comments`). Nothing is ever sent again without a
look at the marker, and nothing at all to another host (`jira_client`).

What this adapter cannot promise:

- Jira's edit is not conditional. An edit that somebody makes in the moment between our reading and
  our writing is overwritten; the changelog tells, and the outcome has the field and what was there
  in `overwrote`: a person looks, and nothing is written back by itself.
  An edit request that outlives `settle` on its way overwrites in the same manner.
- Adding a comment is not conditional either. A request that was given up can still land and make a
  second comment. On Cloud a put-if-absent property keeps two workers from sending the same one;
  every look at an issue's comments removes a second copy, one of them `settle` after any doubt
  (`jira_sweeps`), and each removal is told (`repairs`). Until then two can be seen, and mail about
  both has gone out.
- That an edit and its properties are one is not documented by Atlassian: marker and changelog are
  both asked.
- Whoever may edit an issue may edit or remove the marker. Removed, the write is not repeated: the
  fields are no longer as the reviewer saw them, which is a conflict.
- Mail that Jira sends about an edit or a comment cannot be taken back.
- Transitions, and fields of types that `jira_fields` does not have, are refused.
"""

import queue
import threading
import uuid
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
from dispatcher.targets import jira_comment_step, jira_comments, jira_edit, jira_values
from dispatcher.targets.jira_client import Client, ReadFailedError
from dispatcher.targets.jira_fence import Fence
from dispatcher.targets.jira_issue import BAD_IDENTIFIER, fetch, is_key
from dispatcher.targets.jira_note import COMMENT
from dispatcher.targets.jira_prepared import Edit, Note, Prepared, Supersede
from dispatcher.targets.jira_secret import Secret, checked_url, read_secret
from dispatcher.targets.jira_sessions import Clients
from dispatcher.targets.jira_site import (
    ASKED_IN,
    Site,
    check_columns,
    check_rights,
    check_secret,
    learn,
)
from dispatcher.targets.jira_sweeps import Sweeps
from dispatcher.targets.target import Promises, Repair, Snapshot, StartRefusedError
from dispatcher.writeback import (
    Absent,
    Code,
    Images,
    Outcome,
    Probe,
    Refused,
    Unavailable,
    Unknown,
    WriteBack,
)

log = structlog.get_logger()

LIMIT: Final = 30.0
SETTLE: Final = 300.0
WORKERS: Final = 4
_FIELDS: Final = "fields"


class JiraTarget:
    """One Jira site. See `target.Target` for what each method promises.

    `prepare` and `send` are the two halves of `apply`, for an intent to be committed in between.
    """

    def __init__(
        self,
        config: TargetConfig,
        secret_file: Path,
        *,
        limit: float = LIMIT,
        settle: float = SETTLE,
        workers: int = WORKERS,
    ) -> None:
        """Take the configuration. Nothing is connected or read before the first call.

        `limit`: seconds Jira may leave a request without an answer. `settle`: seconds after which a
        request without an answer is over in Jira, too. `workers`: requests at once.

        Raises:
            StartRefusedError: `url` is no address that a secret may be sent to.
        """
        self._config = config
        self._secret_file = secret_file
        self._repairs: queue.SimpleQueue[Repair] = queue.SimpleQueue()
        self._clients = Clients(
            checked_url(config.name, config.url), self._secret, limit, self._repairs.put
        )
        self._promises = Promises(
            batch=workers, key_in_write=False, settle=settle, comment=True, undo=True
        )
        self._sweeps = Sweeps(settle, self.sweep)
        self._fence = Fence(str(uuid.uuid4()), settle, limit)
        self._site: Site | None = None
        self._learning = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    @property
    def promises(self) -> Promises:
        return self._promises

    def inspect(self) -> None:
        secret = read_secret(self._secret_file)
        try:
            with self._clients.borrow(ASKED_IN) as client:
                site = learn(client)
                check_secret(site, secret)
                check_columns(self._config, site)
                check_rights(client, site.me)
        except ReadFailedError as failed:
            if isinstance(away := failed.outcome, Unavailable):
                raise UnavailableError(away.detail, away.retry_after) from failed
            raise StartRefusedError(
                "NOT_JIRA", f"{self._config.url} does not answer as Jira does: {failed}"
            ) from failed
        self._site = site

    def ready(self) -> Unavailable | None:
        try:
            with self._session() as (client, _):
                client.get("myself")
        except ReadFailedError as failed:
            return failed.unavailable
        return None

    def interrupt(self) -> None:
        """Do nothing: whoever waits is a thread that may be left behind."""

    def close(self) -> None:
        self._sweeps.close()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
        self._clients.close()

    def normalise(self, field: str, value: str) -> str:
        known = None if self._site is None else self._site.fields.get(field)
        return value if known is None else jira_values.canonical(known, value)

    def read(self, identifier: str) -> Snapshot | Refused | Unavailable:
        if not self._names(identifier):
            return BAD_IDENTIFIER
        try:
            with self._session() as (client, site):
                columns = [name for name in self._config.columns if name in site.fields]
                issue = fetch(client, site, identifier, columns)
        except ReadFailedError as failed:
            return failed.outcome
        return Snapshot(
            identifier=identifier,
            fields=issue.fields,
            version=issue.updated,
            read_at=datetime.now(UTC),
        )

    # Writing

    def apply(self, write_back: WriteBack) -> Outcome:
        prepared = self.prepare(write_back)
        return self.send(prepared) if isinstance(prepared, Prepared) else prepared

    def apply_batch(self, write_backs: Sequence[WriteBack]) -> list[Outcome]:
        if len({one.target.identifier for one in write_backs}) < len(write_backs):
            raise ValueError("two write-backs for one record in one batch")
        if len(write_backs) <= 1:
            return [self.apply(one) for one in write_backs]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._promises.batch, "jira")
        return list(self._pool.map(self.apply, write_backs))

    def prepare(self, write_back: WriteBack) -> Prepared | Outcome:
        """Read, look for the marker, compare with what was seen. Writes no part of the change."""
        if not self._names(write_back.target.identifier):
            return BAD_IDENTIFIER
        try:
            with self._session() as (client, site):
                if write_back.step == COMMENT:
                    return jira_comment_step.prepare(client, site, write_back)
                if write_back.step == _FIELDS:
                    return jira_edit.prepare(client, site, self._config.columns, write_back)
        except ReadFailedError as failed:
            return failed.outcome
        return Refused(code=Code.NOT_SUPPORTED, detail=f"Jira has no step {write_back.step!r}")

    def send(self, prepared: Prepared) -> Outcome:
        """Send what was prepared, once, and read it back. Outcomes as of `apply`. May block.

        From several threads, but never two for one record.
        """
        try:
            with self._session() as (client, site):
                match prepared:
                    case Edit():
                        return jira_edit.send(client, site, prepared)
                    case Note():
                        outcome = jira_comment_step.send(client, site, self._fence, prepared)
                        if isinstance(outcome, Unknown):
                            self._sweeps.later(prepared.write_back.target.identifier)
                        return outcome
                    case Supersede():
                        return jira_comment_step.send_undo(client, site, prepared)
        except ReadFailedError as failed:  # before anything was sent
            return failed.outcome
        raise TypeError(f"{type(prepared).__name__} was not prepared here")

    def probe(self, write_back: WriteBack) -> Probe:
        if not self._names(write_back.target.identifier):
            return Absent()
        probe = jira_comment_step.probe if write_back.step == COMMENT else jira_edit.probe
        try:
            with self._session() as (client, site):
                return probe(client, site, write_back)
        except ReadFailedError as failed:
            if failed.outcome.code is Code.RECORD_NOT_FOUND:
                return Absent()  # nothing is there, and nothing can arrive where no issue is
            return failed.unavailable

    def undo(self, write_back: WriteBack, before: Images, after: Images) -> Outcome:
        prepared = self.prepare_undo(write_back, before, after)
        return self.send(prepared) if isinstance(prepared, Prepared) else prepared

    def prepare_undo(
        self, write_back: WriteBack, before: Images, after: Images
    ) -> Prepared | Outcome:
        """Do what `prepare` does, for `undo`. The after-image names a comment."""
        if write_back.step != COMMENT:
            return self.prepare(replace(write_back, fields=before, seen=dict(after)))
        if not self._names(write_back.target.identifier):
            return BAD_IDENTIFIER
        try:
            with self._session() as (client, site):
                return jira_comment_step.prepare_undo(client, site, write_back, after)
        except ReadFailedError as failed:
            return failed.outcome

    def sweep(self, identifier: str) -> int | Refused | Unavailable:
        """Remove second copies of our comments from an issue, and return how many there were.

        Runs by itself `settle` after any doubt. Each removal is logged (`jira_comment_duplicate`).
        """
        if not self._names(identifier):
            return BAD_IDENTIFIER
        try:
            with self._session() as (client, site):
                comments = jira_comments.listed(client, site, identifier, None)
                return len(jira_comments.sweep(client, site, identifier, comments))
        except ReadFailedError as failed:
            return failed.outcome

    def repairs(self) -> list[Repair]:
        return [self._repairs.get() for _ in range(self._repairs.qsize())]

    # Sessions

    def _names(self, identifier: str) -> bool:
        return is_key(identifier) and self._config.names(identifier)

    def _secret(self) -> Secret:
        try:
            return read_secret(self._secret_file)
        except StartRefusedError as refused:
            raise ReadFailedError(_refused_here(refused)) from refused

    @contextmanager
    def _session(self) -> Iterator[tuple[Client, Site]]:
        site = self._learned()
        with self._clients.borrow(site.version) as client:
            yield client, site

    def _learned(self) -> Site:
        with self._learning:
            if self._site is None:
                with self._clients.borrow(ASKED_IN) as client:
                    self._site = self._look(client)
            return self._site

    def _look(self, client: Client) -> Site:
        """Ask what the site is. Whatever it refuses here is no word about any record."""
        try:
            site = learn(client)
            check_secret(site, self._secret())
            check_rights(client, site.me)
        except StartRefusedError as refused:
            raise ReadFailedError(_refused_here(refused)) from refused
        except ReadFailedError as failed:
            raise ReadFailedError(failed.unavailable, failed.status) from failed
        return site


def _refused_here(refused: StartRefusedError) -> Unavailable:
    """Return why there is no working with it now; at the start it would have been refused."""
    log.warning("target_refused", code=refused.code)
    return Unavailable(
        code=Code.TARGET_CHANGED,
        detail=f"the target cannot be worked with: {refused.code}",
        whole_target=True,
    )
