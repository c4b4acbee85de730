"""SharePoint targets: fields and key in one MERGE, under the ETag that was read before.

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
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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
from dispatcher.targets.sharepoint_answers import (
    LostError,
    Stale,
    Unsure,
    Written,
    later,
    missing,
    sent,
)
from dispatcher.targets.sharepoint_client import Client, Clients, json_body
from dispatcher.targets.sharepoint_fields import canonical
from dispatcher.targets.sharepoint_http import NoAnswerError
from dispatcher.targets.sharepoint_judgement import BAD_IDENTIFIER, NOT_FOUND, Item, Prepared
from dispatcher.targets.sharepoint_list import ItemList
from dispatcher.targets.sharepoint_token import Tokens, load_secret, require_tls
from dispatcher.targets.target import Promises, Snapshot, StartRefusedError
from dispatcher.writeback import (
    Absent,
    AlreadyApplied,
    Applied,
    Code,
    Images,
    Outcome,
    Probe,
    Refused,
    Unavailable,
    Unknown,
    WriteBack,
)
