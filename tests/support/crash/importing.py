"""Puts crash points into modules as a process imports them. Runs inside services.

Owns that nothing of it is kept: bytecode is neither read nor written, so the files of the packages
stay what they are.
"""

import importlib.machinery
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from tests.support.crash.places import CALL, LEAVE, instrumented
from tests.support.crash.trigger import Trigger


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, path: str, trigger: Trigger) -> None:
        super().__init__(fullname, path)
        self._trigger = trigger

    def path_stats(self, path: Any) -> Any:
        raise OSError("no bytecode: it would outlive the test")

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> CodeType:
        tree = instrumented(bytes(data).decode(), self.name)
        return compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__[CALL] = self._trigger.call
        module.__dict__[LEAVE] = self._trigger.leave
        super().exec_module(module)


class Finder:
    """A meta path finder for `modules` alone."""

    def __init__(self, modules: Collection[str], trigger: Trigger) -> None:
        self._modules = frozenset(modules)
        self._trigger = trigger

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self._modules:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None:
            return None
        spec.loader = _Loader(fullname, spec.origin, self._trigger)
        return spec


def install(folder: Path, process: str, modules: Collection[str]) -> None:
    """From now on `modules` are imported with their points."""
    sys.meta_path.insert(0, Finder(modules, Trigger(folder, process)))
