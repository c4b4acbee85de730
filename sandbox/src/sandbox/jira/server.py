"""What Jira says of itself and of the caller: server info, myself, permissions, fields, session."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from sandbox.jira.accounts import ANONYMOUS, Permission
from sandbox.jira.errors import JiraError
from sandbox.jira.fields import FIELDS, Field, Kind
from sandbox.jira.rendering import timestamp, user
from sandbox.jira.session import Session, Site
from sandbox.store import JsonObject

CLOUD_VERSION = ("1001.0.0-SNAPSHOT", [1001, 0, 0], 100286)
DATA_CENTER_VERSION = ("10.3.6", [10, 3, 6], 10030006)
READ_ONLY = (("created", "Created"), ("updated", "Updated"), ("comment", "Comment"))


def routes(site: Site) -> APIRouter:
    router = APIRouter()

    @router.get("/rest/api/{version}/serverInfo")
    async def server_info(request: Request, version: str) -> JSONResponse:
        return JSONResponse(_server_info(site.open(request, version)))

    @router.get("/rest/api/{version}/myself")
    async def myself(request: Request, version: str) -> JSONResponse:
        session = site.open(request, version)
        session.require_sign_in()
        return JSONResponse(user(session.caller.account, session.dialect))

    @router.get("/rest/auth/{version}/session")
    async def auth_session(request: Request, version: str) -> JSONResponse:
        del version
        session = site.open(request, "2")
        session.require_sign_in()
        name = session.caller.account.name
        return JSONResponse({"self": session.dialect.url(f"user?username={name}"), "name": name})

    @router.get("/rest/api/{version}/field")
    async def fields(request: Request, version: str) -> JSONResponse:
        site.open(request, version)
        return JSONResponse([_field_json(field) for field in FIELDS.values()] + _read_only())

    @router.get("/rest/api/{version}/mypermissions")
    async def permissions(request: Request, version: str) -> JSONResponse:
        session = site.open(request, version)
        asked = request.query_params.get("permissions")
        if asked is None and site.cloud:
            raise JiraError(400, "The permissions query parameter is required.")
        return JSONResponse({"permissions": _permissions(session, asked)})

    return router


def _server_info(session: Session) -> JsonObject:
    cloud = session.site.cloud
    version, numbers, build = CLOUD_VERSION if cloud else DATA_CENTER_VERSION
    info: JsonObject = {
        "baseUrl": session.dialect.base,
        "version": version,
        "versionNumbers": numbers,
        "deploymentType": "Cloud" if cloud else "Server",
        "buildNumber": build,
        "buildDate": "2026-10-01T00:00:00.000+0000",
        "scmInfo": "0" * 40,
        "serverTitle": "Placet sandbox",
    }
    if cloud:
        info["defaultLocale"] = {"locale": "en_US"}
    if session.caller.account is not ANONYMOUS:
        info["serverTime"] = timestamp(session.records.store.now())
    return info


def _field_json(field: Field) -> JsonObject:
    names = [field.id] if field.custom is None else [f"cf[{field.id[12:]}]", field.name]
    return {
        "id": field.id,
        "key": field.id,
        "name": field.name,
        "custom": field.custom is not None,
        "orderable": field.kind is not Kind.FIXED,
        "navigable": True,
        "searchable": True,
        "clauseNames": names,
        "schema": field.schema,
    }


def _read_only() -> list[JsonObject]:
    return [
        {"id": number, "key": number, "name": name, "custom": False, "orderable": False,
         "navigable": True, "searchable": True, "clauseNames": [number],
         "schema": {"type": "datetime", "system": number}}
        for number, name in READ_ONLY
    ]  # fmt: skip


def _permissions(session: Session, asked: str | None) -> JsonObject:
    names = [str(p) for p in Permission] if asked is None else asked.split(",")
    unknown = [name for name in names if name not in set(Permission)]
    if unknown:
        raise JiraError(400, f"Unrecognized permission: {unknown[0]}")
    return {
        name: {
            "id": str(number),
            "key": name,
            "name": name.replace("_", " ").capitalize(),
            "type": "GLOBAL" if name == Permission.ADMINISTER else "PROJECT",
            "description": "",
            "havePermission": session.may(Permission(name)),
        }
        for number, name in enumerate(names, 10)
    }
