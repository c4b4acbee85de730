"""The schemas keep their promises: documented, in step with the values, compatible for ever."""

import copy
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from tests.support.avro_compatibility import problems
from tests.support.examples import EXAMPLES

from contract import codec
from contract.events import EVENTS

AVRO = files("contract").joinpath("avro")
GOLDEN = Path(__file__).parents[2] / "schemas" / "examples"


def schema(name: str) -> dict[str, Any]:
    return orjson.loads(AVRO.joinpath(f"{name}.avsc").read_bytes())


def released() -> list[tuple[str, dict[str, Any]]]:
    history = AVRO.joinpath("history")
    return [
        (entry.name, orjson.loads(entry.read_bytes()))
        for entry in history.iterdir()
        if entry.name.endswith(".avsc")
    ]


def records(node: Any):
    if isinstance(node, dict):
        if node.get("type") == "record":
            yield node
        for value in node.values():
            yield from records(value)
    elif isinstance(node, list):
        for value in node:
            yield from records(value)


@pytest.mark.parametrize("name", EVENTS)
def test_every_field_is_documented(name):
    for record in records(schema(name)):
        assert record["doc"]
        for field in record["fields"]:
            assert field.get("doc"), f"{record['name']}.{field['name']}"


@pytest.mark.parametrize("name", EVENTS)
def test_values_and_schemas_name_the_same_fields(name):
    declared = {field["name"] for field in schema(name)["fields"]}
    assert declared == set(EVENTS[name].__struct_fields__)


@pytest.mark.parametrize("name", EVENTS)
def test_every_current_schema_has_a_golden_message_and_a_place_in_history(name):
    fingerprint = codec.fingerprint_hex(name)
    assert (GOLDEN / f"{name}.{fingerprint}.avro").exists(), "add one: tests/support/golden.py"
    assert AVRO.joinpath("history", f"{name}.{fingerprint}.avsc").is_file()


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.avro")), ids=lambda path: path.stem)
def test_golden_messages_of_every_release_are_still_read(path):
    event = codec.decode(path.read_bytes())
    expected = orjson.loads(path.with_suffix(".json").read_bytes())
    read = orjson.loads(msgspec.json.encode(event))
    assert {name: read[name] for name in expected} == expected


@pytest.mark.parametrize(("name", "old"), released(), ids=lambda value: str(value)[:60])
def test_current_schemas_read_every_released_one(name, old):
    assert list(problems(old, schema(old["name"]))) == []


def _without_default(new):
    new["fields"].append({"name": "extra", "type": "string", "doc": "x"})


def _other_type(new):
    new["fields"][0]["type"] = "long"


def _removed(new):
    new["fields"].pop()


def _renamed(new):
    new["name"] = "Other"


def _narrowed(new):
    field = next(f for f in new["fields"] if isinstance(f["type"], list))
    field["type"] = field["type"][1]


@pytest.mark.parametrize("change", [_without_default, _other_type, _removed, _renamed, _narrowed])
def test_an_incompatible_change_is_refused(change):
    old = schema("ModelOutput")
    new = copy.deepcopy(old)
    change(new)
    assert list(problems(old, new)) != []


def test_a_field_with_a_default_may_be_added():
    old = schema("ModelOutput")
    new = copy.deepcopy(old)
    new["fields"].append({"name": "extra", "type": ["null", "string"], "default": None, "doc": "x"})
    assert list(problems(old, new)) == []


def test_there_is_an_example_of_every_event():
    assert {type(example).__name__ for example in EXAMPLES} == set(EVENTS)
