"""`placet items | item | decide | people`: the desk in a terminal."""

# ruff: noqa: PLC0415 - imported when the command runs, so that help is quick
# Imports inside functions: each command starts quickly and loads what it alone needs.
import uuid
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from placet.output import (
    JsonOption,
    Output,
    OutputOption,
    chosen,
    fail,
    print_json,
    print_rows,
    stderr,
    stdout,
)

if TYPE_CHECKING:
    from placet.api import Api

As = Annotated[
    str | None, typer.Option("--as", metavar="USERNAME", help="Sign in as this account.")
]
people = typer.Typer(no_args_is_help=True, help="People and their accounts.")


class Action(StrEnum):
    """What a person can decide."""

    APPROVE = "APPROVE"
    REJECT = "REJECT"
    NEED_INFO = "NEED_INFO"
    UNDO = "UNDO"


def items(
    *,
    state: Annotated[str | None, typer.Option(help="Such as PENDING or COMPLETED.")] = None,
    lane: Annotated[str | None, typer.Option(help="ordinary or critical.")] = None,
    source: Annotated[str | None, typer.Option(help="The pipeline.")] = None,
    q: Annotated[str | None, typer.Option("--q", help="Words to look for.")] = None,
    sort: Annotated[str | None, typer.Option(help="Such as due,-risk.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    username: As = None,
    output: OutputOption = Output.TABLE,
    as_json: JsonOption = False,
) -> None:
    """List review items, those due and risky first.

    Examples: [bold]placet items --state PENDING --limit 10[/bold] ·
    [bold]placet items -o jsonl --limit 1000 | jq .item_id[/bold]
    """
    from placet.session import sign_in

    with sign_in(username, default="reviewer") as api:
        filters = {"state": state, "lane": lane, "source": source, "q": q, "sort": sort}
        found = api.items(limit=limit, **filters)
        columns = ["item_id", "state", "record", "risk", "strays"]
        print_rows(
            map(_row, found), chosen(output, as_json=as_json), columns, empty="No such items."
        )


def _row(item: Mapping[str, Any]) -> dict[str, Any]:
    target = item.get("target") or {}
    return {**item, "record": target.get("identifier"), "strays": item.get("divergence")}


def item(
    item_id: Annotated[str, typer.Argument(help="As in placet items.")],
    *,
    evidence: Annotated[
        bool, typer.Option("--evidence", help="Open what it rests on; that is on the audit log.")
    ] = False,
    username: As = None,
    output: OutputOption = Output.TABLE,
    as_json: JsonOption = False,
) -> None:
    """Show one item: the change, the model's answer sentence by sentence, its history.

    Approving what is risky takes a look at its evidence before: --evidence opens and shows it.

    Examples: [bold]placet item b6e87070-6681-5338-b243-fdb88f23e92e[/bold] ·
    [bold]placet item ITEM_ID --evidence[/bold]
    """
    from placet.session import sign_in

    with sign_in(username, default="reviewer") as api:
        opened = api.call("POST", f"/api/items/{item_id}/evidence") if evidence else None
        found = api.call("GET", f"/api/items/{item_id}")
    if chosen(output, as_json=as_json) is Output.TABLE:
        from placet.item_view import evidence_view, item_view

        stdout().print(item_view(found))
        if opened is not None:
            stdout().print(evidence_view(opened))
    else:
        print_json(found)


def decide(
    item_id: Annotated[str, typer.Argument(help="As in placet items.")],
    action: Annotated[Action, typer.Argument(case_sensitive=False)],
    *,
    reason_code: Annotated[
        str | None, typer.Option(help="Needed to REJECT or NEED_INFO, such as UNSUPPORTED.")
    ] = None,
    comment: Annotated[str | None, typer.Option(help="For whoever reads the history.")] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(help="Your password, where a critical lane asks for it again."),
    ] = None,
    username: As = None,
    output: OutputOption = Output.TABLE,
    as_json: JsonOption = False,
) -> None:
    """Decide on an item as it is now; what you have not seen cannot be decided.

    Examples: [bold]placet decide ITEM_ID approve[/bold] ·
    [bold]placet decide ITEM_ID reject --reason-code UNSUPPORTED[/bold] ·
    [bold]placet decide ITEM_ID undo[/bold] (an approver writes the old value back)

    What is critical takes your password again: from --password-file, asked for on a terminal, or
    the one that you sign in with (PLACET_PASSWORD).
    """
    if action in {Action.REJECT, Action.NEED_INFO} and not reason_code:
        raise typer.BadParameter(f"{action} needs --reason-code, such as UNSUPPORTED or OTHER")
    from placet.session import sign_in

    default = "approver" if action is Action.UNDO else "reviewer"
    with sign_in(username, default=default) as api:
        seen = api.call("GET", f"/api/items/{item_id}")
        body = {
            "action": action.value,
            "revision": seen["revision"],
            "seen_digest": seen["seen_digest"],
            "comment": comment,
            "reason_code": reason_code,
        }
        sent = {name: value for name, value in body.items() if value is not None}
        answer = _decided(api, f"/api/items/{item_id}/decisions", sent, password_file)
    if chosen(output, as_json=as_json) is Output.TABLE:
        stdout().print(f"{answer['state']}  decision {answer.get('decision_id') or '-'}")
        for write in answer.get("write_backs", []):
            stdout().print(f"  {write['step']}: {write['state']}  {write['write_back_id']}")
    else:
        print_json(answer)


def _decided(api: "Api", path: str, sent: dict[str, Any], password_file: Path | None) -> Any:
    """Send it; where it takes the password again, the same request with the password."""
    from placet.api import ApiError

    headers = {"Idempotency-Key": str(uuid.uuid4())}
    try:
        return api.call("POST", path, sent, headers=headers)
    except ApiError as error:
        if error.code != "PASSWORD_NEEDED" or error.problem.get("prove") != "password":
            raise
    again = sent | {"password": _password_again(api, password_file)}
    return api.call("POST", path, again, headers=headers)


def _password_again(api: "Api", password_file: Path | None) -> str:
    if password_file is not None:
        return password_file.read_text("utf-8").rstrip("\r\n")
    if typer.get_text_stream("stdin").isatty():
        words = f"This is critical. Password of {api.username} again"
        return str(typer.prompt(words, hide_input=True, err=True))
    return api.password


@people.command("add")
def add(
    username: Annotated[str, typer.Argument(help="What they sign in with.")],
    *,
    name: Annotated[str, typer.Option(help="What others see.")],
    role: Annotated[list[str], typer.Option(help="reviewer, approver, admin, auditor, sre.")],
    person: Annotated[
        str | None, typer.Option(help="An existing person who gets another account.")
    ] = None,
    admin: Annotated[str | None, typer.Option("--as", help="Sign in as this admin.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Add an account; asks for its password (or reads one line from stdin).

    Example: [bold]placet people add maria --name "Maria Silva" --role reviewer[/bold]
    """
    password = _new_password()
    body: dict[str, Any] = {
        "username": username,
        "name": name,
        "roles": role,
        "password": password,
        "person_id": person,
    }
    from placet.session import sign_in

    with sign_in(admin, default="admin") as api:
        answer = api.call(
            "POST",
            "/api/people",
            {key: value for key, value in body.items() if value is not None},
            headers={"Idempotency-Key": str(uuid.uuid4())},
        )
    if as_json:
        print_json(answer)
    else:
        stderr().print(f"{escape(username)} can sign in now.")


def _new_password() -> str:
    stream = typer.get_text_stream("stdin")
    if stream.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    line = stream.readline().rstrip("\n")
    if not line:
        raise fail("no password on stdin")
    return line


__all__ = ["decide", "item", "items", "people"]
