"""One review item as text for a terminal. Pure: a document in, something to print out."""

from collections.abc import Mapping
from typing import Any, Final

from rich.console import Group
from rich.padding import Padding
from rich.text import Text

_SUPPORTED: Final = 0.75
_DOUBTFUL: Final = 0.5


def item_view(item: Mapping[str, Any]) -> Group:
    """Head, change, answer with each sentence coloured by its support, history."""
    target = item["target"]
    head = Text.assemble(
        (f"{item['state']}", "bold"),
        f"  {item['lane']}  revision {item['revision']}  ",
        (f"{target['system']}/{target['instance']}/{target['identifier']}", "cyan"),
    )
    parts: list[Any] = [head, Text(f"{item['source']} · {item['external_id']}", "dim")]
    parts += [_title("Change"), *(_field(n, f) for n, f in item["change"]["fields"].items())]
    parts += [_title("Model's answer"), Padding(_answer(item), (0, 2))]
    divergence = item.get("divergence")
    if isinstance(divergence, Mapping):
        strays = f"strays {divergence['score']:.2f} of 1 from what it was given"
        parts.append(Padding(Text(strays, "dim"), (0, 2)))
    if item.get("history"):
        parts.append(_title("History"))
        parts += [Padding(Text(_event(event)), (0, 2)) for event in item["history"]]
    return Group(*parts)


def _title(text: str) -> Padding:
    return Padding(Text(text, "bold"), (1, 0, 0, 0))


def _field(name: str, change: Mapping[str, Any]) -> Padding:
    line = Text.assemble(
        (f"{name}: ", "bold"),
        (_value(change.get("current")), "red strike"),
        " → ",
        (_value(change.get("proposed")), "green"),
    )
    return Padding(line, (0, 2))


def _value(value: object) -> str:
    return "(nothing)" if value in (None, "") else str(value)


def _answer(item: Mapping[str, Any]) -> Text:
    text = Text(item.get("output") or "")
    divergence = item.get("divergence")
    sentences = divergence.get("sentences", []) if isinstance(divergence, Mapping) else []
    for sentence in sentences:
        text.stylize(_colour(sentence["support"]), sentence["start"], sentence["end"])
    return text


def _colour(support: float) -> str:
    if support >= _SUPPORTED:
        return "green"
    return "yellow" if support >= _DOUBTFUL else "red"


def _event(event: object) -> str:
    if not isinstance(event, Mapping):
        return str(event)
    return "  ".join(str(value) for value in event.values() if value not in (None, "", [], {}))


def evidence_view(opened: Mapping[str, Any]) -> Group:
    """Every passage the model was given, with where it is from, and the links."""
    parts: list[Any] = [_title("Evidence")]
    for one in opened["retrieval"]:
        parts.append(Padding(Text(one.get("doc_id") or "no document id", "dim"), (0, 2)))
        parts.append(Padding(Text(one["snippet"]), (0, 2, 1, 2)))
    links = [f"{one['title']}  {one['uri']}" for one in opened["evidence"]]
    return Group(*parts, *(Padding(Text(link), (0, 2)) for link in links))
