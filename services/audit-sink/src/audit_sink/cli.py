"""The command group `placet audit`, put together from `commands`.

`build` makes it for a command line that knows better defaults; `app` takes them from the
environment and the folder of a local stack.
"""

import typer

from audit_sink.commands import archive, export, gaps, lock_check, prove, search, show, tail, verify
from audit_sink.whereabouts import Defaults, FindDefaults, environment_defaults

__all__ = ["Defaults", "app", "build"]


def build(find_defaults: FindDefaults = environment_defaults) -> typer.Typer:
    """Return the command group `audit`."""
    app = typer.Typer(no_args_is_help=True, help="The sealed log: check it, read it.")
    for command in (verify, tail, prove, show, search, export, gaps, archive, lock_check):
        command.add(app, find_defaults)
    return app


app = build()
