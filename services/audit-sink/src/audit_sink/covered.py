"""Which model outputs the log accounts for: coordinates of what was read, new or repeated. Pure."""

from collections.abc import Iterable
from typing import Final

from contract.events import Origin
from contract.topics import MODEL_OUTPUTS

_ENDLESS: Final = 2**62

Offsets = dict[tuple[str, int], list[int]]


def outputs(origins: Iterable[Origin | None]) -> Offsets:
    """Return the offsets of model outputs among `origins`, by topic and partition.

    The producer of an event is free to write nonsense: only what can be an offset counts.
    """
    covered: Offsets = {}
    for one in origins:
        if one is not None and one.topic == MODEL_OUTPUTS and 0 <= one.offset < _ENDLESS:
            covered.setdefault((one.topic, one.partition), []).append(one.offset)
    return covered


def multirange(numbers: Iterable[int]) -> str:
    """Return the numbers as an int8multirange in text form: `{[1,4),[7,8)}`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number <= runs[-1][1]:
            runs[-1][1] = max(runs[-1][1], number + 1)
        else:
            runs.append([number, number + 1])
    return "{" + ",".join(f"[{start},{end})" for start, end in runs) + "}"
