"""The statements in `queries.sql`, by name. Owns nothing but the reading of that file."""

import re
from importlib.resources import files
from types import MappingProxyType
from typing import Final, LiteralString, cast

_NAME: Final = re.compile(r"^-- name: ([a-z_]+)$", re.MULTILINE)


def _load() -> MappingProxyType[str, LiteralString]:
    text = files("audit_sink").joinpath("queries.sql").read_text("utf-8")
    _, *pieces = _NAME.split(text)
    names, bodies = pieces[::2], pieces[1::2]
    # The file is part of the release, which is what LiteralString asks for.
    return MappingProxyType(
        {
            name: cast("LiteralString", body.strip())
            for name, body in zip(names, bodies, strict=True)
        }
    )


QUERIES: Final = _load()
