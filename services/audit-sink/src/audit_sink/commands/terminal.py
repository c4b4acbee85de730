"""How the commands speak and end: exit codes, JSON, errors, and text of strangers made harmless.

0 all is well, 1 could not be done, 2 usage, 6 verification failed. In JSON mode stdout holds JSON
only. Refuses to know what is printed.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import psycopg
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from audit_sink.checkpoint import CheckpointError, KeyTextError, PublicKey, parse_public_key
from audit_sink.folder import FileProblemError
from audit_sink.payload import PayloadError
from audit_sink.source import NoSuchRecordError
from audit_sink.store import LogDamagedError
from audit_sink.tlog_proof import ProofError
from conveyor.errors import UnavailableError
from conveyor.keys import KeyFileError, Verifier

FAILED: Final = 1
USAGE: Final = 2
NOT_VERIFIED: Final = 6
_MAX_KEY_FILE: Final = 4_096

FilesOption = Annotated[
    Path | None,
    typer.Option("--from", help="Folder with `checkpoint` and `tile/`.", metavar="FILES"),
]
KeyOption = Annotated[
    str | None, typer.Option(help="The log's public key: vkey text, or a file with it.")
]
DatabaseOption = Annotated[str | None, typer.Option(help="DSN of the hot store.")]
LedgerOption = Annotated[
    str | None, typer.Option(help="DSN of the ledger; without it: NOT CHECKED.")
]
DecisionKeysOption = Annotated[
    Path | None,
    typer.Option(help="PEM file, or folder of them: the public keys that sign decisions."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Same as --output json.")]


class Output(StrEnum):
    """How answers are printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


OutputOption = Annotated[Output, typer.Option("--output", "-o")]


def console() -> Console:
    """Return where errors and progress go."""
    return Console(stderr=True)


def stopped(code: int, message: str) -> typer.Exit:
    """Say why the command ends, and return what ends it."""
    console().print(f"[red]{plain(message)}[/red]", highlight=False, soft_wrap=True)
    return typer.Exit(code)


def not_verified(problem: str, *, json: bool) -> typer.Exit:
    """Say what is wrong with the evidence, and return what ends the command: 6."""
    if json:
        print_json({"ok": False, "problem": problem})
    else:
        line = f"[bold red]NOT VERIFIED[/bold red] {plain(problem)}"
        console().print(line, highlight=False, soft_wrap=True)
    return typer.Exit(NOT_VERIFIED)


def harmless(text: str) -> str:
    """Return text of strangers without anything a terminal obeys."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def plain(text: str) -> str:
    """Return text of strangers as rich prints it: harmless, and no markup."""
    return harmless(text).replace("[", r"\[")


def print_json(value: Any, *, line: bool = False) -> None:
    """Print one JSON document; on one line for `jsonl`."""
    option = orjson.OPT_APPEND_NEWLINE | (0 if line else orjson.OPT_INDENT_2)
    sys.stdout.write(orjson.dumps(value, option=option).decode())


def read_key(given: str | None) -> PublicKey:
    """Return the key that the text, or the file it names, holds. Ends with 2 where none is."""
    if given is None:
        raise stopped(USAGE, "Say which key: --key VKEY or a file that holds it")
    try:
        try:
            return parse_public_key(given)
        except KeyTextError:
            path = Path(given)
            if not path.is_file():
                raise
        with path.open("rb") as file:
            return parse_public_key(file.read(_MAX_KEY_FILE).decode("utf-8", "replace"))
    except (KeyTextError, OSError, ValueError) as error:
        raise stopped(USAGE, f"{given[:200]}: no key: {error}") from error


def there(path: Path | None) -> Path | None:
    """Return a default place if there is something."""
    return path if path is not None and path.exists() else None


def has_key(text: str | None) -> bool:
    """Tell whether a default says a key, or names a file there is."""
    if text is None:
        return False
    try:
        parse_public_key(text)
    except KeyTextError:
        return Path(text).is_file()
    return True


def read_decision_keys(path: Path | None) -> Verifier | None:
    """Return the keys in a PEM file or folder; None for None. Ends with 2 where there are none."""
    if path is None:
        return None
    try:
        return Verifier.load(path)
    except (KeyFileError, OSError, ValueError) as error:
        raise stopped(USAGE, f"{path}: no decision keys: {error}") from error


def read_file(path: Path, most: int) -> bytes:
    """Return a file of at most `most` bytes. Ends with 1 where it cannot be read, 6 if longer."""
    try:
        if not path.is_file():
            raise stopped(FAILED, f"{path}: no file")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise stopped(FAILED, f"{path}: cannot be read: {error}") from error
    if len(data) > most:
        raise stopped(NOT_VERIFIED, f"{path}: longer than the {most} bytes that belong there")
    return data


def write_file(path: Path, data: bytes) -> None:
    """Write a file that was not there. Ends with 1 where that cannot be."""
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError as error:
        raise stopped(FAILED, f"{path}: is there already; nothing was overwritten") from error
    except (OSError, ValueError) as error:
        raise stopped(FAILED, f"{path}: cannot be written: {error}") from error


@contextmanager
def told(*, json: bool = False) -> Iterator[None]:
    """Say what cannot be read (1) or does not convince (6), instead of a traceback."""
    try:
        yield
    except (ProofError, CheckpointError, PayloadError, LogDamagedError) as error:
        raise not_verified(str(error), json=json) from error
    except NoSuchRecordError as error:
        raise stopped(FAILED, str(error.args[0])) from error
    except psycopg.errors.UndefinedTable as error:
        message = "The hot store is of an older release, or no audit log: run this audit-sink once"
        raise stopped(FAILED, message) from error
    except (UnavailableError, psycopg.Error, FileProblemError, ValueError) as error:
        raise stopped(FAILED, str(error)) from error
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show progress on stderr where it is a terminal."""
    shown = console()
    if not shown.is_terminal:
        yield lambda _done, _all: None
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=shown, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
