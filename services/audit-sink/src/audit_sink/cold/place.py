"""Where the cold store is, as one text: a folder, or `s3://bucket/prefix`. Opens it."""

import re
from pathlib import Path
from typing import Final

from audit_sink.cold.bucket import Account, BucketCold, Lock, client
from audit_sink.cold.files import FolderCold

_BUCKET: Final = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9._/-]*))?")
OpenCold = FolderCold | BucketCold


class ColdPlaceError(ValueError):
    """This text names no cold store. The message says which forms do."""


def bucket_of(text: str) -> tuple[str, str]:
    """Return bucket and prefix (empty, or with a slash at its end). Raises ColdPlaceError."""
    match = _BUCKET.fullmatch(text)
    if match is None:
        raise ColdPlaceError(f"{text[:80]!r}: say s3://BUCKET or s3://BUCKET/PREFIX")
    prefix = (match[2] or "").strip("/")
    return match[1], f"{prefix}/" if prefix else ""


def open_cold(
    place: str, account: Account, lock: Lock | None = None, *, create: bool = False
) -> OpenCold:
    """Open the store at `place`; `create` makes a folder that is not there.

    Raises:
        ColdPlaceError: no such form.
        FileProblemError: no such folder.
    """
    if "://" not in place:
        return FolderCold(Path(place).expanduser(), create=create)
    bucket, prefix = bucket_of(place)
    return BucketCold(client(account), bucket, prefix, lock)
