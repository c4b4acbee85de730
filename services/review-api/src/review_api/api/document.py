"""The OpenAPI document, with errors as they are sent: one problem document for every refusal.

Owns what the framework cannot know of its own: refusals come as RFC 9457 documents with a code of
the closed list, whoever raised them.
"""

from typing import Any, Final

from fastapi import FastAPI

from review_api.problems import Code

_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "title": "Problem",
    "description": "Why a request is refused (RFC 9457). Nothing was changed unless it says so.",
    "required": ["type", "title", "status", "code", "detail", "next", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "enum": [code.value for code in Code]},
        "detail": {"type": "string", "description": "What is wrong with this request."},
        "next": {"type": "string", "description": "What to do."},
        "request_id": {"type": "string", "description": "Also in X-Request-Id, and in our logs."},
    },
    "additionalProperties": True,
}
_REFUSED: Final[dict[str, Any]] = {
    "description": "Refused: the code says why.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_FRAMEWORKS: Final = ("HTTPValidationError", "ValidationError")


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the document of `app`. The same object each time, made once."""
    document = app.openapi()
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    if "Problem" in schemas:
        return document
    schemas["Problem"] = _PROBLEM
    for name in _FRAMEWORKS:
        schemas.pop(name, None)
    for place in document["paths"].values():
        for operation in place.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _REFUSED
    return document
