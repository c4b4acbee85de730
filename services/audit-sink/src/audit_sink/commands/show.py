"""`placet audit show`: everything that led to a decision, in order, with what vouches for it."""

import base64
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from audit_sink.commands.opened import Opened, opened
from audit_sink.commands.terminal import (
    FAILED,
    NOT_VERIFIED,
    DatabaseOption,
    DecisionKeysOption,
    FilesOption,
    JsonOption,
    KeyOption,
    LedgerOption,
    Output,
    OutputOption,
    harmless,
    print_json,
    read_decision_keys,
    read_key,
    stopped,
    there,
    told,
)
from audit_sink.evidence import Part, Signing
from audit_sink.story import Chapter, Teller
from audit_sink.whereabouts import FindDefaults
from conveyor.keys import Verifier

_PREVIEW: Final = 400
_QUIET: Final = frozenset({"received", "model", "divergence"})
"""Parts that repeat what others say, or say it in numbers: on a terminal their size is enough."""


def add(app: typer.Typer, find_defaults: FindDefaults) -> None:
    """Add the command."""

    @app.command("show")
    def show_command(
        name: Annotated[str, typer.Argument(help="Decision, item, event, or sequence number.")],
        *,
        part: Annotated[
            str | None, typer.Option(help="Print this one payload part, byte for byte.")
        ] = None,
        full: Annotated[bool, typer.Option(help="Print texts whole.")] = False,
        files: FilesOption = None,
        database: DatabaseOption = None,
        ledger: LedgerOption = None,
        key: KeyOption = None,
        decision_keys: DecisionKeysOption = None,
        output: OutputOption = Output.TABLE,
        as_json: JsonOption = False,
    ) -> None:
        """Show what led to a decision: prompt, snippets, people, statement, write-backs, proofs."""
        defaults = find_defaults()
        public = read_key(defaults.key if key is None else key)
        signers = read_decision_keys(decision_keys or there(defaults.decision_keys))
        json = as_json or output is not Output.TABLE
        with (
            told(json=json),
            opened(defaults, public, files=files, database=database, ledger=ledger) as log,
        ):
            chapters = _story(log, name, signers)
            if part is not None:
                _print_part(chapters, part)
            elif json:
                _print_as_json(log, chapters, line=output is Output.JSONL)
            else:
                _print_tree(log, name, chapters, full=full)
        if any(chapter.problems for chapter in chapters):
            raise typer.Exit(NOT_VERIFIED)


def _story(log: Opened, name: str, keys: Verifier | None) -> list[Chapter]:
    """Return the chapters of a decision, or of an item, or the one of another event."""
    head = log.prover.checkpoint
    teller = Teller(records=log, proofs=log.prover, size=head.size, payloads=log.hot, keys=keys)
    return list(teller.tell(log.story(name)))


def _print_part(chapters: Sequence[Chapter], name: str) -> None:
    for chapter in chapters:
        part = (chapter.parts or {}).get(name)
        if part is not None and part.data is not None:
            sys.stdout.buffer.write(part.data)
            sys.stdout.flush()
            return
    raise stopped(FAILED, f"No part {name!r}: destroyed, never there, or no --database was given")


def _print_as_json(log: Opened, chapters: Sequence[Chapter], *, line: bool) -> None:
    head = log.prover.checkpoint
    print_json(
        {
            "ok": not any(chapter.problems for chapter in chapters),
            "origin": head.origin,
            "records": head.size,
            "checkpoint": log.prover.note.decode(),
            "story": [_as_json(chapter) for chapter in chapters],
        },
        line=line,
    )


def _as_json(chapter: Chapter) -> dict[str, Any]:
    signed = chapter.signing
    return {
        "sequence": chapter.sequence,
        "record": chapter.fields,
        "proof": None if chapter.proof is None else chapter.proof.decode(),
        "parts": None
        if chapter.parts is None
        else {name: _part_as_json(part) for name, part in chapter.parts.items()},
        "absent": chapter.absent,
        "signing": None
        if signed is None
        else {
            "checked": signed.checked,
            "ok": signed.problem is None,
            "key_ids": list(signed.key_ids),
            "statement": signed.statement,
        },
        "problems": list(chapter.problems),
    }


def _part_as_json(part: Part) -> dict[str, str]:
    data = part.data or b""
    said = {"commitment": part.commitment.hex(), "salt": (part.salt or b"").hex()}
    try:
        return {"text": data.decode(), **said}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode(), **said}


def _print_tree(log: Opened, name: str, chapters: Sequence[Chapter], *, full: bool) -> None:
    head = log.prover.checkpoint
    tree = Tree(Text.assemble((harmless(name), "bold"), f"  {head.origin}, {head.size} records"))
    for chapter in chapters:
        branch = tree.add(_headline(chapter))
        for problem in chapter.problems:
            branch.add(Text(f"NOT VERIFIED {harmless(problem)}", style="bold red"))
        if chapter.signing is not None:
            branch.add(_signed(chapter.signing))
        if chapter.parts is None:
            branch.add(Text(f"payload {chapter.absent or 'not at hand'}", style="dim"))
        for part_name, part in (chapter.parts or {}).items():
            branch.add(_part(part_name, part.data or b"", full=full))
    Console(highlight=False).print(tree, soft_wrap=True)


def _headline(chapter: Chapter) -> Text:
    fields = chapter.fields
    said = fields.get("action_type") or fields.get("write_status") or ""
    line = Text(f"{chapter.sequence}  {str(fields.get('timestamp'))[:23]}  ")
    line.append(harmless(str(fields.get("type"))), style="bold cyan")
    for value in (said, fields.get("actor")):
        if value:
            line.append(f"  {harmless(str(value))}")
    if chapter.proof is None:
        return line.append("  no head reaches this far yet", style="yellow")
    return line.append("  in the log", style="green")


def _signed(signed: Signing) -> Text:
    keys = harmless(", ".join(signed.key_ids))
    if signed.problem is not None:
        return Text(f"signature: {harmless(signed.problem)}", style="bold red")
    if not signed.checked:
        return Text(f"signature: NOT CHECKED (no --decision-keys), by {keys}", style="yellow")
    return Text(f"signed by {keys}", style="green")


def _part(name: str, data: bytes, *, full: bool) -> Text:
    line = Text(harmless(name), style="bold")
    line.append(f"  {len(data)} bytes, as sealed", style="dim")
    if name in _QUIET and not full:
        return line
    text = "\n".join(harmless(one) for one in data.decode("utf-8", "replace").split("\n"))
    if len(text) > _PREVIEW and not full:
        text = text[:_PREVIEW] + " …"
    return line.append("\n" + text, style="not bold")
