"""What an operator asks of this dispatcher. Pure.

Owns which controls are a dispatcher's, and what they ask. The door that they came through
(review-api) checked the role; here is only what they mean.
"""

import re
from dataclasses import dataclass
from typing import Final

from contract.controls import PAUSED, RESUMED, UNSTUCK, Resolution
from contract.events import Control

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Begin nothing until further notice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unstick:
    """A stuck write goes on as a person says."""

    write_back_id: str
    resolution: Resolution
    reason: str


Operated = Pause | Resume | Unstick


class ControlError(ValueError):
    """A control that is for this dispatcher and cannot be understood: it is parked."""


def asked(control: Control, instance: str) -> Operated | None:
    """Return what `control` asks of the dispatcher of `instance`; None: nothing.

    Raises:
        ControlError: it is for this dispatcher, and means nothing.
    """
    if control.control == UNSTUCK:
        return _unstick(control) if control.detail.get("target") == instance else None
    if control.scope != instance or control.control not in {PAUSED, RESUMED}:
        return None
    _check_id("event_id", control.event_id)
    return Pause() if control.control == PAUSED else Resume()


def _unstick(control: Control) -> Unstick:
    _check_id("event_id", control.event_id)
    _check_id("scope", control.scope)
    try:
        resolution = Resolution(control.detail.get("action", ""))
    except ValueError as error:
        raise ControlError(f"{UNSTUCK}: {error}") from error
    if not control.reason:
        raise ControlError(f"{UNSTUCK} needs a reason")
    return Unstick(write_back_id=control.scope, resolution=resolution, reason=control.reason)


def _check_id(name: str, value: str) -> None:
    if not _UUID.fullmatch(value):
        raise ControlError(f"{name} is no lower-case UUID")
