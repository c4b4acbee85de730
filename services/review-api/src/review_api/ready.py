"""Bring the schema up to date, as soon as the database is there."""

import threading
from collections.abc import Callable
from importlib.resources import files
from typing import Final

import structlog

from conveyor.database import unavailable_database
from conveyor.errors import UnavailableError
from conveyor.migrate import migrate

log = structlog.get_logger()

SCHEMA: Final = "review"
_PAUSE: Final = 0.5


def migrate_when_there(dsn: str, stop: threading.Event) -> bool:
    """Wait for the database and migrate. False: told to stop before that."""
    return when_there(
        lambda: migrate(dsn, SCHEMA, files("review_api").joinpath("migrations")), stop
    )


def when_there(do: Callable[[], object], stop: threading.Event) -> bool:
    """Do something with the database as soon as it answers. False: told to stop before that."""
    while not stop.is_set():
        try:
            with unavailable_database():
                do()
        except UnavailableError as error:
            log.warning("unavailable", error=str(error))
            stop.wait(_PAUSE)
        else:
            return True
    return False
