"""Ports on loopback that nobody uses, kept for a server's life.

Owns the choice and its file. Refuses the kernel's ephemeral range: a port from there can be
taken by somebody's outgoing connection while a killed server restarts.
"""

import json
import os
import secrets
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"
_LOWEST: Final = 15_000
_HIGHEST: Final = 32_000
_TRIES: Final = 200


class NoPortError(Exception):
    """No free port was found; look at what listens on this machine (`ss -ltn`)."""


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers bind: a port in TIME_WAIT is free to them.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def free_port(taken: Iterable[int] = ()) -> int:
    """A port nobody listens on and that is not in `taken`."""
    avoid = set(taken)
    for _ in range(_TRIES):
        port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST)
        if port not in avoid and is_free(port):
            return port
    raise NoPortError(f"no free port between {_LOWEST} and {_HIGHEST}")


def kept_ports(file: Path, names: Iterable[str]) -> dict[str, int]:
    """The ports of `names`: those written in `file`, new ones for names it lacks.

    A kept port that somebody else has taken meanwhile is replaced, so call this only while
    the servers are down.
    """
    ports: dict[str, int] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    for name in names:
        if name not in ports or not is_free(ports[name]):
            ports[name] = free_port(ports.values())
    write_atomically(file, json.dumps(ports, indent=1) + "\n")
    return ports


def write_atomically(file: Path, text: str, mode: int = 0o600) -> None:
    """Replace `file` whole: a crash leaves the old text or the new, never half."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
    beside.replace(file)
