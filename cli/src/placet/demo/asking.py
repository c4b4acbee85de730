"""Puts customers' questions into the stand-ins' records, as people would by hand.

Harmless when repeated: a record that anybody has touched is left alone. Refuses to know what will
be proposed for it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import httpx

from placet.demo.stand_in_outputs import Proposal

_BY: Final = "Dana Kowalski"
_TIMEOUT: Final = 10.0


def ask(url: str, chosen: Sequence[Proposal]) -> None:
    """Fill in the records of the stand-in at `url`. Raises httpx.HTTPError."""
    with httpx.Client(base_url=url, timeout=_TIMEOUT) as stand_in:
        effects = stand_in.get("/_sandbox/effects").raise_for_status().json()["effects"]
        touched = {str(effect["record"]) for effect in effects}
        for proposal in chosen:
            if proposal.identifier not in touched:
                _edit(stand_in, proposal.identifier, proposal.asked)


def _edit(stand_in: httpx.Client, record: str, fields: Mapping[str, object]) -> None:
    body = {"record": record, "fields": dict(fields), "by": _BY}
    stand_in.post("/_sandbox/edit", json=body).raise_for_status()
