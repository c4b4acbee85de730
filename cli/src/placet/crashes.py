"""What supervisord's log says about processes that ended by themselves. Pure."""

import re
from collections import Counter
from typing import Final

_STARTED: Final = "supervisord started with pid"
_EXITED: Final = re.compile(r"(?:WARN|INFO) exited: (\S+) \(([^)]*); not expected\)")


def crashes(log: str) -> Counter[str]:
    """How often each process ended unasked since supervisord was last started."""
    since = log.rpartition(_STARTED)[2]
    return Counter(found[1] for found in _EXITED.finditer(since))


def last_reasons(log: str) -> dict[str, str]:
    """How each of them ended last, such as `terminated by SIGKILL` or `exit status 1`."""
    since = log.rpartition(_STARTED)[2]
    return {found[1]: found[2] for found in _EXITED.finditer(since)}
