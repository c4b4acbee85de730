"""What somebody sets for themselves: the keys of the desk. A form that works without scripts."""

from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from review_api.api.guard import GuardedRoute, needs
from review_api.desk import desk_of
from review_api.keymap import USUAL, Keymap, chosen_keys, keymap_of
from review_api.pages.render import html
from review_api.problems import Code, ProblemError
from review_api.roles import Permission

router = APIRouter(route_class=GuardedRoute, include_in_schema=False)

PATH: Final = "/review/settings"


@router.get(PATH, **needs(Permission.SIGNED_IN))
async def settings(request: Request, saved: str = "") -> Response:
    """Return the keys of whoever is signed in."""
    return _page(request, keymap_of(request.state.keymap), saved=bool(saved))


@router.post(PATH, **needs(Permission.SIGNED_IN))
async def save(request: Request) -> Response:
    """Keep other keys, or switch them on or off; they count from the next page on."""
    sent = {name: str(value) for name, value in (await request.form()).items()}
    before = keymap_of(request.state.keymap)
    typed = {name: sent[name].strip() for name in USUAL if name in sent}
    on = "on" in sent
    try:
        match sent.get("what"):
            case "usual":
                kept = Keymap(on=before.on)
            case "switch":
                kept = Keymap(on=on, keys=before.keys)
            case "keys":
                kept = chosen_keys(typed, on=on)
            case _:
                raise ProblemError(Code.BAD_BODY, "The form is incomplete.")
    except ProblemError as problem:
        if problem.code is not Code.BAD_VALUE:
            raise
        shown = Keymap(on=on, keys={name: typed.get(name, "") for name in USUAL})
        return _page(request, shown, problem=problem)
    kept_for = {"person": request.state.actor.person_id, "keymap": kept.text()}
    await desk_of(request).store.run(("save_keymap", kept_for))
    return RedirectResponse(f"{PATH}?saved=1", 303)


def _page(
    request: Request,
    chosen: Keymap,
    *,
    saved: bool = False,
    problem: ProblemError | None = None,
) -> Response:
    return html(
        request,
        "settings.html",
        200 if problem is None else problem.kind.status,
        chosen=chosen,
        saved=saved,
        problem=problem,
    )
