"""The web, its lists and their fields: everything above an item."""

import uuid
from datetime import UTC, datetime

from fastapi import Response

from sandbox.sharepoint import odata
from sandbox.sharepoint.accounts import AUDIENCE, FULL, form_digest
from sandbox.sharepoint.errors import SharePointError, bad_query, unknown_resource
from sandbox.sharepoint.odata import Complex, Entity, Form, Many, Segment
from sandbox.sharepoint.records import ItemList
from sandbox.sharepoint.session import Session

SITE = "/sites/support"
LIBRARY_VERSION = "16.0.26330.12011"


def moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}Z"


def list_uri(session: Session, where: ItemList) -> str:
    return session.uri(f"Web/Lists(guid'{where.guid}')")


def context_information(session: Session) -> Response:
    store = session.records.store
    values = {
        "FormDigestTimeoutSeconds": int(store.setting("digest_seconds")),
        "FormDigestValue": form_digest(int(store.now())),
        "LibraryVersion": LIBRARY_VERSION,
        "SiteFullUrl": session.web,
        "SupportedSchemaVersions": Many("Edm.String", ("14.0.0.0", "15.0.0.0")),
        "WebFullUrl": session.web,
    }
    kind = "SP.ContextWebInformation"
    if session.form is Form.VERBOSE:
        entity = Entity(type=kind, uri="", values=values)
        inner = odata.render(entity, session.form)
        inner["__metadata"] = {"type": kind}
        return session.json({"d": {"GetContextWebInformation": inner}})
    bare = odata.render(Entity(type=kind, uri="", values=values), Form.NONE)
    return session.json(bare)


def web(session: Session) -> Response:
    path = SITE if session.web.endswith(SITE) else "/"
    values = {
        "Created": moment(session.records.lists()[0].created),
        "Description": "",
        "Id": str(uuid.uuid5(uuid.NAMESPACE_URL, path)),
        "Language": 1033,
        "ServerRelativeUrl": path,
        "Title": "Support",
        "Url": session.web,
        "WebTemplate": "STS",
    }
    links = ("Lists", "CurrentUser")
    entity = Entity(type="SP.Web", uri=session.uri("Web"), values=values, links=links)
    return session.answer(_with_permissions(session, entity))


def current_user(session: Session) -> Response:
    values = {
        "Id": 1073741822,
        "IsHiddenInUI": False,
        "LoginName": f"i:0i.t|{AUDIENCE}|app@sharepoint|{session.app.client_id}",
        "Title": session.app.name,
        "PrincipalType": 1,
        "Email": "",
        "IsSiteAdmin": session.app.permissions == FULL,
    }
    return session.answer(
        Entity(type="SP.User", uri=session.uri("Web/GetUserById(1073741822)"), values=values)
    )


def find_list(session: Session, path: list[Segment]) -> tuple[ItemList | None, list[Segment]]:
    """The list that `lists/…` names and what follows it; None for the collection of lists."""
    head, *rest = path
    if head.arguments:
        return _by_guid(session, head.arguments[0]), rest
    if not rest:
        return None, []
    key = rest[0].arguments[0] if rest[0].arguments else ""
    if rest[0].name == "getbytitle":
        return _by_title(session, key), rest[1:]
    if rest[0].name == "getbyid":
        return _by_guid(session, key), rest[1:]
    raise unknown_resource(rest[0].name)


def _by_title(session: Session, title: str) -> ItemList:
    for known in session.records.lists():
        if known.title.lower() == title.lower():
            return known
    message = f"List '{title}' does not exist at site with URL '{session.web}'."
    raise SharePointError(404, "-1, System.ArgumentException", message)


def _by_guid(session: Session, guid: str) -> ItemList:
    for known in session.records.lists():
        if known.guid == guid.lower().strip("{}"):
            return known
    message = "List does not exist.\n\nThe page you selected contains a list that does not exist."
    raise SharePointError(404, "-2130575322, Microsoft.SharePoint.SPException", message)


def lists(session: Session) -> Response:
    select = session.request.query_params.get("$select")
    entities = [odata.select(_list_entity(session, w), select) for w in session.records.lists()]
    return session.json(odata.page(entities, session.form))


def one_list(session: Session, where: ItemList) -> Response:
    return session.answer(_with_permissions(session, _list_entity(session, where)))


def _list_entity(session: Session, where: ItemList) -> Entity:
    values = {
        "AllowContentTypes": True,
        "BaseTemplate": 100,
        "BaseType": 0,
        "ContentTypesEnabled": False,
        "Created": moment(where.created),
        "Description": "",
        "EnableAttachments": True,
        "EnableMinorVersions": False,
        "EnableModeration": False,
        "EnableVersioning": True,
        "EntityTypeName": where.entity_type.removeprefix("SP.Data.").removesuffix("Item"),
        "ForceCheckout": False,
        "Hidden": False,
        "Id": where.guid,
        "ItemCount": where.items,
        "LastItemModifiedDate": moment(where.modified),
        "ListItemEntityTypeFullName": where.entity_type,
        "MajorVersionLimit": 500,
        "NoCrawl": False,
        "ParentWebUrl": SITE,
        "Title": where.title,
    }
    return Entity(
        type="SP.List", uri=list_uri(session, where), values=values, links=("Fields", "Items")
    )


def _with_permissions(session: Session, entity: Entity) -> Entity:
    """Costly properties are there only for those who ask."""
    if "effectivebasepermissions" not in session.request.query_params.get("$select", "").lower():
        return entity
    bits = session.app.permissions
    high = 0x7FFFFFFF if bits == FULL else 0
    value = Complex("SP.BasePermissions", {"High": str(high), "Low": str(bits)})
    return Entity(
        type=entity.type,
        uri=entity.uri,
        values={**entity.values, "EffectiveBasePermissions": value},
        links=entity.links,
    )


def fields(session: Session, where: ItemList, path: list[Segment]) -> Response:
    """`fields`, `fields/getbyinternalnameortitle('x')`, `fields/getbytitle('x')`."""
    entities = [_field_entity(session, where, number) for number in range(len(where.columns))]
    if not path:
        query = session.request.query_params
        if "$filter" in query:
            raise bad_query("This stand-in filters no fields: read them all.")
        chosen = [odata.select(entity, query.get("$select")) for entity in entities]
        return session.json(odata.page(chosen, session.form))
    wanted = (path[0].arguments or ("",))[0]
    for entity in entities:
        known = {entity.values["Title"], entity.values["InternalName"]}
        if wanted in (
            known if path[0].name == "getbyinternalnameortitle" else {entity.values["Title"]}
        ):
            return session.answer(entity)
    message = f"Column '{wanted}' does not exist. It may have been deleted by another user."
    raise SharePointError(400, "-2147024809, System.ArgumentException", message)


def _field_entity(session: Session, where: ItemList, number: int) -> Entity:
    column = list(where.columns.values())[number]
    guid = str(uuid.uuid5(uuid.UUID(where.guid), column.name))
    return Entity(
        type=column.class_name,
        uri=f"{list_uri(session, where)}/Fields(guid'{guid}')",
        values=column.properties(guid),
    )
