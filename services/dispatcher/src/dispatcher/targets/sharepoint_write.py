"""The writing of one SharePoint item: fields and key in one MERGE, under the ETag read before.

Owns the order of steps that makes one effect (law 4) and writes what was approved (law 6):

1. read the item: columns, marker, ETag. The marker is ours, or it is another write's and the
   item's history has ours: AlreadyApplied, whatever the item looks like now;
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


def read_item(client: Client, known: ItemList, identifier: str) -> Item | None:
    """Return the item, None where there is none.

    Raises:
        LostError: the target did not say.
    """
    answer = client.item(int(identifier), known.names)
    if missing(answer):  # "no such item" is final, so it is made sure that it is not the list
        if client.list_settings().status != _OK:
            raise LostError(later(answer))
        answer = client.item(int(identifier), known.names)
        if missing(answer):
            return None
    item = judgement.item_of(answer, known)
    if item is None:
        raise LostError(later(answer))
    return item


def find(client: Client, known: ItemList, write_back: WriteBack) -> Effect | None:
    """Return the key's effect from the item's history, None where it has none.

    Two requests: a history with all its values is long, and mostly the key is not in it.

    Raises:
        LostError: the target did not say.
    """
    number, key = int(write_back.target.identifier), write_back.write_back_id
    answer = client.versions(number, (known.marker.json_name,))
    if not judgement.has_versions(answer):
        raise LostError(later(answer))
    if not judgement.mentions(answer, known, key):
        return None
    answer = client.versions(number)
    if not judgement.has_versions(answer):
        raise LostError(later(answer))
    return judgement.effect_of(answer, known, key)


def found(
    client: Client, known: ItemList, write_back: WriteBack, item: Item
) -> AlreadyApplied | None:
    """Say whether this key's effect is there already: in the item, or in its history.

    Raises:
        LostError: the target did not say.
    """
    ours = item.marker == write_back.write_back_id
    try:
        effect = find(client, known, write_back)
    except LostError:
        if not ours:
            raise
        effect = None  # it is there; what was before it is not known now
    if effect is None and not ours:
        return None
    return judgement.already(known, write_back, item, effect)


def prepare(
    client: Client,
    known: ItemList,
    write_back: WriteBack,
    values: Mapping[str, Value],
    item: Item,
) -> Prepared | AlreadyApplied | Refused | Outcome:
    """Take steps 1 and 2 with an `item` just read. Changes nothing.

    Raises:
        LostError: the target did not say.
    """
    if item.marker is not None:  # a write of ours was there: this one, or one after it
        already = found(client, known, write_back, item)
        if already is not None:
            return already
    conflict = judgement.moved(known, write_back, item)
    if conflict is not None:
        return conflict
    wires = {known.fields[name].json_name: value.wire for name, value in values.items()}
    marker = {known.marker.json_name: f'"{write_back.write_back_id}"'}
    return Prepared(
        write_back=write_back, item=item, values=values, request=json_body(wires | marker)
    )


def send(client: Client, known: ItemList, prepared: Prepared) -> Outcome:
    """Take steps 3 to 6. On return nothing is sent that was not answered for."""
    for _ in range(_TRIES):
        result = _merge(client, prepared)
        # A crash here leaves the key in the item, or nothing: the next attempt looks for it.
        match result:
            case Written():
                return _read_back(client, known, prepared, result.etag)
            case Refused() | Unavailable():
                return result
            case Stale() | Unsure():
                following = _look(client, known, prepared, result)
        if not isinstance(following, Prepared):
            return following
        prepared = following
    return Unavailable(code=Code.TARGET_BUSY, detail="the item keeps changing")


def _merge(client: Client, prepared: Prepared) -> Sent:
    number = int(prepared.write_back.target.identifier)
    try:
        return sent(client.merge(number, prepared.item.etag, prepared.request))
    except LostError as lost:
        return lost.outcome
    except NoAnswerError as error:
        if not error.sent:
            return error.unavailable
        code = error.code if error.code is Code.TIMEOUT else Code.COMMIT_ANSWER_LOST
        return Unsure(code=code, detail=error.detail)


def _look(
    client: Client, known: ItemList, prepared: Prepared, result: Stale | Unsure
) -> Prepared | Outcome:
    """Take step 4 or 5: read, and say what follows."""
    write_back = prepared.write_back
    try:
        item = read_item(client, known, write_back.target.identifier)
        if isinstance(result, Unsure):
            if item is None or item.etag == prepared.item.etag:
                return Unknown(code=result.code, detail=result.detail)
            if item.marker == write_back.write_back_id:
                return _applied(client, known, prepared, item, None)
        if item is None:
            return NOT_FOUND
        return prepare(client, known, write_back, prepared.values, item)
    except LostError as lost:
        if isinstance(result, Unsure):
            return Unknown(code=result.code, detail=result.detail)
        return lost.outcome


def _read_back(client: Client, known: ItemList, prepared: Prepared, etag: str | None) -> Outcome:
    """Take step 6."""
    try:
        item = read_item(client, known, prepared.write_back.target.identifier)
        return _applied(client, known, prepared, item, etag)
    except LostError as lost:
        return Unknown(code=Code.READ_BACK_LOST, detail=f"written, but: {lost.outcome.detail}")


def _applied(
    client: Client, known: ItemList, prepared: Prepared, item: Item | None, etag: str | None
) -> Applied:
    """Say what was written, from the version that the write made.

    That is the item itself, unless somebody wrote after us; then the history has it. Where it has
    not, or the item is gone, what was sent is what was written.

    Raises:
        LostError: the target did not say.
    """
    write_back = prepared.write_back
    after = {name: value.wire for name, value in prepared.values.items()}
    version = etag or (prepared.version if item is None else item.etag)
    if item is not None and item.etag == etag:
        after = dict(judgement.image(write_back, item))
    elif item is not None:
        effect = find(client, known, write_back)
        if effect is not None:
            there = item.fields if effect.current else effect.after
            after = {name: there[name] for name in write_back.fields}
    return Applied(
        before=prepared.before,
        after=after,
        version=version,
        differs=judgement.differing(known, write_back, after),
    )
