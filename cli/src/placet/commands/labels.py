"""`placet labels export`: what people decided, as labelled data."""

# ruff: noqa: PLC0415 - imported when the command runs, so that help is quick
# Imports inside functions: each command starts quickly and loads what it alone needs.
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import typer

from placet.output import Exit, fail, stderr

app = typer.Typer(no_args_is_help=True, help="Corrections as labelled data.")

_EVERY: Final = 100  # lines between two looks of whoever waits


@app.callback()
def _labels() -> None:
    """Corrections as labelled data."""


@app.command("export")
def export(
    file: Annotated[Path | None, typer.Argument(help="Where to; without it, to stdout.")] = None,
    *,
    since: Annotated[
        str | None,
        typer.Option(help="Decided from then on: 2026-11-24, or decided_at of a line; UTC."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Decided before then.")] = None,
    source: Annotated[str | None, typer.Option(help="Of this pipeline alone.")] = None,
    cursor: Annotated[
        str | None, typer.Option(help="After the line that holds this cursor.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after the last line of FILE.")
    ] = False,
    username: Annotated[
        str | None, typer.Option("--as", metavar="USERNAME", help="Sign in as this account.")
    ] = None,
) -> None:
    """Write every decision that stands as one JSON object a line, oldest first.

    A line holds prompt, retrieval, output, decision, edited_fields (proposed and final), reason
    code and roles; no names and no comments. Decisions that can still be taken back are not there
    yet. An undo is a line of its own. Every export is on the audit log.

    Examples: [bold]placet labels export labels.jsonl --since 2026-11-01[/bold] ·
    [bold]placet labels export labels.jsonl --resume[/bold] (what has come since, every night) ·
    [bold]placet labels export --source support-rag | jq .edited_fields[/bold]
    """
    if resume and (file is None or cursor):
        raise typer.BadParameter("--resume needs a FILE, and takes the cursor from it")
    from placet.labels import LabelsError, opened

    with ExitStack() as stack:
        out: BinaryIO = sys.stdout.buffer
        if file is not None:
            try:
                out, known = opened(file, resume=resume)
            except LabelsError as error:
                raise fail(str(error), Exit.USAGE) from error
            except OSError as error:
                raise fail(f"{file}: {error.strerror}") from error
            stack.enter_context(out)
            cursor = known or cursor
        asked = {"since": since, "until": until, "source": source, "cursor": cursor}
        asked["limit"] = str(limit) if limit else None
        _export(out, {k: v for k, v in asked.items() if v}, file, username)


def _export(
    out: BinaryIO, asked: Mapping[str, str], file: Path | None, username: str | None
) -> None:
    from placet.labels import cursor_of, whole_lines
    from placet.session import sign_in

    count, last = 0, b""
    try:
        with (
            sign_in(username, default="auditor") as api,
            api.stream("/api/labels", asked) as chunks,
        ):
            for line in _watched(whole_lines(chunks)):
                out.write(line)
                count, last = count + 1, line
        out.flush()
    except BrokenPipeError:
        # Whoever reads has had enough; Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Exit.FAILED) from None
    except BaseException:  # also where somebody interrupts it
        out.flush()
        if last:
            on = f"{file} --resume" if file else f"--cursor {cursor_of(last)}"
            said = f"{count:,} labels before it ended. Go on: placet labels export {on}"
            stderr().print(said, soft_wrap=True, markup=False, highlight=False)
        raise
    words = "label" if count == 1 else "labels"
    place = f" in {file}" if file else ""
    stderr().print(f"{count:,} {words}{place}.", markup=False, highlight=False)


def _watched(lines: Iterable[bytes]) -> Iterable[bytes]:
    """`lines`; on a terminal somebody sees how many there were."""
    console = stderr()
    if not console.is_terminal:
        yield from lines
        return
    with console.status("asking for labels …") as status:
        for number, line in enumerate(lines, 1):
            yield line
            if number % _EVERY == 0:
                status.update(f"{number:,} labels")
