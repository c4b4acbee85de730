"""The named statements of `queries.sql`. Owns nothing but the reading of that file."""

import re
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def _load() -> Mapping[str, bytes]:
    parts = _NAME.split(files("dispatcher").joinpath("queries.sql").read_text("utf-8"))
    names, texts = parts[1::2], parts[2::2]
    return MappingProxyType(
        {name: text.strip().encode() for name, text in zip(names, texts, strict=True)}
    )


QUERIES: Final = _load()
