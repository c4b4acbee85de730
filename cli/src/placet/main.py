"""The command line: puts the commands together and says what went wrong in one way."""

import os
import sys
from typing import Final

import typer

from placet.commands import (
    control_items,
    desk,
    doctor,
    kafka,
    labels,
    prepare,
    stack,
    stop,
    targets,
    vault,
)
from placet.output import Exit, fail

app = typer.Typer(
    name="placet",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A person's decision between a model and a business system.\n\n"
    "First time: [bold]placet up --demo[/bold]",
)
_COMPLETING: Final = "_PLACET_COMPLETE"
_STACK: Final = "The local stack"
_DESK: Final = "The desk"
_OPERATIONS: Final = "Operations"

app.command(rich_help_panel=_STACK)(stack.up)
app.command(rich_help_panel=_STACK)(stack.down)
app.command(rich_help_panel=_STACK)(stack.status)
app.command(rich_help_panel=_STACK)(stack.logs)
app.command(rich_help_panel=_STACK)(stack.reset)
app.command(rich_help_panel=_STACK)(doctor.doctor)
app.command(rich_help_panel=_DESK)(kafka.publish)
app.command(rich_help_panel=_DESK)(desk.items)
app.command(rich_help_panel=_DESK)(desk.item)
app.command(rich_help_panel=_DESK)(desk.decide)
app.add_typer(desk.people, name="people", rich_help_panel=_DESK)
app.add_typer(labels.app, name="labels", rich_help_panel=_DESK)
app.add_typer(control_items.app, name="control-items", rich_help_panel=_DESK)
app.command(rich_help_panel=_OPERATIONS)(prepare.prepare)
app.command(rich_help_panel=_OPERATIONS)(kafka.topics)
app.command(rich_help_panel=_OPERATIONS)(kafka.lag)
app.add_typer(kafka.dead_letters, name="dead-letters", rich_help_panel=_OPERATIONS)
app.command(rich_help_panel=_OPERATIONS)(stop.stop)
app.command(rich_help_panel=_OPERATIONS)(stop.resume)
app.add_typer(targets.app, name="targets", rich_help_panel=_OPERATIONS)
app.add_typer(vault.app, name="vault", rich_help_panel=_OPERATIONS)


def _audit_commands() -> typer.Typer:
    """audit-sink's commands; only their name unless one of them was typed.

    Loading them takes longer than everything else here together.
    """
    if "audit" in sys.argv[1:2] or _COMPLETING in os.environ:
        from placet.commands.audit import app as commands  # noqa: PLC0415

        return commands
    return typer.Typer(help="The sealed log: check it, read it.")


def main() -> None:
    """Run the command line; ends the process with one of `Exit`."""
    app.add_typer(_audit_commands(), name="audit", rich_help_panel=_OPERATIONS)
    try:
        app(prog_name="placet")
    except typer.Exit as ending:  # of `fail`, raised outside a command
        sys.exit(ending.exit_code)
    except KeyboardInterrupt:
        sys.exit(Exit.FAILED)
    except Exception as error:
        from placet.refusals import explain  # noqa: PLC0415 - only now is anything of it needed

        explained = explain(error)
        if explained is None:
            raise  # a bug: its traceback is what we want to see
        sys.exit(fail(*explained).exit_code)


if __name__ == "__main__":
    main()
