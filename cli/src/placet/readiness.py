"""Is it there yet? Asked of the thing itself, never guessed from the clock.

Owns the questions and the patience. A process that ends again and again is given up early,
with the end of its log.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Final

from placet.home import Home
from placet.progress import Step
from placet.servers.process import ServerError, tail
from placet.supervision import Supervision

_PATIENCE: Final = 90.0
_STARTS: Final = 4
"""So many different processes under one name: it does not stay up."""
_BETWEEN_QUESTIONS: Final = 0.1

Question = Callable[[], bool]


def serves(host: str, port: int, path: str) -> bool:
    """Does this address answer 200? Blocks for two seconds at most.

    Not with httpx: it reads all certificates of the machine for every client, and this is asked
    ten times a second of every service while they fight for the processor to come up.
    """
    connection = HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def wait_for(
    questions: Mapping[str, Question], supervision: Supervision, home: Home, step: Step
) -> None:
    """Ask every process its question until all said yes and count as running.

    Raises:
        ServerError: one failed, keeps ending, or did not answer in time; with its log's end.
    """
    pending = dict(questions)
    pids: dict[str, set[int]] = {name: set() for name in questions}
    deadline = time.monotonic() + _PATIENCE
    while True:
        processes = supervision.processes()
        unsettled = {process.name for process in processes if process.state != "running"}
        pending = {name: ask for name, ask in pending.items() if name in unsettled or not ask()}
        step.advance(len(questions) - len(pending), len(questions))
        step.say(_waiting(list(pending)))
        if not pending:
            return
        for process in processes:
            if process.name in pending:
                pids[process.name].update({process.pid} if process.pid else ())
                if process.state == "failed" or len(pids[process.name]) >= _STARTS:
                    raise _gave_up(process.name, "does not stay up", home)
        if time.monotonic() > deadline:
            raise _gave_up(next(iter(pending)), f"did not answer in {_PATIENCE:.0f} s", home)
        # Between two questions, not instead of one: a refused connection answers at once.
        time.sleep(_BETWEEN_QUESTIONS)


def _waiting(names: Sequence[str]) -> str:
    """Short enough to stand beside a bar."""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"waiting for {names[0]}{more}" if names else ""


def _gave_up(name: str, what: str, home: Home) -> ServerError:
    log = home.log(name)
    return ServerError(
        f"{name} {what}. The end of its log:\n\n{tail(log)}\n\n"
        f"The whole log: {log}. Then: placet doctor. To start from nothing: placet reset."
    )
