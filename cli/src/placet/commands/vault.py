"""`placet vault`: the keys that everything personal is under. Local, with the owner's rights."""

# ruff: noqa: PLC0415 - imported when the command runs, so that help is quick
# Imports inside functions: each command starts quickly and loads what it alone needs.
import getpass
from pathlib import Path
from typing import Annotated, Any

import typer

from placet.output import Exit, JsonOption, NoInputOption, YesOption, fail, print_json, stderr

app = typer.Typer(no_args_is_help=True, help="Keys of people and items: count, rotate, destroy.")

Dsn = Annotated[
    str | None,
    typer.Option(
        "--vault",
        envvar="PLACET_VAULT_OWNER",
        help="DSN of the role that owns the vault; else the local stack's.",
    ),
]
KeyFileOption = Annotated[
    Path | None,
    typer.Option(envvar="PLACET_VAULT_KEY_FILE", help="The key file; else the local stack's."),
]


@app.command()
def status(
    *, vault: Dsn = None, key_file: KeyFileOption = None, as_json: JsonOption = False
) -> None:
    """Count keys, destroyed ones, and those that an older line of the key file wraps."""
    from vault.keys import KeyFile
    from vault.store import Store

    keys = KeyFile(_key_file(key_file))
    with Store(_owner(vault), "placet vault") as store:
        there, destroyed, older = store.counts(keys.current)
        needed = store.keks()
    told: dict[str, Any] = {
        "keys": there,
        "destroyed": destroyed,
        "wrapped_by_older": older,
        "current": keys.current,
        "in_file": keys.ids,
        "missing_in_file": [one for one in needed if not keys.has(one)],
    }
    if as_json:
        print_json(told)
    else:
        console = stderr()
        console.print(f"{there} keys, {destroyed} destroyed; {older} wrapped by an older key")
        console.print(f"{keys.path}: {', '.join(keys.ids)}", highlight=False)
    if told["missing_in_file"]:
        raise fail(keys.lacks(told["missing_in_file"][0]))


@app.command()
def rotate(
    *,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="First step: put a new key into the file.")
    ] = False,
    drop_old: Annotated[
        bool, typer.Option("--drop-old", help="Last step: take older keys out of the file.")
    ] = False,
    vault: Dsn = None,
    key_file: KeyFileOption = None,
) -> None:
    """Wrap every key by the first key of the file. Data keys stay; services go on.

    Three steps: [bold]--new-key[/bold], and give the file to every service and start it again;
    then without an option; then [bold]--drop-old[/bold].
    """
    from vault import rotation
    from vault.keys import KeyFile
    from vault.store import Store

    if new_key and drop_old:
        raise fail("--new-key is the first step, --drop-old the last", Exit.USAGE)
    keys = KeyFile(_key_file(key_file))
    if new_key:
        current = keys.create()
        stderr().print(f"{keys.path}: {current} comes first now. Give the file to every service.")
        return
    with Store(_owner(vault), "placet vault") as store:
        count = rotation.finish(store, keys)
        stderr().print(f"{count} keys are wrapped by {keys.current} now.")
    if drop_old:
        for kek_id in keys.ids[1:]:
            keys.destroy(kek_id)
            stderr().print(f"{keys.path}: {kek_id} is gone.")


@app.command()
def destroy(
    subject: Annotated[str, typer.Argument(help="person:TOKEN, item:ID, account:ID or event:ID")],
    *,
    reason: Annotated[str, typer.Option(help="Why; it stays with the tombstone.")],
    actor: Annotated[
        str, typer.Option("--actor", help="Who asks for it; else whoever is logged in here.")
    ] = "",
    vault: Dsn = None,
    yes: YesOption = False,
    no_input: NoInputOption = False,
) -> None:
    """Destroy a key for ever: what is under it can be read by nobody any more."""
    from vault import subjects
    from vault.store import Store

    kind, _, name = subject.partition(":")
    if not name or not reason.strip() or kind not in subjects.KINDS:
        raise fail("Say person:, item:, account: or event: and a name, and why", Exit.USAGE)
    dsn = _owner(vault)
    if not yes and (no_input or not typer.confirm(f"Destroy the key of {subject} for ever?")):
        raise fail("Nothing was destroyed", Exit.DECLINED)
    with Store(dsn, "placet vault") as store:
        first = store.destroy(subjects.KINDS[kind](name), reason, actor or getpass.getuser())
    stderr().print("Destroyed." if first else "It was destroyed before.")


def _owner(given: str | None) -> str:
    from placet import databases
    from placet.home import Home
    from placet.keys import Keys
    from placet.state import State

    if given:
        return given
    home = Home.of()
    state, keys = State.load(home), Keys(home.keys)
    if state is None or state.postgres is None or not keys.database_passwords.exists():
        raise fail("Say where the vault is: --vault DSN, as the role that owns it", Exit.USAGE)
    password = keys.passwords()[databases.VAULT_OWNER]
    return databases.with_role(state.postgres, databases.VAULT, databases.VAULT_OWNER, password)


def _key_file(given: Path | None) -> Path:
    from placet.home import Home
    from placet.keys import Keys

    return given or Keys(Home.of().keys).vault
