"""Requests to one SharePoint list: read an item, its versions, the list; write under an ETag.

Owns addresses, headers and forms. They come from `office365`, whose habits of sending more than was
asked for are off: no form digest (OAuth needs none), no `execute_query_retry`, no second try after
a refused digest, no `GET ParentList` before a write, no `IF-MATCH: *`. One call here is one request
of that kind; a token may be fetched before it, and a reading request that a token was refused for
is sent once more with a new one.
"""

import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from office365.runtime.client_request import ClientRequest
from office365.runtime.client_request_exception import ClientRequestException
from office365.runtime.http.http_method import HttpMethod
from office365.runtime.http.request_options import RequestOptions
from office365.sharepoint.client_context import ClientContext
from requests import Response

from dispatcher.targets.sharepoint_answers import Answer, LostError
from dispatcher.targets.sharepoint_http import NoAnswerError, Session, answer_of
from dispatcher.targets.sharepoint_token import Tokens
from dispatcher.targets.watchdog import Watchdog

_PLAIN: Final = "application/json;odata=nometadata"
_WITH_ETAG: Final = "application/json;odata=minimalmetadata"  # has `odata.etag` in the body
_UNAUTHORIZED: Final = 401


class Client:
    """One connection to one list, for one thread at a time."""

    def __init__(
        self, site: str, title: str, tokens: Tokens, limit: float, watchdog: Watchdog
    ) -> None:
        self._tokens = tokens
        self._session = Session(site, limit, watchdog)
        context = ClientContext(site).with_transport(session=self._session)
        self._request = context.pending_request()
        self._request.beforeExecute -= self._request.ensure_form_digest
        self._web = context.web
        self._list = context.web.lists.get_by_title(title)

    def web_rights(self) -> Answer:
        """Ask what this login may do on the site."""
        return self._get(f"{self._web.resource_url}?$select=EffectiveBasePermissions")

    def list_settings(self) -> Answer:
        """Ask what the list is like, and what this login may do there."""
        names = "Id,Title,EnableVersioning,EffectiveBasePermissions"
        return self._get(f"{self._list.resource_url}?$select={names}")

    def fields(self) -> Answer:
        """Ask for all columns: what only some types have cannot be asked for by name."""
        return self._get(str(self._list.fields.resource_url))

    def item(self, number: int, names: tuple[str, ...]) -> Answer:
        """Ask for one item's columns."""
        url = self._list.get_item_by_id(number).resource_url
        return self._get(f"{url}?$select=Id,{','.join(names)}", _WITH_ETAG)

    def versions(self, number: int, names: tuple[str, ...] = ()) -> Answer:
        """Ask for every version of an item that is kept; of `names` alone, where there are any."""
        url = str(self._list.get_item_by_id(number).versions.resource_url)
        return self._get(f"{url}?$select=VersionId,{','.join(names)}" if names else url)

    def merge(self, number: int, etag: str, body: bytes) -> Answer:
        """Change an item, if it still is the one that `etag` names.

        Raises:
            LostError: no token; nothing was sent.
            NoAnswerError: no whole answer.
        """
        request = RequestOptions(
            url=str(self._list.get_item_by_id(number).resource_url),
            method=HttpMethod.Post,
            data=body,
            headers={
                "X-HTTP-Method": "MERGE",
                "IF-MATCH": etag,  # spelt as `office365` spells its own
                "Accept": _PLAIN,
                "Content-Type": _PLAIN,
            },
        )
        token = self._tokens.current()
        answer = self._send(request, token)
        if answer.status == _UNAUTHORIZED:
            self._tokens.spoilt(token)
        return answer

    def close(self) -> None:
        """Let go of the connection."""
        self._session.close()

    def _get(self, url: str, accept: str = _PLAIN) -> Answer:
        """Return the answer to a GET.

        Raises:
            LostError: there is none.
        """
        try:
            token = self._tokens.current()
            answer = self._send(RequestOptions(url=url, headers={"Accept": accept}), token)
            if answer.status == _UNAUTHORIZED:  # it expired early, or was taken back
                self._tokens.spoilt(token)
                token = self._tokens.current()
                answer = self._send(RequestOptions(url=url, headers={"Accept": accept}), token)
                if answer.status == _UNAUTHORIZED:
                    self._tokens.spoilt(token)
        except NoAnswerError as error:
            raise LostError(error.unavailable) from error
        return answer

    def _send(self, request: RequestOptions, token: str) -> Answer:
        request.set_header("Authorization", f"Bearer {token}")

        def send() -> Response:
            try:
                # Not `SharePointRequest`'s own, which sends again after a refused digest.
                return ClientRequest.execute_request_direct(self._request, request)
            except ClientRequestException as error:
                if error.response is None:
                    raise
                return error.response

        return answer_of(send)


class Clients:
    """The clients of one target: as many as are used at once, each lent to one thread."""

    def __init__(
        self, site: str, title: str, tokens: Tokens, limit: float, watchdog: Watchdog
    ) -> None:
        self._arguments = (site, title, tokens, limit, watchdog)
        self._watchdog = watchdog
        self._idle: queue.LifoQueue[Client] = queue.LifoQueue()
        self._closed = threading.Event()

    @contextmanager
    def lend(self) -> Iterator[Client]:
        """Lend a client."""
        try:
            client = self._idle.get_nowait()
        except queue.Empty:
            client = Client(*self._arguments)
        try:
            yield client
        finally:
            self._idle.put(client)
            if self._closed.is_set():
                self.close()

    def close(self) -> None:
        """Let go of every connection that is not lent, and of those when they come back."""
        self._closed.set()
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                break
        self._watchdog.close()


def json_body(wires: Mapping[str, str]) -> bytes:
    """Return a JSON object of values that are JSON texts already; numbers stay as spelt."""
    pairs = [f'"{name}":{wire}' for name, wire in sorted(wires.items())]
    return ("{" + ",".join(pairs) + "}").encode()
