"""`/_sandbox`: breaks the stand-in, edits its records by hand, and counts what happened to them."""

import re
from typing import Annotated, Any, Self

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sandbox.fault_layer import FaultLayer
from sandbox.faults import AFTER_BY_DEFAULT, Fault, FaultBook, Kind, When
from sandbox.store import JsonObject, Store
from sandbox.system import RefusedEditError, System, UnknownRecordError

LOWEST_ERROR, HIGHEST_ERROR = 400, 599


class FaultRequest(BaseModel):
    """A rule as people write it. `kind` may be an HTTP status: "429" is a STATUS fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    method: str = ".*"
    path: str = ".*"
    times: int | None = Field(1, ge=1)
    skip: int = Field(0, ge=0)
    share: float = Field(1.0, gt=0, le=1)
    seed: int = 0
    when: When | None = None
    status: int = Field(500, ge=LOWEST_ERROR, le=HIGHEST_ERROR)
    retry_after: int | None = Field(None, ge=0)
    seconds: float = Field(1.0, ge=0, le=600)
    location: str = ""
    reset: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        for pattern in (self.method, self.path):
            _require_regex(pattern)
        if self.kind.isdigit() and not LOWEST_ERROR <= int(self.kind) <= HIGHEST_ERROR:
            raise ValueError("only 400 to 599 are errors")
        if self._kind() is Kind.REDIRECT and not self.location:
            raise ValueError("a redirect needs a location")
        if self._kind() in {Kind.CUT, Kind.TRUNCATE} and self.when is When.BEFORE:
            raise ValueError("there is no answer to cut before the work is done")
        return self

    def _kind(self) -> Kind:
        return Kind.STATUS if self.kind.isdigit() else Kind(self.kind)

    def fault(self) -> Fault:
        kind = self._kind()
        values = self.model_dump(exclude={"kind", "when", "status"})
        default = When.AFTER if kind in AFTER_BY_DEFAULT else When.BEFORE
        status = int(self.kind) if self.kind.isdigit() else self.status
        return Fault(kind=kind, when=self.when or default, status=status, **values)


def _require_regex(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern} is no regular expression: {error}") from error


class Edit(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    record: str
    fields: dict[str, Any] = {}
    by: str = "Dana Kowalski"
    delete: bool = False


class Release(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: int | None = None


def panel(system: System, store: Store, book: FaultBook, layer: FaultLayer) -> APIRouter:
    """The routes. Every change is durable when it is answered."""
    router = APIRouter(prefix="/_sandbox")
    _add_fault_routes(router, book, layer)
    _add_record_routes(router, system, store)
    _add_settings_routes(router, store, book, layer)
    return router


def _add_fault_routes(router: APIRouter, book: FaultBook, layer: FaultLayer) -> None:
    @router.get("/faults")
    async def faults() -> list[JsonObject]:
        return book.as_json()

    @router.post("/faults", status_code=201)
    async def add(request: FaultRequest) -> JsonObject:
        return {"id": book.add(request.fault())}

    @router.delete("/faults")
    async def clear() -> JsonObject:
        book.clear()
        return {"faults": []}

    @router.delete("/faults/{number}")
    async def remove(number: int) -> JsonObject:
        book.remove(number)
        return {"faults": book.as_json()}

    @router.get("/held")
    async def held() -> list[JsonObject]:
        return layer.held.as_json()

    @router.post("/release")
    async def release(request: Release) -> JsonObject:
        return {"released": layer.held.release(request.id)}


def _add_record_routes(router: APIRouter, system: System, store: Store) -> None:
    @router.get("/effects")
    async def effects(
        after: int = 0,
        record: str | None = None,
        limit: Annotated[int, Query(ge=1, le=100_000)] = 10_000,
    ) -> JsonObject:
        found = store.effects(after, record, limit)
        return {"effects": found, "total": store.effect_count()}

    @router.get("/records")
    async def records() -> list[JsonObject]:
        return system.records()

    @router.post("/edit")
    async def edit(request: Edit) -> JsonObject:
        try:
            if request.delete:
                system.delete(request.record, request.by)
            else:
                system.edit(request.record, request.fields, request.by)
        except UnknownRecordError as error:
            raise HTTPException(404, f"there is no {request.record}") from error
        except RefusedEditError as error:
            raise HTTPException(422, str(error)) from error
        return {"record": request.record}


def _add_settings_routes(
    router: APIRouter, store: Store, book: FaultBook, layer: FaultLayer
) -> None:
    @router.get("/health")
    async def health() -> JsonObject:
        return {"ok": True, "effects": store.effect_count()}

    @router.get("/requests")
    async def requests() -> list[JsonObject]:
        return list(layer.requests)

    @router.get("/settings")
    async def settings() -> JsonObject:
        return store.settings()

    @router.post("/settings")
    async def change(values: dict[str, Any]) -> JsonObject:
        try:
            store.change_settings(values)
        except KeyError as error:
            raise HTTPException(422, f"there is no setting {error.args[0]}") from error
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        return store.settings()

    @router.post("/reset")
    async def reset() -> JsonObject:
        layer.held.release(None)
        layer.requests.clear()
        store.reset()
        book.load()
        return {"records": "as on the first day"}
