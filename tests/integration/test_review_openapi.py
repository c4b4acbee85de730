"""The API against its own OpenAPI document: whatever is sent, no 5xx, and what comes is as said."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.support.review import Desk, Person, desk, fresh_database, review_item

from contract.identity import item_id

ITEM = item_id("support-rag", "q-1")
DOOR = "/api/session"
"""Guessing there locks it; signing in and out has tests of its own."""
ACTORS = ("reviewer", "admin", "sre", "auditor")


@pytest.fixture(scope="module")
def placet_desk(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with (
        fresh_database(postgres_server) as dsn,
        desk(dsn, tmp_path_factory.mktemp("desk")) as made,
    ):
        made.ingest([review_item(number) for number in range(1, 6)])
        yield made


def _may(person: Person, operation: APIOperation) -> bool:
    place = operation.path.replace("{item_id}", ITEM)
    return person.http.request(operation.method, place, content=b"").status_code != 403


def test_whatever_is_sent_is_answered_as_documented(
    placet_desk: Desk, subtests: pytest.Subtests
) -> None:
    document = placet_desk.person().http.get("/api/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    operations = [one.ok() for one in schema.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:
        if operation.path != DOOR:
            people = [placet_desk.person(name) for name in ACTORS]
            with subtests.test(operation.label):
                _try(operation, next((one for one in people if _may(one, operation)), people[0]))


def _try(operation: APIOperation, person: Person) -> None:
    place = st.sampled_from([ITEM, item_id("support-rag", "q-2"), "00" * 16])
    modes = st.sampled_from([GenerationMode.POSITIVE, GenerationMode.NEGATIVE])

    @settings(
        max_examples=20,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def tried(data: st.DataObject) -> None:
        known: dict[str, Any] = {}
        if "{item_id}" in operation.path and data.draw(st.booleans()):
            known["path_parameters"] = {"item_id": data.draw(place)}
        mode = data.draw(modes)
        case = data.draw(operation.as_strategy(generation_mode=mode, **known))
        answer = case.call(
            base_url=str(person.http.base_url),
            headers={"X-CSRF-Token": person.csrf, "Idempotency-Key": data.draw(st.uuids()).hex},
            cookies=dict(person.http.cookies),
        )
        assert answer.status_code < 500, f"{case.as_curl_command()}\n{answer.text}"
        if answer.status_code >= 400:
            assert answer.json()["code"], answer.text
        case.validate_response(
            answer,
            checks=[
                status_code_conformance,
                content_type_conformance,
                response_schema_conformance,
            ],
        )

    tried()
