"""What a bucket really enforces, found out by trying: the lock-conformance suite.

Owns the probes, each a claim that should hold and one attempt to break it. A claim that the server
breaks, or answers with an error of its own, is NOT ENFORCED. Leaves a few small objects locked for
some minutes under `placet-lock-check/`; refuses to touch any other.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from audit_sink.cold.bucket import Account, client
from conveyor.errors import UnavailableError

_FOLDER: Final = "placet-lock-check/"
_PERIOD: Final = timedelta(minutes=10)
_SERVER: Final = 500
_BODY: Final = b"placet lock check"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """One claim, and whether it held."""

    claim: str
    enforced: bool
    said: str
    """What the server answered to the attempt, in short."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where probes work."""

    s3: Any
    account: Account
    bucket: str
    prefix: str
    now: datetime

    def key(self, name: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": f"{self.prefix}{name}-{secrets.token_hex(4)}"}

    def put(self, name: str, **more: Any) -> dict[str, str]:
        """Write an object and return what names its version."""
        key = self.key(name)
        made = self.s3.put_object(**key, Body=_BODY, **more)
        _holds(made.get("VersionId"), "an object gets no version")
        return {**key, "VersionId": made["VersionId"]}

    def locked(self, mode: str, name: str) -> dict[str, str]:
        return self.put(name, **self.lock(mode))

    def lock(self, mode: str, period: timedelta = _PERIOD) -> dict[str, Any]:
        return {"ObjectLockMode": mode, "ObjectLockRetainUntilDate": self.now + period}

    def retain(self, version: dict[str, str], mode: str, period: timedelta, **more: Any) -> Any:
        retention = {"Mode": mode, "RetainUntilDate": self.now + period}
        return self.s3.put_object_retention(**version, Retention=retention, **more)

    def reads(self, version: dict[str, str]) -> bool:
        with self.s3.get_object(**version)["Body"] as body:
            return bool(body.read() == _BODY)


class _BrokenError(Exception):
    """The claim does not hold; the message says what happened instead."""


_Probe = Callable[[_Place], None]


def _denied(attempt: Callable[[], Any]) -> None:
    """Make an attempt that must be refused."""
    try:
        attempt()
    except ClientError as error:
        if error.response["ResponseMetadata"].get("HTTPStatusCode", 0) >= _SERVER:
            raise
        return
    raise _BrokenError("it was allowed")


def _holds(what: object, instead: str) -> None:
    if not what:
        raise _BrokenError(instead)


def _versions(place: _Place) -> None:
    found = place.s3.get_bucket_versioning(Bucket=place.bucket).get("Status")
    _holds(found == "Enabled", f"versioning: {found}")


def _lock_on(place: _Place) -> None:
    found = place.s3.get_object_lock_configuration(Bucket=place.bucket)
    said = found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled")
    _holds(said == "Enabled", f"object lock: {said}")


def _not_suspended(place: _Place) -> None:
    def suspend() -> None:
        place.s3.put_bucket_versioning(
            Bucket=place.bucket, VersioningConfiguration={"Status": "Suspended"}
        )

    try:
        _denied(suspend)
    except _BrokenError:
        place.s3.put_bucket_versioning(
            Bucket=place.bucket, VersioningConfiguration={"Status": "Enabled"}
        )
        raise


def _create_only(place: _Place) -> None:
    key = place.key("create-only")
    place.s3.put_object(**key, Body=_BODY, IfNoneMatch="*")
    _denied(lambda: place.s3.put_object(**key, Body=b"other", IfNoneMatch="*"))


def _create_only_leaves(place: _Place) -> None:
    key = place.key("create-only-again")
    version = place.s3.put_object(**key, Body=_BODY, IfNoneMatch="*").get("VersionId")
    try:
        place.s3.put_object(**key, Body=b"other", IfNoneMatch="*")
    except ClientError:
        newest = place.s3.head_object(**key).get("VersionId")
        _holds(newest == version, "the newest version is another one")
        return
    raise _BrokenError("it was allowed")


def _sha256(place: _Place) -> None:
    wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    _denied(lambda: place.s3.put_object(**place.key("sha"), Body=_BODY, ChecksumSHA256=wrong))


def _md5(place: _Place) -> None:
    wrong = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
    _denied(lambda: place.s3.put_object(**place.key("md5"), Body=_BODY, ContentMD5=wrong))


def _signed_body(place: _Place) -> None:
    """Change the body behind the signature, which covers its digest."""
    account = place.account
    s3 = boto3.client(
        "s3",
        endpoint_url=account.endpoint,
        region_name=account.region,
        aws_access_key_id=account.key_id,
        aws_secret_access_key=account.secret,
        config=Config(
            request_checksum_calculation="when_required",
            retries={"total_max_attempts": 1},
            s3={"payload_signing_enabled": True, "addressing_style": "path"},
        ),
    )

    def change(request: Any, **_: Any) -> None:
        request.body = b"X" * len(_BODY)

    s3.meta.events.register_first("before-send.s3.PutObject", change)
    try:
        _denied(lambda: s3.put_object(**place.key("signed-body"), Body=_BODY))
    finally:
        s3.close()


def _wrong_secret(place: _Place) -> None:
    _holds(place.account.secret, "not tried: the secret key is not given to us")
    s3 = client(replace(place.account, secret="wrong"))  # noqa: S106 - that is the point
    try:
        _denied(lambda: s3.list_objects_v2(Bucket=place.bucket, MaxKeys=1))
    finally:
        s3.close()


def _overwritten(place: _Place) -> None:
    version = place.put("overwritten")
    key = {name: version[name] for name in ("Bucket", "Key")}
    place.s3.put_object(**key, Body=b"other")
    _holds(place.reads(version), "the older version is gone")


def _marker(place: _Place) -> None:
    version = place.put("marker")
    place.s3.delete_object(Bucket=version["Bucket"], Key=version["Key"])
    _holds(place.reads(version), "the version is gone")


def _locked_marker(place: _Place) -> None:
    version = place.locked("COMPLIANCE", "locked-marker")
    place.s3.delete_object(Bucket=version["Bucket"], Key=version["Key"])
    _holds(place.reads(version), "the version is gone")


def _range(place: _Place) -> None:
    version = place.put("range")
    with place.s3.get_object(**version, Range="bytes=3-6")["Body"] as body:
        _holds(body.read() == _BODY[3:7], "other bytes were returned")


def _retention_told(place: _Place) -> None:
    found = place.s3.get_object_retention(**place.locked("COMPLIANCE", "told"))["Retention"]
    _holds(found["Mode"] == "COMPLIANCE", f"mode {found['Mode']}")
    _holds(found["RetainUntilDate"] == place.now + _PERIOD, f"until {found['RetainUntilDate']}")


def _head_told(place: _Place) -> None:
    found = place.s3.head_object(**place.locked("COMPLIANCE", "head"))
    _holds(found.get("ObjectLockMode") == "COMPLIANCE", "the mode is not told")
    _holds(found.get("ObjectLockRetainUntilDate") == place.now + _PERIOD, "the time is not told")


def _delete(mode: str, **more: Any) -> _Probe:
    def probe(place: _Place) -> None:
        version = place.locked(mode, "delete")
        _denied(lambda: place.s3.delete_object(**version, **more))
        _holds(place.reads(version), "refused, and the version is gone all the same")

    return probe


def _batch_delete(place: _Place) -> None:
    version = place.locked("COMPLIANCE", "batch-delete")
    listed = [{"Key": version["Key"], "VersionId": version["VersionId"]}]
    with suppress(ClientError):  # one way to refuse; the other is an answer that lists errors
        place.s3.delete_objects(Bucket=place.bucket, Delete={"Objects": listed})
    _holds(place.reads(version), "the version is gone")


def _retain(mode: str, to: str, period: timedelta, **more: Any) -> _Probe:
    def probe(place: _Place) -> None:
        version = place.locked(mode, "retain")
        _denied(lambda: place.retain(version, to, period, **more))

    return probe


def _allowed(mode: str, to: str) -> _Probe:
    def probe(place: _Place) -> None:
        version = place.locked(mode, "longer")
        place.retain(version, to, 2 * _PERIOD)
        found = place.s3.get_object_retention(**version)["Retention"]
        _holds(found["RetainUntilDate"] == place.now + 2 * _PERIOD, "it is not in effect")

    return probe


def _no_retention(place: _Place) -> None:
    version = place.locked("COMPLIANCE", "none")
    _denied(lambda: place.s3.put_object_retention(**version, Retention={}))
    found = place.s3.get_object_retention(**version)["Retention"]
    _holds(found.get("Mode") == "COMPLIANCE", "refused, and the lock is gone all the same")


def _hold(place: _Place) -> None:
    version = place.put("hold", ObjectLockLegalHoldStatus="ON")
    _denied(lambda: place.s3.delete_object(**version))
    place.s3.put_object_legal_hold(**version, LegalHold={"Status": "OFF"})


def _hold_bypass(place: _Place) -> None:
    version = place.put("hold-bypass", ObjectLockLegalHoldStatus="ON")
    _denied(lambda: place.s3.delete_object(**version, BypassGovernanceRetention=True))
    place.s3.put_object_legal_hold(**version, LegalHold={"Status": "OFF"})


def _hold_off(place: _Place) -> None:
    version = place.put("hold-off", ObjectLockLegalHoldStatus="ON")
    place.s3.put_object_legal_hold(**version, LegalHold={"Status": "OFF"})
    place.s3.delete_object(**version)


def _past(place: _Place) -> None:
    lock = place.lock("COMPLIANCE", -_PERIOD)
    _denied(lambda: place.s3.put_object(**place.key("past"), Body=_BODY, **lock))


def _half_lock(place: _Place) -> None:
    key = place.key("half")
    _denied(lambda: place.s3.put_object(**key, Body=_BODY, ObjectLockMode="COMPLIANCE"))


_SHORTER: Final = _PERIOD / 2
PROBES: Final[Sequence[tuple[str, _Probe]]] = (
    ("the bucket keeps versions", _versions),
    ("the bucket has object lock", _lock_on),
    ("a taken key is not created again (If-None-Match)", _create_only),
    ("a refused creation leaves the object alone", _create_only_leaves),
    ("a body that is not its SHA-256 is refused", _sha256),
    ("a body that is not its MD5 is refused", _md5),
    ("a body changed behind its signature is refused", _signed_body),
    ("a wrong secret key is refused", _wrong_secret),
    ("an overwritten version can be read", _overwritten),
    ("a version hidden by a DELETE can be read", _marker),
    ("DELETE hides a locked object and leaves its version", _locked_marker),
    ("a range of a version is that range", _range),
    ("a lock is told as it was set", _retention_told),
    ("HEAD tells the lock", _head_told),
    ("COMPLIANCE: the version is not deleted", _delete("COMPLIANCE")),
    (
        "COMPLIANCE: nor by who may bypass governance",
        _delete("COMPLIANCE", BypassGovernanceRetention=True),
    ),
    ("COMPLIANCE: nor in a batch", _batch_delete),
    ("COMPLIANCE: not made shorter", _retain("COMPLIANCE", "COMPLIANCE", _SHORTER)),
    (
        "COMPLIANCE: nor by who may bypass governance (shorter)",
        _retain("COMPLIANCE", "COMPLIANCE", _SHORTER, BypassGovernanceRetention=True),
    ),
    ("COMPLIANCE: not made GOVERNANCE", _retain("COMPLIANCE", "GOVERNANCE", 2 * _PERIOD)),
    ("COMPLIANCE: not taken away", _no_retention),
    ("COMPLIANCE: made longer", _allowed("COMPLIANCE", "COMPLIANCE")),
    ("GOVERNANCE: the version is not deleted", _delete("GOVERNANCE")),
    ("GOVERNANCE: not made shorter", _retain("GOVERNANCE", "GOVERNANCE", _SHORTER)),
    ("GOVERNANCE: made COMPLIANCE", _allowed("GOVERNANCE", "COMPLIANCE")),
    ("legal hold: the version is not deleted", _hold),
    ("legal hold: nor by who may bypass governance", _hold_bypass),
    ("legal hold: taken off, it is", _hold_off),
    ("a lock that ends in the past is refused", _past),
    ("a lock without an end is refused", _half_lock),
    ("versions cannot be suspended", _not_suspended),  # last: it is set right again
)


def lock_check(account: Account, bucket: str, prefix: str = "") -> Iterator[Probed]:
    """Try every claim on a bucket that is there, and yield what came of it.

    Raises:
        UnavailableError: the server does not answer.
    """
    s3 = client(account)
    now = datetime.now(UTC).replace(microsecond=0)
    place = _Place(s3, account, bucket, f"{prefix}{_FOLDER}{secrets.token_hex(6)}/", now)
    try:
        for claim, probe in PROBES:
            yield _probed(claim, probe, place)
    finally:
        s3.close()


def _probed(claim: str, probe: _Probe, place: _Place) -> Probed:
    try:
        probe(place)
    except _BrokenError as error:
        return Probed(claim=claim, enforced=False, said=str(error))
    except ClientError as error:
        said = error.response.get("Error", {}).get("Code", "an error")
        return Probed(claim=claim, enforced=False, said=f"answered with {said}")
    except KeyError as error:
        return Probed(claim=claim, enforced=False, said=f"answered without {error}")
    except (BotoCoreError, OSError) as error:
        raise UnavailableError(f"the object store is away: {error}") from error
    return Probed(claim=claim, enforced=True, said="")
