"""Writer schemas of Confluent's wire format, by id, from a registry. Owns the asking and the cache.

A schema id means the same schema for ever, so what was found once is kept. What was not found is
asked for again after a while: somebody may have pointed this service at the wrong registry.
"""

import json
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from fastavro import parse_schema
from fastavro.schema import SchemaParseException, UnknownType

from contract.codec import Schema
from conveyor.errors import UnavailableError

_TIMEOUT: Final = 5.0
_ASK_AGAIN: Final = 30.0
_MAX_ABSENT: Final = 10_000
_MAX_BYTES: Final = 4_194_304
_NOT_FOUND: Final = 404


class Registry:
    """Answers schema ids. Used by one thread."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`url` is the address before `/schemas/ids/…`; nothing is asked yet."""
        if urlsplit(url).scheme not in ("http", "https"):
            message = f"PLACET_SCHEMA_REGISTRY_URL: an http(s) address is needed, not {url!r}"
            raise ValueError(message)
        self._url = url.rstrip("/")
        self._clock = clock
        self._known: dict[int, Schema] = {}
        self._absent: dict[int, float] = {}

    def resolve(self, number: int) -> Schema:
        """Return the parsed schema with this id. Blocks up to 5 s.

        Raises:
            LookupError: the registry has none, or one that is no Avro schema.
            UnavailableError: the registry did not answer; ask again later.
        """
        known = self._known.get(number)
        if known is not None:
            return known
        now = self._clock()
        if now - self._absent.get(number, -_ASK_AGAIN) < _ASK_AGAIN:
            raise LookupError(number)
        try:
            schema = _parse(self._ask(number))
        except LookupError:
            if len(self._absent) >= _MAX_ABSENT:
                self._absent.clear()
            self._absent[number] = now
            raise
        self._known[number] = schema
        return schema

    def _ask(self, number: int) -> dict[str, Any]:
        request = Request(  # noqa: S310 - the scheme was checked
            f"{self._url}/schemas/ids/{number}",
            headers={"Accept": "application/vnd.schemaregistry.v1+json, application/json"},
        )
        try:
            with urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310 - as above
                answer = json.loads(response.read(_MAX_BYTES))
        except HTTPError as error:
            if error.code == _NOT_FOUND:
                raise LookupError(number) from error
            raise UnavailableError(f"schema registry: HTTP {error.code} for {number}") from error
        except (URLError, OSError, ValueError) as error:
            raise UnavailableError(f"schema registry: {error}") from error
        if not isinstance(answer, dict):
            raise UnavailableError("schema registry: an answer that is no JSON object")
        return answer


def _parse(answer: dict[str, Any]) -> Schema:
    """Return the schema in an answer; whatever Avro cannot use is as good as absent."""
    if answer.get("schemaType", "AVRO") != "AVRO":
        raise LookupError(answer["schemaType"])
    try:
        parsed = parse_schema(json.loads(answer["schema"]))
    except (KeyError, TypeError, ValueError, SchemaParseException, UnknownType) as error:
        raise LookupError("no Avro schema that stands alone") from error
    if not isinstance(parsed, dict):
        raise LookupError("a schema of a bare type, not of a record")  # noqa: TRY004 - an absence
    return parsed
