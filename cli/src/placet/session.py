"""Who a command signs in as: PLACET_URL and friends, else an account of the local stack."""

import os

from placet import accounts
from placet.api import Api
from placet.home import Home
from placet.state import State


class NoAccountError(Exception):
    """There is nobody to sign in as; the message says how to name somebody."""


def sign_in(username: str | None, *, default: str, home: Home | None = None) -> Api:
    """A session not yet entered: of `username`, else of PLACET_USERNAME, else of `default`.

    Raises:
        NoAccountError: no address, or no password for that account.
    """
    here = home or Home.of()
    state = State.load(here)
    url = os.environ.get("PLACET_URL") or (state.review if state else None)
    if not url:
        raise NoAccountError(
            "no review service: start one with `placet up`, or set PLACET_URL, PLACET_USERNAME "
            "and PLACET_PASSWORD"
        )
    name = username or os.environ.get("PLACET_USERNAME") or default
    return Api(url.rstrip("/"), name, _password(here, name))


def _password(home: Home, name: str) -> str:
    if name == os.environ.get("PLACET_USERNAME") and os.environ.get("PLACET_PASSWORD"):
        return os.environ["PLACET_PASSWORD"]
    known = {account.username: account.password for account in accounts.load(home.accounts_file)}
    if name in known:
        return known[name]
    there = ", ".join(known) or "none yet"
    raise NoAccountError(
        f"no password for {name!r}. Accounts of this stack: {there}. For another one set "
        "PLACET_USERNAME and PLACET_PASSWORD"
    )
