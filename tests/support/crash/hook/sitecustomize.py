"""Python imports this at its start, where this folder is on PYTHONPATH: see `tests.support.crash`.

Does nothing unless CRASH_PLAN names a plan folder and this is one of the processes to be crashed.
"""

import os
from pathlib import Path

_PLAN, _PROCESS = os.environ.get("CRASH_PLAN"), os.environ.get("PLACET_PROCESS", "")

if _PLAN and _PROCESS.startswith(("review-", "dispatcher-")):
    from tests.support.crash.importing import install
    from tests.support.crash.rules import MODULES

    install(Path(_PLAN), _PROCESS, MODULES)
