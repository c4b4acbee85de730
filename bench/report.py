"""The table for people and the JSON for scripts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.result import Line, Readings, Spread
from bench.size import Size


def show(console: Console, lines: Sequence[Line], size: Size) -> None:
    title = (
        f"Placet beside the plain-SQL floor: {size.rounds} alternating rounds, "
        "median (least … greatest)"
    )
    table = Table(title=title, title_justify="left", title_style="bold", show_lines=False)
    table.add_column("measure")
    for name in ("ours", "floor", "ours ÷ floor", "goal"):
        table.add_column(name, justify="right")
    table.add_column("met", justify="center")
    for line in lines:
        table.add_row(
            f"{line.measure.name} [dim]{line.measure.unit}[/dim]",
            _spread(line.ours),
            _spread(line.floor),
            _spread(line.ratio),
            str(line.measure.goal or "none set"),
            _met(line),
        )
    console.print(table)
    for line in lines:
        if line.why:
            console.print(f"[red]{line.measure.name}:[/red] {line.why}", highlight=False)


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    if spread.count == 1:
        return _number(spread.median)
    between = f"{_number(spread.least)} … {_number(spread.greatest)}"
    return f"{_number(spread.median)} [dim]({between})[/dim]"


def _number(value: float) -> str:
    """Three digits that say something."""
    if abs(value) >= 100:  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"  # noqa: PLR2004


def _met(line: Line) -> str:
    if line.why and line.ours is None:
        return "[red]NOT RUN[/red]"
    if line.measure.goal is None:
        return "-"
    if line.met is None:
        return "?"
    return "[green]yes[/green]" if line.met else "[yellow]no[/yellow]"


def write(folder: Path, readings: Readings, size: Size, facts: Mapping[str, Any]) -> Path:
    """Write everything that was measured, and return the file."""
    now = datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{now:%Y-%m-%dT%H%M%SZ}.json"
    document = {
        "at": now.isoformat(timespec="seconds"),
        "size": asdict(size),
        **facts,
        "measures": [_as_json(line) for line in readings.lines()],
        "readings": [
            {"measure": r.measure.name, "side": r.side, "round": r.round, "value": r.value}
            for r in readings.values
        ],
        "warnings": readings.warnings,
    }
    file.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return file


def _as_json(line: Line) -> Mapping[str, Any]:
    return {
        "name": line.measure.name,
        "unit": line.measure.unit,
        "goal": str(line.measure.goal) if line.measure.goal else None,
        "ours": asdict(line.ours) if line.ours else None,
        "floor": asdict(line.floor) if line.floor else None,
        "ratio": asdict(line.ratio) if line.ratio else None,
        "met": line.met,
        "why": line.why or None,
    }
