"""`placet items | item | decide | people`: the desk in a terminal."""

# ruff: noqa: PLC0415 - imported when the command runs, so that help is quick
# Imports inside functions: each command starts quickly and loads what it alone needs.
import uuid
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

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
    username: As = None,
    output: OutputOption = Output.TABLE,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show one item: the change, the model's answer sentence by sentence, its history.

    Example: [bold]placet item b6e87070-6681-5338-b243-fdb88f23e92e[/bold]
    """
    from placet.session import sign_in

    with sign_in(username, default="reviewer") as api:
        found = api.call("GET", f"/api/items/{item_id}")
    if chosen(output, as_json=as_json) is Output.TABLE:
        from placet.item_view import item_view

        stdout().print(item_view(found))
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
    username: As = None,
    output: OutputOption = Output.TABLE,
    as_json: JsonOption = False,
) -> None:
    """Decide on an item as it is now; what you have not seen cannot be decided.

    Examples: [bold]placet decide ITEM_ID approve[/bold] ·
    [bold]placet decide ITEM_ID reject --reason-code UNSUPPORTED[/bold] ·
    [bold]placet decide ITEM_ID undo[/bold] (an approver writes the old value back)
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
        answer = api.call(
            "POST",
            f"/api/items/{item_id}/decisions",
            {name: value for name, value in body.items() if value is not None},
            headers={"Idempotency-Key": str(uuid.uuid4())},
        )
    if chosen(output, as_json=as_json) is Output.TABLE:
        stdout().print(f"{answer['state']}  decision {answer.get('decision_id') or '-'}")
        for write in answer.get("write_backs", []):
            stdout().print(f"  {write['step']}: {write['state']}  {write['write_back_id']}")
    else:
        print_json(answer)


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
