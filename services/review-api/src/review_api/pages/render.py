"""Templates into answers. Owns the environment: escaping is on, undefined names are errors."""

import gzip
import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, Final
from urllib.parse import urlsplit

from fastapi import Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from review_api import auth, marks
from review_api.api.guard import session_token
from review_api.desk import desk_of
from review_api.keymap import keymap_of
from review_api.listing import count_text
from review_api.roles import Permission, may
from review_api.store import Actor

_FOLDER: Final = files("review_api").joinpath("static")
STATIC: Final[Mapping[str, bytes]] = {
    entry.name: entry.read_bytes() for entry in _FOLDER.iterdir() if entry.is_file()
}
"""Every static file by name. Read once: they are part of the release."""

SMALL: Final = {name: gzip.compress(data, mtime=0) for name, data in STATIC.items()}
"""The same, compressed."""

_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400


_ALL: Final = b"\0".join(STATIC[name] for name in sorted(STATIC))
RELEASE: Final = hashlib.sha256(_ALL).hexdigest()[:12]
"""Another content of any static file is another folder, so modules can name each other."""


def asset(name: str) -> str:
    """Return the address of a static file."""
    return f"/review/static/{RELEASE}/{name}"


def clock(moment: datetime) -> str:
    """Return a moment as people read it, UTC: the time, and the day where it is not today."""
    today = datetime.now(UTC).date()
    moment = moment.astimezone(UTC)
    return f"{moment:%H:%M:%S}" if moment.date() == today else f"{moment:%d %b %Y, %H:%M}"


def due(moment: datetime | None) -> str:
    """Return when something is due, roughly."""
    if moment is None:
        return "no due date"
    left = moment - datetime.now(UTC)
    if left < timedelta(0):
        return f"overdue by {span(-left.total_seconds())}"
    return f"due in {span(left.total_seconds())}"


def span(seconds: float) -> str:
    """Return a length of time, roughly."""
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def ago(moment: datetime) -> str:
    """Return how long ago a moment was."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    return "just now" if seconds < 1 else f"{span(seconds)} ago"


def link(uri: str) -> str | None:
    """Return `uri` where it may be a link: http and https, nothing else."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    return uri if parts.scheme in {"http", "https"} and parts.netloc else None


_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)


def seen(text: str) -> Markup:
    """Return `text` with what has no shape, or turns its neighbours around, made visible.

    Somebody approves what they read: an override must not make it look like something else.
    """
    parts, at = [], 0
    for found in _UNSEEN.finditer(text):
        code = f"U+{ord(found.group()):04X}"
        parts += [escape(text[at : found.start()]), Markup('<span class="ctl">'), code, _END]
        at = found.end()
    return Markup("").join([*parts, escape(text[at:])])


def shaped(text: str) -> str:
    """Return the same as text alone, for where no markup may be: names, and text in pictures."""
    return _UNSEEN.sub(lambda found: f"U+{ord(found.group()):04X}", text)


_END: Final = Markup("</span>")

_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("review_api", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


def hour(moment: datetime) -> str:
    """Return the time of day, UTC, to the second."""
    return f"{moment.astimezone(UTC):%H:%M:%S}"


_ENVIRONMENT.globals.update(asset=asset, link=link, marks=marks, count_text=count_text)
_ENVIRONMENT.filters.update(clock=clock, hour=hour, due=due, span=span, ago=ago, seen=seen)
_ENVIRONMENT.filters.update(shaped=shaped)


def _shortcut(key: str) -> Markup:
    """Return the attributes of what a key presses; none where there is no key."""
    if not key:
        return Markup("")
    return Markup(' data-key="{0}" aria-keyshortcuts="{0}"').format(key)


def _printed(key: str) -> Markup:
    """Return a key as it is printed on a button."""
    return Markup('<kbd aria-hidden="true">{}</kbd>').format(key) if key else Markup("")


def _company_name(request: Request) -> str:
    company = desk_of(request).company
    return "" if company is None else company.provider.company.name


def html(request: Request, template: str, status: int = 200, /, **values: Any) -> Response:
    """Return a page. Never kept by caches: it may hold what only this person may see."""
    actor: Actor | None = getattr(request.state, "actor", None)
    keymap = keymap_of(getattr(request.state, "keymap", None))
    text = _ENVIRONMENT.get_template(template).render(
        actor=actor,
        csrf=auth.csrf_of(session_token(request)) if actor is not None else "",
        may_decide=actor is not None and may(actor.roles, Permission.DECIDE),
        may_read=actor is not None and may(actor.roles, Permission.READ),
        may_oversee=actor is not None and may(actor.roles, Permission.OVERSEE),
        may_audit=actor is not None and may(actor.roles, Permission.AUDIT),
        may_pause=actor is not None and may(actor.roles, Permission.PAUSE),
        stops=[] if actor is None else desk_of(request).stops.known,
        here=request.url.path,
        company_name=_company_name(request),
        keymap=keymap,
        pressed_by=lambda name: _shortcut(keymap.key(name)),
        kbd=lambda name: _printed(keymap.key(name)),
        **values,
    )
    headers = {"Cache-Control": "no-store", "Vary": "Cookie"}
    return Response(text, status, headers, media_type="text/html; charset=utf-8")
