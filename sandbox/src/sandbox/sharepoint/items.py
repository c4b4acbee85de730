"""Items of a list: read, page, add, merge under an ETag, delete; their versions."""

import json
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Response

from sandbox.sharepoint import filters, odata
from sandbox.sharepoint.accounts import ADD, DELETE, EDIT, VERSIONS, VIEW
from sandbox.sharepoint.columns import parse, shown
from sandbox.sharepoint.errors import (
    SERVICE,
    SharePointError,
    bad_query,
    item_missing,
    unknown_resource,
)
from sandbox.sharepoint.odata import Entity, Form, Segment
from sandbox.sharepoint.records import Item, ItemList
from sandbox.sharepoint.session import Session
from sandbox.sharepoint.webs import list_uri, moment, one_list

DEFAULT_PAGE = 100
MAX_PAGE = 5000
ENTRY_WITHOUT_TYPE = (
    "An entry without a type name was found, but no expected type was specified. "
    "To allow entries without type information, the expected type must also be specified "
    "when the model is specified."
)


async def answer(session: Session, where: ItemList, path: list[Segment]) -> Response:
    """`path` is what follows the list: `items`, `items(1)`, `getitembyid(1)/versions` …"""
    number, rest = _item_number(path)
    method = session.request.headers.get("x-http-method", session.request.method).upper()
    if number is None:
        return await _collection(session, where, method, path[1:])
    item = session.records.item(where, number)
    if item is None:
        raise item_missing()
    if rest and rest[0].name == "versions":
        return _versions(session, where, item)
    if rest and rest[0].name == "parentlist":
        return one_list(session, where)
    if rest:
        raise unknown_resource(rest[0].name)
    match method:
        case "GET":
            session.require(VIEW)
            return session.answer(entity(session, where, item))
        case "MERGE" | "PATCH":
            return await _merge(session, where, item)
        case "DELETE":
            return _delete(session, where, item)
        case _:
            raise bad_query(f"The HTTP method '{method}' is not supported on an item.")


def _item_number(path: list[Segment]) -> tuple[int | None, list[Segment]]:
    head, *rest = path
    if head.name == "getitembyid" or head.arguments:
        return _number(head), rest
    if rest and rest[0].name in {"getbyid", "getitembyid"}:
        return _number(rest[0]), rest[1:]
    return None, rest


def _number(segment: Segment) -> int:
    text = segment.arguments[0] if segment.arguments else ""
    if not text.isdecimal() or len(text) > 9:  # noqa: PLR2004 -- Edm.Int32
        raise bad_query(f'The expression "{segment.name}({text})" is not valid.')
    return int(text)


async def _collection(
    session: Session, where: ItemList, method: str, rest: list[Segment]
) -> Response:
    if rest:
        raise unknown_resource(rest[0].name)
    if method == "POST":
        return await _add(session, where)
    if method != "GET":
        raise bad_query(f"The HTTP method '{method}' is not supported on a collection.")
    session.require(VIEW)
    return _page(session, where)


def _page(session: Session, where: ItemList) -> Response:
    query = session.request.query_params
    size = _page_size(query.get("$top"))
    after = _skipped(query.get("$skiptoken"))
    found = [
        item
        for item in session.records.items(where, after)
        if "$filter" not in query or filters.matches(query["$filter"], _values(where, item))
    ]
    order = query.get("$orderby", "Id asc").split()
    if order[0].lower() != "id":
        found.sort(key=lambda item: str(_values(where, item).get(order[0]) or ""))
    if order[1:] == ["desc"]:
        found.reverse()
    shown_items = found[:size]
    entities = [
        odata.select(entity(session, where, item), query.get("$select")) for item in shown_items
    ]
    more = len(found) > size
    next_link = _next_link(session, where, shown_items[-1].id) if more else None
    return session.json(odata.page(entities, session.form, next_link))


def _page_size(text: str | None) -> int:
    if text is None:
        return DEFAULT_PAGE
    if not text.isdecimal() or not int(text[:9]) > 0:
        raise bad_query(f"The query option $top={text} is not valid.")
    return min(int(text[:9]), MAX_PAGE)


def _skipped(token: str | None) -> int:
    for part in (token or "").split("&"):
        name, _, value = part.partition("=")
        if name == "p_ID" and value.isdecimal() and len(value) <= 9:  # noqa: PLR2004 -- Edm.Int32
            return int(value)
    return 0


def _next_link(session: Session, where: ItemList, last: int) -> str:
    query = {k: v for k, v in session.request.query_params.items() if k != "$skiptoken"}
    token = f"Paged=TRUE&p_ID={last}"
    parts = urlencode({"$skiptoken": token, **query}, safe="$", quote_via=quote)
    return f"{list_uri(session, where)}/items?{parts}"


async def _add(session: Session, where: ItemList) -> Response:
    session.require(ADD)
    values = _sent(session, where, await session.body())
    with session.records.store.transaction():
        now = session.records.store.now()
        item = session.records.add(where, values, session.author, now)
    return session.answer(entity(session, where, item), 201)


async def _merge(session: Session, where: ItemList, item: Item) -> Response:
    """The ETag is checked against the item as it is now, in the transaction that writes."""
    session.require(EDIT)
    values = _sent(session, where, await session.body())
    with session.records.store.transaction():
        current = session.records.item(where, item.id)
        if current is None:
            raise item_missing()
        _check_etag(session, current)
        merged = session.records.merge(where, current, values, session.author)
    return Response(status_code=204, headers={"ETag": merged.etag})


def _delete(session: Session, where: ItemList, item: Item) -> Response:
    session.require(DELETE)
    with session.records.store.transaction():
        _check_etag(session, item)
        session.records.delete(where, item, session.author)
    return Response(status_code=200)


def _check_etag(session: Session, item: Item) -> None:
    """Raises SharePointError 412. Without the header the last writer wins, as documented."""
    given = session.request.headers.get("if-match")
    if given in {None, "*", item.etag}:
        return
    message = (
        f"The request ETag value '{given}' does not match the object's ETag value '{item.etag}'."
    )
    raise SharePointError(412, SERVICE, message)


def _sent(session: Session, where: ItemList, body: dict[str, Any]) -> dict[str, Any]:
    """Canonical values by column; read-only columns are passed over in silence."""
    if session.sent_form is Form.VERBOSE:
        metadata = body.pop("__metadata", None)
        if not isinstance(metadata, dict) or "type" not in metadata:
            raise bad_query(ENTRY_WITHOUT_TYPE)
        if metadata["type"] not in {where.entity_type, "SP.ListItem"}:
            raise bad_query(
                f"A type named '{metadata['type']}' could not be resolved by the model."
            )
    values = {}
    for name, raw in body.items():
        if "@odata" in name or name.startswith("odata."):
            continue
        column = where.columns.get(name)
        if column is None:
            raise bad_query(
                f"The property '{name}' does not exist on type '{where.entity_type}'. "
                "Make sure to only use property names that are defined by the type."
            )
        if not column.read_only:
            values[name] = parse(column, raw)
    return values


def _values(where: ItemList, item: Item) -> dict[str, Any]:
    """Everything an answer holds, bare."""
    fields = {name: item.fields.get(name) for name in where.columns if name in item.fields}
    return {
        "FileSystemObjectType": 0,
        "Id": item.id,
        "ServerRedirectedEmbedUri": None,
        "ServerRedirectedEmbedUrl": "",
        "ContentTypeId": "0x0100D1A8C5F6B0E94E4FA6B2C8D7E9F0A1B2",
        **fields,
        "ID": item.id,
        "Modified": moment(item.modified),
        "Created": moment(item.created),
        "AuthorId": _user_id(item.author),
        "EditorId": _user_id(item.editor),
        "OData__UIVersionString": f"{item.version}.0",
        "Attachments": False,
        "GUID": item.guid,
    }


def _user_id(name: str) -> int:
    return 10 + sum(name.encode()) % 90


def entity(session: Session, where: ItemList, item: Item) -> Entity:
    values = _values(where, item)
    for name, column in where.columns.items():
        if name in item.fields:
            values[name] = shown(column, item.fields[name])
    return Entity(
        type=where.entity_type,
        uri=f"{list_uri(session, where)}/Items({item.id})",
        values=values,
        etag=item.etag,
        links=("ParentList", "Versions"),
    )


def _versions(session: Session, where: ItemList, item: Item) -> Response:
    session.require(VERSIONS)
    base = f"{list_uri(session, where)}/Items({item.id})/versions"
    entities = []
    for number, row in enumerate(session.records.versions(item)):
        stored = json.loads(row["fields"])
        fields = {name: shown(where.columns[name], value) for name, value in stored.items()}
        values = {
            "IsCurrentVersion": number == 0,
            "VersionId": row["version"] * 512,
            "VersionLabel": f"{row['version']}.0",
            **fields,
            "Created": moment(row["modified"]),
        }
        uri = f"{base}({row['version'] * 512})"
        entities.append(Entity(type="SP.ListItemVersion", uri=uri, values=values))
    return session.json(odata.page(entities, session.form))
