"""The keys of the desk: what each does, and which ones somebody chose instead. Pure.

Owns the list, and what can be a key: one character that is no digit (a digit answers a dialog) and
no space. A key does one thing; a thing may have none. Single keys can be switched off altogether
(WCAG 2.1.4).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from review_api.problems import Code, ProblemError

USUAL: Final[Mapping[str, tuple[str, str]]] = {
    "approve": ("a", "Approve"),
    "reject": ("r", "Reject, then a number for the reason"),
    "ask": ("i", "Ask for information, then a number"),
    "comment": ("c", "Comment"),
    "edit": ("e", "Edit the first field"),
    "evidence": ("o", "Open the evidence, where approving takes it"),
    "next": ("j", "Next item"),
    "previous": ("k", "Previous item"),
    "skip": ("s", "Skip"),
    "select": ("x", "Select, or not, for several at once"),
    "reject_many": ("b", "Reject what is selected: asks first"),
    "take_back": ("z", "Take back, while it is held"),
    "search": ("/", "Search"),
    "help": ("?", "This list"),
}
"""What there is a key for, by name: the usual key, and words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keymap:
    """Somebody's keys: by name of what they do; empty where it has none."""

    on: bool = True
    keys: Mapping[str, str] = field(
        default_factory=lambda: {name: key for name, (key, _) in USUAL.items()}
    )

    def key(self, name: str) -> str:
        """Return the key that does `name`; empty: none does."""
        return self.keys[name]

    def listed(self) -> list[tuple[str, str, str]]:
        """Return name, key and words of everything, in order."""
        return [(name, self.keys[name], words) for name, (_, words) in USUAL.items()]

    def text(self) -> str:
        """Return it as it is kept."""
        return orjson.dumps({"on": self.on, "keys": dict(self.keys)}).decode()


def keymap_of(text: str | None) -> Keymap:
    """Return what was kept; what it does not name has its usual key where that is free."""
    if text is None:
        return Keymap()
    kept: dict[str, Any] = orjson.loads(text)
    chosen = {name: key for name, key in kept["keys"].items() if name in USUAL}
    taken = set(chosen.values())
    rest = {
        name: "" if key in taken else key for name, (key, _) in USUAL.items() if name not in chosen
    }
    return Keymap(on=kept["on"], keys=chosen | rest)


def chosen_keys(keys: Mapping[str, str], *, on: bool) -> Keymap:
    """Return the keymap of `keys` by name.

    Raises:
        ProblemError: BAD_VALUE, something is no key, or does two things.
    """
    seen: dict[str, str] = {}
    for name in USUAL:
        key, words = keys.get(name, ""), USUAL[name][1].split(",")[0]
        if not key:
            continue
        if len(key) != 1 or not key.isprintable() or key.isspace() or key.isdigit():
            raise ProblemError(Code.BAD_VALUE, f"“{words}” takes one character that is no digit.")
        if key in seen:
            raise ProblemError(Code.BAD_VALUE, f"“{key}” cannot do both {seen[key]} and {words}.")
        seen[key] = words
    return Keymap(on=on, keys={name: keys.get(name, "") for name in USUAL})
