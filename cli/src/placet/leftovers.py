"""Processes of a stack that nobody watches any more, because supervisord was killed.

Owns finding and ending them. Every process of a stack carries `PLACET_STACK_ID` in its
environment; nothing is ever ended by its name.
"""

import signal
from typing import Final

import psutil

from placet.programs import POSTGRES, PROCESS_NAME, STACK_ID

_PATIENCE: Final = 12.0


def find(stack_id: str) -> list[psutil.Process]:
    """Every process that was started for this stack and still runs."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get(STACK_ID) == stack_id:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            continue  # gone meanwhile, or somebody else's
    return found


def end(stack_id: str) -> list[int]:
    """End them, politely first, and return their pids. Blocks until all are gone."""
    found = find(stack_id)
    for process in found:
        try:
            # PostgreSQL: SIGTERM would wait for its clients, SIGINT does not.
            name = process.environ().get(PROCESS_NAME)
            process.send_signal(signal.SIGINT if name == POSTGRES else signal.SIGTERM)
        except psutil.NoSuchProcess:
            continue
    _, stubborn = psutil.wait_procs(found, timeout=_PATIENCE)
    for process in stubborn:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(stubborn, timeout=_PATIENCE)
    return [process.pid for process in found]
