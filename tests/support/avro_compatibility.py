"""Whether a reader's schema can read what a writer's schema wrote (Avro 1.11, "Schema Resolution").

Says why not, field by field. Stricter than Avro in one point: a field that is removed is refused
too, because an older reader of the newer bytes (services restart in any order) would miss it.
"""

from collections.abc import Iterator
from typing import Any

_PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}


def problems(writer: Any, reader: Any, path: str = "") -> Iterator[str]:
    """Yield what keeps `reader` from reading `writer`'s bytes; nothing when all is well."""
    if isinstance(writer, list) or isinstance(reader, list):
        yield from _union(writer, reader, path)
    elif isinstance(writer, dict) and isinstance(reader, dict) and writer["type"] == reader["type"]:
        if writer["type"] == "record":
            yield from _record(writer, reader, path)
        elif writer["type"] in {"array", "map"}:
            inner = "items" if writer["type"] == "array" else "values"
            yield from problems(writer[inner], reader[inner], f"{path}[]")
        elif writer.get("logicalType") != reader.get("logicalType"):
            yield f"{path}: the logical type changed"
    elif _name(reader) not in {_name(writer), *_PROMOTIONS.get(_name(writer), ())}:
        yield f"{path}: {_name(writer)} became {_name(reader)}"


def _name(schema: Any) -> str:
    return str(schema["type"] if isinstance(schema, dict) else schema)


def _union(writer: Any, reader: Any, path: str) -> Iterator[str]:
    readers = reader if isinstance(reader, list) else [reader]
    for branch in writer if isinstance(writer, list) else [writer]:
        if all(list(problems(branch, candidate, path)) for candidate in readers):
            yield f"{path}: {_name(branch)} is not accepted any more"


def _record(writer: dict[str, Any], reader: dict[str, Any], path: str) -> Iterator[str]:
    if writer["name"] != reader["name"]:
        yield f"{path}: {writer['name']} was renamed {reader['name']}"
    old = {field["name"]: field for field in writer["fields"]}
    new = {field["name"]: field for field in reader["fields"]}
    for name, field in new.items():
        if name in old:
            yield from problems(old[name]["type"], field["type"], f"{path}.{name}")
        elif "default" not in field:
            yield f"{path}.{name}: added without a default"
    for name in old.keys() - new.keys():
        yield f"{path}.{name}: removed"
