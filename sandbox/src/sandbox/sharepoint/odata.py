"""OData v3 as SharePoint speaks it: paths, the three JSON forms, entities and pages. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sandbox.sharepoint.errors import SharePointError, bad_query

SEGMENT = re.compile(r"([A-Za-z_][\w.]*)(?:\(((?:'(?:[^']|'')*'|[^')])*)\))?(?:/|$)")
ARGUMENT = re.compile(r"\s*(?:\w+\s*=\s*)?(guid'[^']*'|'(?:[^']|'')*'|[^,']+)\s*(?:,|$)")


class Form(StrEnum):
    VERBOSE = "verbose"
    MINIMAL = "minimalmetadata"
    NONE = "nometadata"

    @property
    def content_type(self) -> str:
        streaming = "" if self is Form.VERBOSE else ";streaming=true"
        return f"application/json;odata={self}{streaming};charset=utf-8"


def form_of(header: str | None, *, default: Form = Form.MINIMAL) -> Form:
    """The form an Accept or Content-Type header names. Raises SharePointError 406 for XML."""
    text = (header or "").lower().replace(" ", "")
    if "application/json" not in text:
        raise SharePointError(
            406, "-1, Microsoft.SharePoint.Client.ClientServiceException",
            "This stand-in speaks JSON only: send Accept: application/json.",
        )  # fmt: skip
    match = re.search(r"odata=(\w+)", text)
    return Form(match[1]) if match and match[1] in set(Form) else default


@dataclass(frozen=True, slots=True)
class Segment:
    """`Lists`, `GetByTitle('x')`, `items(1)`: names in lower case, strings unquoted."""

    name: str
    arguments: tuple[str, ...] = ()


def segments(path: str) -> list[Segment]:
    """Raises SharePointError 400 for what is not a path."""
    found, position, path = [], 0, path.strip("/")
    while position < len(path):
        match = SEGMENT.match(path, position)
        if match is None:
            raise bad_query(f'The expression "{path}" is not valid.')
        found.append(Segment(match[1].lower(), _arguments(match[2])))
        position = match.end()
    return found


def _arguments(text: str | None) -> tuple[str, ...]:
    return tuple(_unquoted(match[1].strip()) for match in ARGUMENT.finditer(text or "") if match[1])


def _unquoted(text: str) -> str:
    text = text.removeprefix("guid")
    return text[1:-1].replace("''", "'") if text[:1] == "'" else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """One resource: what it is called, where it lives, which version, what it holds."""

    type: str
    uri: str
    values: Mapping[str, Any]
    etag: str | None = None
    links: tuple[str, ...] = ()


def render(entity: Entity, form: Form) -> dict[str, Any]:
    match form:
        case Form.VERBOSE:
            metadata = {"id": entity.uri, "uri": entity.uri, "type": entity.type}
            if entity.etag:
                metadata["etag"] = entity.etag
            links = {n: {"__deferred": {"uri": f"{entity.uri}/{n}"}} for n in entity.links}
            values = {name: _verbose(value) for name, value in entity.values.items()}
            return {"__metadata": metadata, **links, **values}
        case Form.MINIMAL:
            head = {"odata.type": entity.type, "odata.id": entity.uri, "odata.editLink": entity.uri}
            if entity.etag:
                head["odata.etag"] = entity.etag
            return {**head, **{name: _bare(value) for name, value in entity.values.items()}}
        case Form.NONE:
            return {name: _bare(value) for name, value in entity.values.items()}


@dataclass(frozen=True, slots=True)
class Complex:
    """A value with a type of its own, such as SP.FieldUrlValue."""

    type: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Many:
    type: str
    values: tuple[Any, ...]


def _verbose(value: Any) -> Any:
    if isinstance(value, Complex):
        return {"__metadata": {"type": value.type}, **value.values}
    if isinstance(value, Many):
        kind = f"Collection({value.type})"
        return {"__metadata": {"type": kind}, "results": [_verbose(v) for v in value.values]}
    return value


def _bare(value: Any) -> Any:
    if isinstance(value, Complex):
        return dict(value.values)
    return [_bare(v) for v in value.values] if isinstance(value, Many) else value


def one(entity: Entity, form: Form) -> dict[str, Any]:
    body = render(entity, form)
    if form is Form.VERBOSE:
        return {"d": body}
    if form is Form.MINIMAL:
        return {"odata.metadata": f"{entity.uri.split('/_api/')[0]}/_api/$metadata", **body}
    return body


def page(entities: Iterable[Entity], form: Form, next_link: str | None = None) -> dict[str, Any]:
    """A collection; `next_link` where there is more."""
    rendered = [render(entity, form) for entity in entities]
    if form is Form.VERBOSE:
        more = {"__next": next_link} if next_link else {}
        return {"d": {"results": rendered, **more}}
    more = {"odata.nextLink": next_link} if next_link else {}
    return {"value": rendered, **more}


def error(code: str, message: str, form: Form) -> dict[str, Any]:
    body = {"code": code, "message": {"lang": "en-US", "value": message}}
    return {"error" if form is Form.VERBOSE else "odata.error": body}


def select(entity: Entity, names: str | None) -> Entity:
    """Only what `$select` asks for; without it everything but what has to be asked for."""
    asked = [name.strip() for name in (names or "*").split(",") if name.strip()]
    if "*" in asked:
        return entity
    lowered = {name.lower() for name in asked}
    unknown = lowered - {name.lower() for name in entity.values}
    if unknown:
        raise bad_query(f"The field or property '{min(unknown)}' does not exist.")
    chosen = {name: value for name, value in entity.values.items() if name.lower() in lowered}
    return Entity(type=entity.type, uri=entity.uri, values=chosen, etag=entity.etag)
