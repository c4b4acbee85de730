"""The steps that the laws name, by place; and why normal work does not reach some others.

Owns both lists. That their places exist is tested.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

from tests.support.crash.campaign import API, JIRA, RELAYING, SHAREPOINT, SQL, WORKER
from tests.support.crash.places import AFTER, SIDES
from tests.support.crash.plan import Point
from tests.support.crash.trigger import Side

_SENT = "conveyor.producer:Producer.send_all:self._client.flush:1"
_DELETED = "conveyor.relay:Relay.drain_once:connection.transaction:1"
_ACCEPTED = "dispatcher.consume:Intake._accept:self._ledger.transaction:1"
_OFFSETS = "conveyor.consumer:Consumer._commit:self._client.commit:1"
_TOLD = "review_api.outcomes:Outcomes.handle:self._connection.transaction:1"
_COMMIT = "dispatcher.targets.sql:SqlTarget._transaction:connection.execute:3"
_TAKEN_IN = "dispatcher.flights:Flights._take_in:self._ledger.transaction:1"
_INTENT = "dispatcher.ledger_intents:intend:ledger.run:1"
_RECORDED = "dispatcher.ledger:Ledger._record:transaction.pipeline:1"
_PUT = "dispatcher.targets.jira_edit:send:client.write:1"
_MERGE = "dispatcher.targets.sharepoint_write:Writer._merge:self.client.merge:1"

LAW: Final[Sequence[tuple[str, str, str | None]]] = (
    (API, "review_api.commands.decide:Decide.__call__:self._write:1", None),
    (API, "review_api.commands.decide:Decide.__call__:self._store.one:1", None),  # the first of two
    (API, "review_api.commands.take_back:TakeBack._commit:self._store.one:1", None),
    (WORKER, _SENT, None),
    (WORKER, _DELETED, _SENT),
    (WORKER, _TOLD, None),
    (WORKER, _OFFSETS, _TOLD),
    (RELAYING, _SENT, None),
    (RELAYING, _DELETED, _SENT),
    (SQL, _ACCEPTED, None),
    (SQL, _OFFSETS, _ACCEPTED),
    (SQL, _COMMIT, None),
    (SQL, "dispatcher.work:Engine._batch:self._ledger.transaction:1", _COMMIT),
    (JIRA, _ACCEPTED, None),
    (JIRA, _TAKEN_IN, _INTENT),
    (JIRA, _PUT, None),
    (JIRA, "dispatcher.targets.jira_issue:fetch:client.get:1", _PUT),  # read back
    (JIRA, "dispatcher.targets.jira_comment_step:send:client.write:1", None),
    (JIRA, _TAKEN_IN, _RECORDED),
    (SHAREPOINT, _ACCEPTED, None),
    (SHAREPOINT, _TAKEN_IN, _INTENT),
    (SHAREPOINT, _MERGE, None),
    (SHAREPOINT, "dispatcher.targets.sharepoint_write:Writer.read:self.client.item:1", _MERGE),
    (SHAREPOINT, _TAKEN_IN, _RECORDED),
)
"""Process, place and what it lies behind: the steps that the laws name. Struck on both sides."""


def law_points() -> list[Point]:
    """Return both sides of every step.

    First all of one side: a round has two writes per target, and each point takes one.
    """
    return [
        Point(process=process, side=(place, side), behind=behind and (behind, AFTER))
        for side in SIDES
        for process, place, behind in LAW
    ]


ELSEWHERE: Final = (
    ("dispatcher.operate:*", "operators' work"),
    ("dispatcher.ledger_controls:counts*", "operators' work"),
    ("dispatcher.ledger_controls:operate*", "operators' work"),
    ("dispatcher.ledger_controls:_unstick*", "operators' work"),
    ("conveyor.inbox:*", "operators' work"),
    ("review_api.store:Store.run:*", "people's work that is no decision"),
    ("review_api.ingest:Ingest._write:cursor.executemany:*", "a revised proposal"),
    ("review_api.commands.decide:Decide._lost:*", "somebody who came second"),
    ("review_api.commands.decide:Decide.__call__:self._store.one:2", "a control item"),
    ("review_api.commands.decide:Decide._control_item:*", "a control item"),
    ("review_api.ingest:Ingest._write:cursor.execute:2", "a control item"),
    ("review_api.ingest:_digests:*", "a repeated delivery"),
    ("review_api.outcomes:_reused:*", "a repeated delivery"),
    ("conveyor.parking:*", "what cannot be used"),
    ("dispatcher.ledger:Ledger.record:self.run:*", "a refused write"),
    ("*:SqlTarget._roll_back:*", "a refused write"),
    ("*:_existing:*", "a record that somebody holds"),
    ("conveyor.producer:Producer._enqueue:self._client.poll:*", "a full queue"),
    ("conveyor.producer:Producer.close:*", "a stop in good order"),
    ("dispatcher.flights:Flights.finish:*", "a stop in good order"),
    ("*Target.ready:*", "a target that is away"),
    ("*:SqlTarget.read:self._read:2", "a target that is away"),
    ("*:SqlTarget.probe:*", "nobody: what SQL was asked before, it finds by itself"),
    ("*:_with_properties:*", "a Jira that lists no properties"),
    ("*:_remove:*", "a second copy, after a request that came late"),
    ("*:sees_project:*", "a record that is not there"),
    ("*:Writer.read:self.client.list_settings:*", "a record that is not there"),
    ("*:Writer.read:self.client.item:2", "a record that is not there"),
    ("*:Writer._effect:self.client.versions:2", "a write that is there already"),
)
"""Place, and what reaches it."""


def reason_of(side: Side) -> str:
    """Return what reaches a side that normal work did not."""
    return next((why for place, why in ELSEWHERE if fnmatchcase(side[0], place)), "not this time")
