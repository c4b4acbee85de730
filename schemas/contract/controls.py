"""What operators can ask for on `placet.controls`, by name. Pure.

Sign-ins, people and policy are told there too; nobody acts on those.
"""

from enum import StrEnum
from typing import Final

PAUSED: Final = "PAUSED"
"""Scope: a target's name. Its dispatcher begins nothing until RESUMED."""
RESUMED: Final = "RESUMED"
UNSTUCK: Final = "UNSTUCK"
"""Scope: a write-back's id. Detail: `target`, its name, and `action`, a `Resolution`."""
EXPORTED: Final = "EXPORTED"
"""Scope: what left (`labels`). Detail: which part of it was asked for. Nobody acts on it."""


class Resolution(StrEnum):
    """What a person decided of a write that is STUCK."""

    ADOPT = "adopt"  # it is in the target
    RESEND = "resend"  # try again, under the same key
    GIVE_UP = "give-up"
