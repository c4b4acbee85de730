"""What is planted: the entries of `mutants.toml`, and how one is applied to a text. Pure but for
reading that one file.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

LIST: Final = Path(__file__).with_name("mutants.toml")
SOURCES: Final = (
    "schemas",
    "libs/conveyor/src",
    "services/intake/src",
    "services/review-api/src",
    "services/dispatcher/src",
    "services/audit-sink/src",
    "cli/src",
    "sandbox/src",
)
"""Where the packages are, below the repository: what PYTHONPATH names."""


class StaleMutantError(ValueError):
    """The text is not there exactly once (any more): bring the entry up to date with the code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One bug. `old` stands in `file` exactly once; `tests` are ids of those meant to fail."""

    name: str
    law: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def module(self) -> str | None:
        """Return the module that `file` is, None where it is no Python."""
        path = PurePosixPath(self.file)
        source = next(one for one in SOURCES if path.is_relative_to(one))
        dotted = ".".join(path.relative_to(source).with_suffix("").parts)
        return dotted if path.suffix == ".py" else None

    def applied(self, text: str) -> str:
        """Return `text` with the bug in it.

        Raises:
            StaleMutantError: `old` is not there exactly once.
        """
        found = text.count(self.old)
        if found != 1:
            raise StaleMutantError(f"{self.name}: found {found} times in {self.file}: {self.old}")
        return text.replace(self.old, self.new)


def mutants(names: Sequence[str] = ()) -> list[Mutant]:
    """Return the mutants of these names, or all.

    Raises:
        KeyError: there is none of that name.
    """
    entries = tomllib.loads(LIST.read_text("utf-8"))["mutant"]
    known = {
        entry["name"]: Mutant(**{**entry, "tests": tuple(entry["tests"])}) for entry in entries
    }
    if len(known) < len(entries):
        raise ValueError("two mutants have one name")
    return [known[name] for name in names] if names else list(known.values())
