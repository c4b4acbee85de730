"""Whose key it is: the names that keys go by. Pure.

Owns how people, items, accounts and single events are told apart: a token that somebody gave a
person can be spelled like anything, and destroying one key must never destroy another.
"""

from hashlib import sha256
from typing import Final

LONGEST: Final = 200
"""Characters of a name: what PostgreSQL can index whatever they are."""


def person(token: str) -> str:
    """Return the subject that a person is, known by the token pipelines give them."""
    return _named("person", token)


def item(item_id: str) -> str:
    """Return the subject that an item is where nobody said whom it is about."""
    return _named("item", item_id)


def account(actor_id: str) -> str:
    """Return the subject that somebody at the desk is."""
    return _named("account", actor_id)


def event(event_id: str) -> str:
    """Return the subject of a fact that is about nobody in particular."""
    return _named("event", event_id)


KINDS: Final = {"person": person, "item": item, "account": account, "event": event}
"""By the word before the colon."""


def _named(kind: str, value: str) -> str:
    clean = value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if len(clean) > LONGEST - len(kind) - 1:
        clean = f"sha256.{sha256(value.encode('utf-8', 'replace')).hexdigest()}"
    return f"{kind}:{clean}"
