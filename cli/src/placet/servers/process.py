"""A server as a child process of this one, for tests and scripts.

Owns starting it with its output in a file, and stopping it. Refuses to restart anything:
the local stack leaves that to supervisor.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_STOP_SECONDS: Final = 20.0
_BETWEEN_QUESTIONS: Final = 0.05


class ServerError(Exception):
    """A server did not come up; the message ends with the last lines of its log."""


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log file, or a word that there is none."""
    if not log.exists():
        return "(no log)"
    with log.open("rb") as handle:
        size = handle.seek(0, os.SEEK_END)
        handle.seek(max(0, size - 32_768))
        text = handle.read().decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-lines:]) or "(empty log)"


def wait_until(
    ask: Callable[[], bool], *, alive: Callable[[], bool], what: str, log: Path, seconds: float
) -> None:
    """Ask again and again until the answer is yes; `ask` itself blocks for a moment.

    Raises ServerError as soon as `alive` says no, or after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not ask():
        if not alive():
            raise ServerError(f"{what} ended at once. Its log ({log}):\n{tail(log)}")
        if time.monotonic() > deadline:
            raise ServerError(f"{what} did not answer in {seconds:.0f} s. {log}:\n{tail(log)}")
        # Between two questions, not instead of one: a refused connection answers at once.
        time.sleep(_BETWEEN_QUESTIONS)


@contextmanager
def running(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    user: int | None = None,
    stop_signal: int = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` until the block ends; then its stop signal, and SIGKILL after 20 s."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd="/",
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop(process, stop_signal)


def stop(process: subprocess.Popen[bytes], stop_signal: int = signal.SIGTERM) -> None:
    if process.poll() is None:
        process.send_signal(stop_signal)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
