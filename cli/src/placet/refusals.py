"""What an error means for the person at the terminal. Pure.

Owns which errors are said in a sentence. Everything else is a bug and shows its traceback.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import httpx
import psycopg
from confluent_kafka import KafkaException

from contract.targets import ConfigError
from conveyor.errors import UnavailableError
from conveyor.keys import KeyFileError
from placet.api import ApiError
from placet.home import HomeError
from placet.output import Exit
from placet.programs import UnknownRoleError
from placet.publishing import LineError
from placet.servers.jars import JarError, LockFileError
from placet.servers.ports import NoPortError
from placet.servers.process import ServerError
from placet.session import NoAccountError
from placet.stack import BusyError

_SAID: Final = (
    BusyError,
    ConfigError,
    HomeError,
    JarError,
    KeyFileError,
    LineError,
    LockFileError,
    NoAccountError,
    NoPortError,
    ServerError,
    UnavailableError,
    UnknownRoleError,
)
"""Errors whose message is written for the person at the terminal."""

_HINTS: Final[Mapping[str, str]] = {
    "ALREADY_DECIDED": "Somebody was faster. Look at it: placet item ITEM_ID",
    "REVISION_SUPERSEDED": "A newer proposal has come. Look at it: placet item ITEM_ID",
    "CLAIMED": "Somebody else is working on it.",
    "SECOND_APPROVAL_REQUIRED": "A critical item needs two different people.",
    "EVIDENCE_NOT_OPENED": "Look at it: placet item ITEM_ID --evidence",
    "PASSWORD_NEEDED": "Sign in anew on the page: this account has no password here.",
    "WRONG_PASSWORD": "The password that was given again is not this account's.",
    "HOLD_OVER": "It is too late to take it back: the write has started.",
}
_SHOWN: Final = ("detail", "by", "action", "at", "kept", "next", "request_id")
_LOOK: Final = "Is it up? placet status"


def explain(error: Exception) -> tuple[str, Exit] | None:
    """The message to print and how the command ends; None for a bug."""
    match error:
        case ApiError():
            return _refusal(error)
        case httpx.TransportError():
            return f"review-api does not answer: {error}\n{_LOOK}", Exit.FAILED
        case KafkaException():
            return f"Kafka: {error.args[0].str()}\n{_LOOK}", Exit.FAILED
        case psycopg.OperationalError():
            return f"PostgreSQL: {error}\n{_LOOK}", Exit.FAILED
        case _ if isinstance(error, _SAID):
            return str(error), Exit.FAILED
        case _:
            return None


def _refusal(error: ApiError) -> tuple[str, Exit]:
    lines = [str(error)]
    lines += [
        f"{name}: {error.problem[name]}" for name in _SHOWN if error.problem.get(name) is not None
    ]
    if hint := _HINTS.get(error.code) or _by_status(error.status):
        lines.append(hint)
    denied = error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    return "\n".join(lines), Exit.NOT_ALLOWED if denied else Exit.FAILED


def _by_status(status: int) -> str | None:
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return "Sign in as somebody who may: --as USERNAME, or PLACET_USERNAME and _PASSWORD."
        case HTTPStatus.FORBIDDEN:
            return "This account's role may not do that; try another one with --as USERNAME."
        case HTTPStatus.NOT_FOUND:
            return "There is no such thing. What there is: placet items"
        case _:
            return None
