"""The web half of the desk, and `add-account`. Wires, and nothing else."""

import argparse
import asyncio
import sys
from functools import partial
from pathlib import Path

import structlog
import uvicorn

from conveyor import logs
from conveyor.process import stop_on_signals
from review_api.app import create_app
from review_api.commands.people import People, new_account, person_named
from review_api.commands.policy_file import install
from review_api.desk import build
from review_api.problems import ProblemError
from review_api.ready import migrate_when_there, when_there
from review_api.settings import AccountSettings, ApiSettings
from review_api.store import Store

log = structlog.get_logger()

_GRACE = 5


def main() -> None:
    """Serve, or make an account."""
    arguments = _arguments(sys.argv[1:])
    sys.exit(_add_account(arguments) if arguments.command == "add-account" else _serve())


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("placet-review-api", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="serve pages and API (the default)")
    add = commands.add_parser("add-account", help="make an account, or set its password and roles")
    add.add_argument("--username", required=True)
    add.add_argument("--name", required=True)
    add.add_argument("--role", action="append", required=True, dest="roles")
    add.add_argument("--password-file", required=True, type=Path)
    add.add_argument("--person", help="whose account it is: an id, or any name for them")
    return parser.parse_args(argv)


def _serve() -> int:
    settings = ApiSettings.model_validate({})
    logs.configure("review-api", settings.log_level)
    desk, stop = build(settings), stop_on_signals()
    if not migrate_when_there(settings.database, stop):
        return 0
    if not when_there(partial(install, settings), stop):
        return 0
    log.info("started", url=settings.public_url)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(desk),
            host=settings.host,
            port=settings.port,
            loop="uvloop",
            http="httptools",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=_GRACE,
        )
    )
    server.run()  # takes the signals over; returns after SIGTERM and the grace period
    return 0 if server.started else 1


def _add_account(arguments: argparse.Namespace) -> int:
    settings = AccountSettings.model_validate({})
    logs.configure("review-api", settings.log_level)
    if not migrate_when_there(settings.database, stop_on_signals()):
        return 1
    return asyncio.run(_ensure(settings, arguments))


async def _ensure(settings: AccountSettings, arguments: argparse.Namespace) -> int:
    password = arguments.password_file.read_text("utf-8").rstrip("\r\n")
    person = None if arguments.person is None else person_named(arguments.person)
    store = Store(settings.database, 1)
    await store.open()
    try:
        new = new_account(arguments.username, arguments.name, arguments.roles, password, person)
        added = await People(store=store, digester=settings.digester()).ensure(new)
    except ProblemError as error:
        log.error("account_refused", code=error.code, detail=error.detail)  # noqa: TRY400 - no bug
        return 1
    finally:
        await store.close()
    log.info("account_added" if added else "account_changed", username=arguments.username)
    return 0


if __name__ == "__main__":
    main()
