"""The page at `/`: records as they are, what was done to them, and the buttons that break it."""

import json
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, PackageLoader, select_autoescape

from sandbox.fault_layer import FaultLayer
from sandbox.faults import FaultBook
from sandbox.store import JsonObject, Store
from sandbox.system import System

SHOWN_EFFECTS = 30
SHOWN_REQUESTS = 30

# Buttons: what they say and the rule they post.
BUTTONS: list[tuple[str, str, JsonObject]] = [
    ("Drop the answer", "does the work, then ends the connection", {"kind": "drop"}),
    ("Cut mid-body", "does the work, sends half of the answer", {"kind": "cut"}),
    ("Half a JSON", "a well-formed answer around half a document", {"kind": "truncate"}),
    ("Hold", "waits before the work until released", {"kind": "hold"}),
    ("Hold the answer", "does the work, then waits", {"kind": "hold", "when": "after"}),
    ("Delay 5 s", "then works as usual", {"kind": "delay", "seconds": 5}),
    ("500", "nothing is done", {"kind": "500"}),
    ("500 after work", "done, but says it failed", {"kind": "500", "when": "after"}),
    ("503", "with Retry-After 5", {"kind": "503", "retry_after": 5}),
    ("429", "with Retry-After 5", {"kind": "429", "retry_after": 5}),
    ("412", "nothing is done", {"kind": "412"}),
    ("Sign-in page", "200 with HTML instead of an answer", {"kind": "page"}),
]


def page(system: System, store: Store, book: FaultBook, layer: FaultLayer) -> APIRouter:
    router = APIRouter()
    environment = Environment(
        loader=PackageLoader("sandbox"), autoescape=select_autoescape(), trim_blocks=True
    )
    environment.filters["clock"] = _clock
    environment.filters["day"] = _day
    environment.filters["compact"] = _compact
    templates = Jinja2Templates(env=environment)

    @router.get("/", response_class=HTMLResponse)
    async def show(request: Request) -> HTMLResponse:
        context = {
            "system": system,
            "records": system.records(),
            "effects": store.last_effects(SHOWN_EFFECTS),
            "effect_count": store.effect_count(),
            "requests": list(layer.requests)[-SHOWN_REQUESTS:][::-1],
            "faults": book.as_json(),
            "held": layer.held.as_json(),
            "settings": store.settings(),
            "buttons": BUTTONS,
        }
        return templates.TemplateResponse(request, "page.html", context)

    return router


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%-d %b}"


def _compact(value: object) -> str:
    """A value on one line, as people read it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
