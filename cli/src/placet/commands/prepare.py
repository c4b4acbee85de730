"""`placet prepare`."""

# ruff: noqa: PLC0415 - imported when the command runs, so that help is quick
# Imports inside functions: each command starts quickly and loads what it alone needs.
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from placet.output import Exit, fail, stderr
from placet.progress import Shown


class Part(StrEnum):
    """What `placet prepare` does: everything, or one half of it."""

    ALL = "all"
    FILES = "files"
    SERVERS = "servers"


def prepare(
    *,
    folder: Annotated[Path, typer.Option(help="Where keys and files are kept.")],
    kafka: Annotated[str, typer.Option(envvar="PLACET_KAFKA", help="host:port[,host:port]")],
    postgres: Annotated[
        str, typer.Option(envvar="PLACET_POSTGRES", help="DSN of who may make roles and databases.")
    ],
    ledger: Annotated[
        str | None,
        typer.Option(
            envvar="PLACET_LEDGER_POSTGRES", help="The same for the ledger's own server, if any."
        ),
    ] = None,
    vault: Annotated[
        str | None,
        typer.Option(
            envvar="PLACET_VAULT_POSTGRES", help="The same for the vault's own server, if any."
        ),
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option(
            envvar="PLACET_AUDIT_ORIGIN", help="Name of the audit log, for ever; else drawn."
        ),
    ] = None,
    demo_postgres: Annotated[
        str | None,
        typer.Option(
            envvar="PLACET_DEMO_POSTGRES",
            help="Also the demonstration: its business database here, accounts, sample items.",
        ),
    ] = None,
    replication: Annotated[int, typer.Option(min=1, help="Copies of every topic.")] = 3,
    only: Annotated[
        Part, typer.Option(help="files needs no server; servers needs only the keys folder.")
    ] = Part.ALL,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the servers.")] = 60,
) -> None:
    """Make everything the services of a deployment need; harmless when repeated.

    FOLDER/keys holds every key and password, made once and never replaced: keep it safe.
    FOLDER/SERVICE holds that service's own keys and its libpq password file,
    FOLDER/environment/SERVICE.env its variables. All are readable by their owner only.
    On the servers: roles, databases and schemas, the ledger's and the vault's on their own
    servers if there are any, and the topics. Services migrate their own tables when they start.

    Example: [bold]PLACET_KAFKA=kafka:9092 PLACET_POSTGRES=postgresql://postgres:…@db/postgres
    placet prepare --folder /var/lib/placet[/bold]
    """
    from placet.preparing import Deployment, OriginError

    deployment = Deployment(
        folder=folder.absolute(),
        kafka=kafka,
        postgres=postgres,
        ledger=ledger,
        vault=vault,
        origin=origin,
    )
    report = Shown()
    try:
        if only is not Part.SERVERS:
            deployment.write_files(report)
        if only is not Part.FILES:
            deployment.prepare_servers(report, replication=replication, patience=wait)
    except OriginError as error:
        raise fail(str(error), Exit.USAGE) from error
    if demo_postgres and only is Part.ALL:
        deployment.demonstrate(report, demo_postgres, patience=wait)
        stderr().print(f"Accounts and their passwords: {deployment.accounts_file}")
