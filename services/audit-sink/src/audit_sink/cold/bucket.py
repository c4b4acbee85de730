"""A cold store in an S3 bucket with versions and object lock.

Owns how an object is created once, locked, and not believed until it has been read back. Whatever
the server says about digests, we compare SHA-256 ourselves; whatever it says about locks, we ask
for the lock of the very version. A plain DELETE or overwrite in such a bucket only hides a version:
that is why manifests pin version ids.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from audit_sink.cold.store import ColdConflictError, ColdRefusedError, Stored, checked_name
from audit_sink.folder import FileProblemError, MissingFileError
from conveyor.errors import UnavailableError

FLOOR: Final = timedelta(days=184)
"""Six months, the longest there are: nothing is locked for less, whatever the settings say."""
_GRACE: Final = timedelta(days=1)
_EXISTS: Final = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
_MISSING: Final = frozenset({"NoSuchKey", "NoSuchVersion", "404", "NotFound"})
_LATER: Final = frozenset({"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable"})
_STATUS_LATER: Final = 500

Mode = Literal["GOVERNANCE", "COMPLIANCE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """How every object is locked."""

    mode: Mode = "COMPLIANCE"
    period: timedelta = timedelta(days=366)

    def until(self, now: datetime) -> datetime:
        """Return the end of the lock of an object written at `now`: never before the floor."""
        return (now + max(self.period, FLOOR)).replace(microsecond=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where the server is and who asks. None: as the machine is set up (AWS_*, instance role)."""

    endpoint: str | None = None
    region: str | None = None
    key_id: str | None = None
    secret: str | None = None

    def __repr__(self) -> str:
        """Show no secret in a traceback."""
        return f"Account(endpoint={self.endpoint!r}, region={self.region!r})"


def client(account: Account) -> Any:
    """Return a boto3 client of S3."""
    return boto3.client(
        "s3",
        endpoint_url=account.endpoint,
        region_name=account.region,
        aws_access_key_id=account.key_id,
        aws_secret_access_key=account.secret,
        config=Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 3},
            s3={"addressing_style": "path" if account.endpoint else "auto"},
        ),
    )


class BucketCold:
    """`Cold` in a bucket, below a prefix."""

    def __init__(
        self,
        s3: Any,
        bucket: str,
        prefix: str = "",
        lock: Lock | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take a client of `client`; `prefix` is empty or ends with a slash. Asks nothing yet."""
        self._s3 = s3
        self._bucket = bucket
        self._prefix = prefix
        self._lock = lock or Lock()
        self._clock = clock
        self._is_checked = False

    def close(self) -> None:
        """End the connections."""
        self._s3.close()

    def put_once(self, name: str, data: bytes) -> str:
        """Create the object, read it back, and see to its lock."""
        self._check_bucket()
        until = self._lock.until(self._clock())
        try:
            with _told(name):
                made = self._s3.put_object(
                    **self._key(name),
                    Body=data,
                    IfNoneMatch="*",
                    ChecksumSHA256=_checksum(data),
                    ObjectLockMode=self._lock.mode,
                    ObjectLockRetainUntilDate=until,
                )
            version = _version(name, made)
        except _ThereError:
            version = self._newest(name)
        try:
            found = self.get(name, version, len(data))
        except FileProblemError as error:
            raise ColdConflictError(f"{name} is there and {error.problem}") from error
        if hashlib.sha256(found).digest() != hashlib.sha256(data).digest():
            raise ColdConflictError(f"{name} is there and holds other bytes")
        self._see_to_lock(name, version, until)
        return version

    def get(self, name: str, version: str, most: int) -> bytes:
        """Return the object, of that very version."""
        with _told(name):
            answer = self._s3.get_object(**self._key(name), VersionId=version)
            with answer["Body"] as body:
                if answer["ContentLength"] > most:
                    size = answer["ContentLength"]
                    raise FileProblemError(name, f"{size} bytes, where at most {most} belong")
                data: bytes = body.read(most + 1)
        if len(data) != answer["ContentLength"]:
            raise FileProblemError(name, f"{len(data)} bytes, not {answer['ContentLength']}")
        return data

    def get_range(self, name: str, version: str, start: int, count: int) -> bytes:
        """Return a piece of the object."""
        with _told(name):
            answer = self._s3.get_object(
                **self._key(name), VersionId=version, Range=f"bytes={start}-{start + count - 1}"
            )
            # A server that does not know ranges of versions sends all of it.
            skipped = 0 if "ContentRange" in answer else start
            with answer["Body"] as body:
                data: bytes = body.read(skipped + count)
        return data[skipped:]

    def listed(self, prefix: str = "") -> Iterator[Stored]:
        """Yield every version of every object, and every marker that hides one."""
        pages = self._s3.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        with _told(prefix):
            for page in pages:
                found = [self._stored(one, deleted=False) for one in page.get("Versions", [])]
                found += [self._stored(one, deleted=True) for one in page.get("DeleteMarkers", [])]
                yield from sorted(found, key=lambda one: one.name)

    def _stored(self, listed: dict[str, Any], *, deleted: bool) -> Stored:
        return Stored(
            name=listed["Key"].removeprefix(self._prefix),
            version=listed["VersionId"],
            size=listed.get("Size", 0),
            deleted=deleted,
        )

    def _key(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + checked_name(name)}

    def _check_bucket(self) -> None:
        """Refuse a bucket in which a manifest could pin nothing and a lock would not hold."""
        if self._is_checked:
            return
        with _told(self._bucket):
            versioning = self._s3.get_bucket_versioning(Bucket=self._bucket).get("Status")
            if versioning != "Enabled":
                raise ColdRefusedError(f"bucket {self._bucket}: it keeps no versions")
            try:
                found = self._s3.get_object_lock_configuration(Bucket=self._bucket)
            except ClientError as error:
                if _code(error) != "ObjectLockConfigurationNotFoundError":
                    raise
                found = {}
        if found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") != "Enabled":
            raise ColdRefusedError(f"bucket {self._bucket}: it was made without object lock")
        self._is_checked = True

    def _newest(self, name: str) -> str:
        with _told(name):
            return _version(name, self._s3.head_object(**self._key(name)))

    def _see_to_lock(self, name: str, version: str, until: datetime) -> None:
        """Lock the version where it is not, or not for as long as its first writer meant."""
        if self._is_locked(name, version, until):
            return
        with _told(name):
            self._s3.put_object_retention(
                **self._key(name),
                VersionId=version,
                Retention={"Mode": self._lock.mode, "RetainUntilDate": until},
            )
        if not self._is_locked(name, version, until):
            raise ColdRefusedError(f"{name}: the bucket took it, but does not lock it")

    def _is_locked(self, name: str, version: str, until: datetime) -> bool:
        with _told(name):
            found = self._s3.head_object(**self._key(name), VersionId=version)
        mode, end = found.get("ObjectLockMode"), found.get("ObjectLockRetainUntilDate")
        # A day of grace: what an attempt that broke off has written is as good as new.
        return mode in (self._lock.mode, "COMPLIANCE") and bool(end) and end >= until - _GRACE


class _ThereError(ColdConflictError):
    """The key is taken, or somebody writes to it at this moment."""


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Say what S3 says in the port's words."""
    try:
        yield
    except ClientError as error:
        code, status = _code(error), error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
        if code in _EXISTS:
            raise _ThereError(name) from error
        if code in _MISSING or status == 404:  # noqa: PLR2004 - a HEAD has no code
            raise MissingFileError(name, "missing") from error
        if code in _LATER or status >= _STATUS_LATER:
            raise UnavailableError(f"{name}: the object store is away: {code}") from error
        if code == "InvalidRange":
            raise FileProblemError(name, "shorter than it should be") from error
        if code in ("InvalidArgument", "InvalidVersionId", "400"):
            raise FileProblemError(name, f"cannot be read: {code}") from error
        raise ColdRefusedError(f"{name}: the object store refuses: {error}") from error
    except (BotoCoreError, OSError) as error:
        raise UnavailableError(f"{name}: the object store is away: {error}") from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _version(name: str, answer: dict[str, Any]) -> str:
    version = answer.get("VersionId")
    if not isinstance(version, str) or version == "null":
        raise ColdRefusedError(f"{name}: the bucket gave it no version")
    return version


def _checksum(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()
