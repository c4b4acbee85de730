"""`placet audit prove` and `placet audit check`: one record and why to believe it, in one file."""

import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from audit_sink.bundle_check import check_bundle, is_bundle, own_key
from audit_sink.commands.opened import Opened, opened
from audit_sink.commands.terminal import (
    FAILED,
    NOT_VERIFIED,
    USAGE,
    DatabaseOption,
    DecisionKeysOption,
    FilesOption,
    JsonOption,
    KeyOption,
    LedgerOption,
    has_key,
    not_verified,
    plain,
    print_json,
    read_decision_keys,
    read_file,
    read_key,
    stopped,
    told,
    write_file,
)
from audit_sink.tlog_proof import MAX_BYTES, SUFFIX, Proven, check_proof
from audit_sink.whereabouts import FindDefaults


def add(app: typer.Typer, find_defaults: FindDefaults) -> None:
    """Add both commands."""

    @app.command("prove")
    def prove_command(
        event: Annotated[str, typer.Argument(help="Event, item, decision, or sequence number.")],
        *,
        out: Annotated[
            Path | None,
            typer.Option(help="File for the proof; a folder where there are several records."),
        ] = None,
        files: FilesOption = None,
        database: DatabaseOption = None,
        ledger: LedgerOption = None,
        key: KeyOption = None,
    ) -> None:
        """Write a self-contained C2SP .tlog-proof, with the record in it."""
        defaults = find_defaults()
        public = read_key(defaults.key if key is None else key)
        with (
            told(),
            opened(defaults, public, files=files, database=database, ledger=ledger) as log,
        ):
            _prove(log, event, out)

    @app.command("check")
    def check_command(
        file: Annotated[Path, typer.Argument(help="A .tlog-proof, or a bundle of `export`.")],
        *,
        key: KeyOption = None,
        record: Annotated[
            Path | None, typer.Option(help="The record, where the proof does not hold it.")
        ] = None,
        decision_keys: DecisionKeysOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Check a proof or a bundle offline: trusts its bytes and the key, and nothing else."""
        default = find_defaults().key
        given = default if key is None and has_key(default) else key
        if is_bundle(file):
            _check_bundle(file, given, decision_keys, json=as_json)
            return
        public = read_key(given)
        data = read_file(file, MAX_BYTES)
        known = None if record is None else read_file(record, MAX_BYTES)
        with told(json=as_json):
            proven = check_proof(data, public, known)
        _print_proven(proven, json=as_json)


def _prove(log: Opened, event: str, out: Path | None) -> None:
    places = log.find(event)
    if out is None or (len(places) == 1 and not out.is_dir()):
        if len(places) > 1:
            listed = ", ".join(str(one) for one in places[:20])
            raise stopped(
                USAGE, f"{len(places)} records go by {event} ({listed}); say --out FOLDER"
            )
        text = log.prover.prove(places[0], log.record(places[0]))
        if out is None:
            sys.stdout.write(text.decode())
        else:
            write_file(out, text)
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise stopped(FAILED, f"{out}: no folder to write to: {error}") from error
    for sequence in places:
        write_file(out / f"{sequence}{SUFFIX}", log.prover.prove(sequence, log.record(sequence)))
    Console(stderr=True).print(f"{len(places)} proofs in {plain(str(out))}", highlight=False)


def _print_proven(proven: Proven, *, json: bool) -> None:
    fields: dict[str, Any] = orjson.loads(proven.record)
    head = proven.checkpoint
    if json:
        answer = {"ok": True, "origin": head.origin, "records": head.size, "record": fields}
        print_json(answer | {"index": proven.index})
        return
    out = Console(highlight=False)
    out.print(
        f"Record {proven.index} is in {plain(head.origin)} (head of {head.size} records).",
        soft_wrap=True,
    )
    for name, value in fields.items():
        if value is not None:
            text = value if isinstance(value, str) else orjson.dumps(value).decode()
            out.print(f"  {name:<20}{plain(text)}", soft_wrap=True)


def _check_bundle(file: Path, given: str | None, pinned_keys: Path | None, *, json: bool) -> None:
    with told(json=json):
        public = read_key(own_key(file) if given is None else given)
        report = check_bundle(file, public, read_decision_keys(pinned_keys))
    pinned = given is not None
    if json:
        print_json({"ok": not report.problems, "key_pinned": pinned, **report.as_json()})
        if report.problems:
            raise typer.Exit(NOT_VERIFIED)
        return
    if report.problems:
        for problem in report.problems[1:]:
            not_verified(problem, json=False)
        raise not_verified(report.problems[0], json=False)
    out = Console(highlight=False)
    out.print(
        f"{report.records} records of {plain(report.origin)}, each in its log of {report.size} "
        f"records. All is well.",
        soft_wrap=True,
    )
    out.print(
        f"{report.parts} payload parts are byte for byte what was sealed; "
        f"{report.withheld} are withheld"
    )
    if report.signatures:
        out.print(f"{report.signatures} statements are signed by the decision keys you gave")
    if not pinned:
        out.print(
            "[yellow]key: NOT CHECKED[/yellow] (it is the bundle's own: compare key.txt with one "
            "you trust, or say --key)",
            soft_wrap=True,
        )
