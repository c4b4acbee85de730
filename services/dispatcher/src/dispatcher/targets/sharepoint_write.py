"""The writing of one SharePoint item: fields and key in one MERGE, under the ETag read before.

Owns the order of steps that makes one effect (law 4) and writes what was approved (law 6):

1. read the item: columns, marker, ETag. The marker is ours, or it is another write's and the
   item's history has ours: AlreadyApplied, whatever the item looks like now. A history that this
   process knows to lack the key, up to this very ETag, is not asked for;
2. compare what the reviewer saw with what is there, field by field: different means Conflict;
3. one MERGE of fields and marker with `If-Match: <that ETag>`. `prepare` ends before it, so that an
   intent can be committed in between; `send` does the rest;
4. 412: somebody was first. Read again and decide from step 1: perhaps it was an earlier request of
   ours. Seen fields that are still as seen are tried again at once, a few times;
5. an answer that was lost or says nothing: read once. Marker ours: done. ETag moved: our request is
   dead, go on as after a 412. Otherwise Unknown: it may still arrive;
6. read back, because workflows may have had other ideas.

Why a request that arrives late (a zombie) makes no second effect: it carries the ETag it was sent
with. While the item has that ETag, the next attempt carries the same, and SharePoint lets one of
the two through; the loser gets 412, reads, and finds the key. So nothing has to settle before a
write is sent again, and `Absent` means: not there, and able to arrive only instead of the next
attempt, never beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dispatcher.targets import sharepoint_judgement as judgement
from dispatcher.targets.columns import Value
from dispatcher.targets.sharepoint_answers import (
    LostError,
    Sent,
    Stale,
    Unsure,
    Written,
    later,
    missing,
    sent,
)
from dispatcher.targets.sharepoint_client import Client, json_body
from dispatcher.targets.sharepoint_http import NoAnswerError
from dispatcher.targets.sharepoint_judgement import NOT_FOUND, Effect, Item, Prepared
from dispatcher.targets.sharepoint_list import ItemList
from dispatcher.targets.sharepoint_memory import Histories
from dispatcher.writeback import (
    AlreadyApplied,
    Applied,
    Code,
    Outcome,
    Refused,
    Unavailable,
    Unknown,
    WriteBack,
)

_TRIES: Final = 4
"""How often a write is sent while the item changes in between, each time after a new look."""
_OK: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """One connection, what is known of the list, and what is remembered of its items."""

    client: Client
    known: ItemList
    histories: Histories

    def read(self, identifier: str) -> Item | None:
        """Return the item, None where there is none.

        Raises:
            LostError: the target did not say.
        """
        number = int(identifier)
        answer = self.client.item(number, self.known.names)
        if missing(answer):  # "no such item" is final, so it is made sure that it is not the list
            if self.client.list_settings().status != _OK:
                raise LostError(later(answer))
            answer = self.client.item(number, self.known.names)
            if missing(answer):
                return None
        item = judgement.item_of(answer, self.known)
        if item is None:
            raise LostError(later(answer))
        return item

    def found(self, write_back: WriteBack, item: Item) -> AlreadyApplied | None:
        """Say whether this key's effect is there already: in the item, or in its history.

        Raises:
            LostError: the target did not say.
        """
        ours = item.marker == write_back.write_back_id
        try:
            effect = self._effect(write_back, item)
        except LostError:
            if not ours:
                raise
            effect = None  # it is there; what was before it is not known now
        if effect is None and not ours:
            return None
        return judgement.already(self.known, write_back, item, effect)

    def _effect(self, write_back: WriteBack, item: Item) -> Effect | None:
        """Return the key's effect from the item's history, None where it has none.

        Two requests: a history with all its values is long, and mostly the key is not in it.
        """
        number, key = int(write_back.target.identifier), write_back.write_back_id
        answer = self.client.versions(number, (self.known.marker.json_name,))
        if not judgement.has_versions(answer):
            raise LostError(later(answer))
        keys = judgement.keys_of(answer, self.known)
        self.histories.saw(write_back.target.identifier, item.etag, keys)
        if key not in keys:
            return None
        answer = self.client.versions(number)
        if not judgement.has_versions(answer):
            raise LostError(later(answer))
        return judgement.effect_of(answer, self.known, key)

    def prepare(
        self, write_back: WriteBack, values: Mapping[str, Value], item: Item, *, look: bool = False
    ) -> Prepared | Outcome:
        """Take steps 1 and 2 with an `item` just read. Changes nothing.

        `look`: into the history in any case, because something of ours may have just landed.

        Raises:
            LostError: the target did not say.
        """
        identifier, key = write_back.target.identifier, write_back.write_back_id
        # Without a marker no write of ours was there, unless somebody emptied the column: that much
        # is left to `probe`, so that a first write is three requests.
        asked = look or item.marker is not None
        if asked and not self.histories.lacks(identifier, item.etag, key):
            already = self.found(write_back, item)
            if already is not None:
                return already
        conflict = judgement.moved(self.known, write_back, item)
        if conflict is not None:
            return conflict
        wires = {self.known.fields[name].json_name: value.wire for name, value in values.items()}
        marker = {self.known.marker.json_name: f'"{key}"'}
        return Prepared(
            write_back=write_back, item=item, values=values, request=json_body(wires | marker)
        )

    def send(self, prepared: Prepared) -> Outcome:
        """Take steps 3 to 6. On return nothing was sent that is not answered for."""
        for _ in range(_TRIES):
            result = self._merge(prepared)
            # A crash here leaves the key in the item, or nothing: the next attempt looks for it.
            match result:
                case Written():
                    return self._read_back(prepared, result.etag)
                case Refused() | Unavailable():
                    return result
                case Stale() | Unsure():
                    following = self._look(prepared, result)
            if not isinstance(following, Prepared):
                return following
            prepared = following
        return Unavailable(code=Code.TARGET_BUSY, detail="the item keeps changing")

    def _merge(self, prepared: Prepared) -> Sent:
        number = int(prepared.write_back.target.identifier)
        try:
            return sent(self.client.merge(number, prepared.item.etag, prepared.request))
        except LostError as lost:
            return lost.outcome
        except NoAnswerError as error:
            if not error.sent:
                return error.unavailable
            code = error.code if error.code is Code.TIMEOUT else Code.COMMIT_ANSWER_LOST
            return Unsure(code=code, detail=error.detail)

    def _look(self, prepared: Prepared, result: Stale | Unsure) -> Prepared | Outcome:
        """Take step 4 or 5: read, and say what follows."""
        write_back = prepared.write_back
        try:
            item = self.read(write_back.target.identifier)
            if isinstance(result, Unsure):
                if item is None or item.etag == prepared.item.etag:
                    return Unknown(code=result.code, detail=result.detail)
                if item.marker == write_back.write_back_id:
                    return self._applied(prepared, item, None)
            if item is None:
                return NOT_FOUND
            return self.prepare(write_back, prepared.values, item, look=True)
        except LostError as lost:
            if isinstance(result, Unsure):
                return Unknown(code=result.code, detail=result.detail)
            return lost.outcome

    def _read_back(self, prepared: Prepared, etag: str | None) -> Outcome:
        """Take step 6."""
        identifier, key = prepared.write_back.target.identifier, prepared.write_back.write_back_id
        if etag is not None:
            self.histories.wrote(identifier, key, before=prepared.item.etag, after=etag)
        try:
            return self._applied(prepared, self.read(identifier), etag)
        except LostError as lost:
            return Unknown(code=Code.READ_BACK_LOST, detail=f"written, but: {lost.outcome.detail}")

    def _applied(self, prepared: Prepared, item: Item | None, etag: str | None) -> Applied:
        """Say what was written, from the version that the write made.

        That is the item itself, unless somebody wrote after us; then the history has it. Where it
        has not, or the item is gone, what was sent is what was written.

        Raises:
            LostError: the target did not say.
        """
        write_back = prepared.write_back
        after = {name: value.wire for name, value in prepared.values.items()}
        version = etag or (prepared.version if item is None else item.etag)
        if item is not None and item.etag == etag:
            after = dict(judgement.image(write_back, item))
        elif item is not None:
            effect = self._effect(write_back, item)
            if effect is not None:
                there = item.fields if effect.current else effect.after
                after = {name: there[name] for name in write_back.fields}
        return Applied(
            before=prepared.before,
            after=after,
            version=version,
            differs=judgement.differing(self.known, write_back, after),
        )
