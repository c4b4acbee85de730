"""Control items on their way into the queue: held back, then let in among the others.

Owns how they enter. Somebody has said beforehand that (source, external_id) is one, and what its
answer is; then it comes like any other output, measured like any other, and is held here. For a
share of the items that come in one is let go, the oldest first: it is a row of the queue like its
neighbours. Which items draw one follows from their ids alone, so a replay draws none.
"""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from psycopg import Cursor

from contract.reasons import Reason
from review_api.queries import QUERIES

if TYPE_CHECKING:
    from review_api.ingest import Arrival, Sorted

Read = Callable[[bytes], "Arrival"]
Refuse = Callable[["Sorted", "Arrival", Reason, str], None]


def draws(item_id: str, rate: float) -> bool:
    """Tell whether the coming of this item lets a control item in."""
    share = int.from_bytes(hashlib.sha256(f"control\0{item_id}".encode()).digest()[:8])
    return share < rate * 2**64


def hold(cursor: Cursor[Any], out: "Sorted", refuse: Refuse) -> None:
    """Take the control items that wait out of what is `new`, and keep them."""
    cursor.execute(QUERIES["control_items_expected"], {"items": list(out.new)})
    for item_id, revision, digest in cursor.fetchall():
        arrivals = [one for one in out.revisions if one.item.item_id == item_id]
        out.revisions = [one for one in out.revisions if one.item.item_id != item_id]
        newest = out.new.pop(item_id)
        out.became["new"] -= 1
        out.became["revised"] -= len(arrivals) - 1
        if revision == newest.item.revision and bytes(digest) != newest.item.content_digest:
            message = f"revision {revision} was different"
            refuse(out, newest, Reason.REVISION_REUSED, message)
            out.became["held"] += len(arrivals) - 1
            continue
        out.became["held"] += len(arrivals)
        kept = {
            "item": item_id,
            "revision": newest.item.revision,
            "digest": newest.item.content_digest,
            "event": newest.data,
        }
        cursor.execute(QUERIES["keep_control_item"], kept)


def let_in(cursor: Cursor[Any], out: "Sorted", rate: float, read: Read) -> list[str]:
    """Add control items to what is `new`, and return their ids."""
    drawn = sum(draws(item_id, rate) for item_id in out.new) if rate > 0 else 0
    if not drawn:
        return []
    cursor.execute(QUERIES["release_control_items"], {"most": drawn})
    released = [read(bytes(row[0])) for row in cursor.fetchall()]
    for arrival in released:
        out.new[arrival.item.item_id] = arrival
        out.revisions.append(arrival)
    return [arrival.item.item_id for arrival in released]
