"""One suite for every cold store: a folder, and a bucket with object lock on a real S3 server."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.object_store import new_bucket, object_store

from audit_sink.cold.bucket import FLOOR, Account, BucketCold, Lock, client
from audit_sink.cold.files import FolderCold
from audit_sink.cold.place import ColdPlaceError, OpenCold, bucket_of, open_cold
from audit_sink.cold.store import ColdConflictError, ColdRefusedError
from audit_sink.folder import FileProblemError, MissingFileError
from conveyor.errors import UnavailableError


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with object_store(tmp_path_factory.mktemp("s3")) as account:
        yield account


@pytest.fixture(scope="module")
def s3(account: Account) -> Iterator[Any]:
    made = client(account)
    yield made
    made.close()


@pytest.fixture(params=["folder", "bucket"])
def cold(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenCold]:
    if request.param == "folder":
        made: OpenCold = open_cold(str(tmp_path / "cold"), Account(), create=True)
    else:
        s3 = request.getfixturevalue("s3")
        account = request.getfixturevalue("account")
        made = open_cold(f"s3://{new_bucket(s3)}/some/where", account)
    yield made
    made.close()


def test_what_was_put_is_there(cold: OpenCold) -> None:
    data = os.urandom(10_000)
    version = cold.put_once("tile/0/x001/234.p", data)
    assert cold.get("tile/0/x001/234.p", version, 10_000) == data
    assert cold.get_range("tile/0/x001/234.p", version, 100, 50) == data[100:150]
    assert cold.get_range("tile/0/x001/234.p", version, 9_990, 50) == data[9_990:]


def test_the_same_again_changes_nothing_and_other_bytes_are_refused(cold: OpenCold) -> None:
    version = cold.put_once("a/b", b"once")
    assert cold.put_once("a/b", b"once") == version
    for other in (b"twice", b"onc", b"", b"once more"):
        with pytest.raises(ColdConflictError, match="a/b is there and"):
            cold.put_once("a/b", other)
    assert cold.get("a/b", version, 100) == b"once"
    assert len(list(cold.listed())) == 1


def test_a_longer_object_than_belongs_there_is_not_read(cold: OpenCold) -> None:
    version = cold.put_once("a", b"12345")
    with pytest.raises(FileProblemError, match="at most 4 belong"):
        cold.get("a", version, 4)


def test_what_is_not_there_is_missing(cold: OpenCold) -> None:
    version = cold.put_once("a", b"1")
    with pytest.raises(MissingFileError):
        cold.get("b", version, 10)
    with pytest.raises(FileProblemError):
        cold.get("a", "another-version", 10)
    with pytest.raises(FileProblemError):
        cold.get_range("b", version, 0, 10)


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x", "a//b", "", ".tmp/x", "a/.x", "ä", "a\n"])
def test_no_name_leads_outside(cold: OpenCold, name: str) -> None:
    with pytest.raises(FileProblemError, match="no name of an object"):
        cold.put_once(name, b"1")
    with pytest.raises(FileProblemError, match="no name of an object"):
        cold.get(name, "-", 10)


def test_everything_is_listed_by_name(cold: OpenCold) -> None:
    names = [f"{folder}/{number:03}" for folder in ("batch", "manifest") for number in range(3)]
    for name in reversed(names):
        cold.put_once(name, name.encode())
    assert [one.name for one in cold.listed()] == names
    assert [one.name for one in cold.listed("manifest/")] == names[3:]
    assert {one.size for one in cold.listed("manifest/")} == {12}
    assert not any(one.deleted for one in cold.listed())


def test_no_link_is_followed_out_of_a_folder(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(b"secret")
    cold = FolderCold(tmp_path / "cold", create=True)
    (tmp_path / "cold" / "a").symlink_to(outside)
    (tmp_path / "cold" / "b").symlink_to(outside / "x")
    with pytest.raises((FileProblemError, ColdRefusedError)):
        cold.put_once("a/new", b"1")
    with pytest.raises((FileProblemError, ColdConflictError), match="symbolic link"):
        cold.put_once("b", b"secret")
    for name in ("a/x", "b"):
        with pytest.raises(FileProblemError, match="link"):
            cold.get(name, "-", 10)
    with pytest.raises(FileProblemError, match="link"):
        list(cold.listed())
    assert sorted(one.name for one in outside.iterdir()) == ["x"]


def test_a_folder_is_swept_of_old_drafts_only(tmp_path: Path) -> None:
    FolderCold(tmp_path, create=True).close()
    old, new = tmp_path / ".tmp" / "old", tmp_path / ".tmp" / "new"
    for one in (old, new):
        one.write_bytes(b"half")
    os.utime(old, (0, 0))
    FolderCold(tmp_path, create=True).close()
    assert [one.name for one in (tmp_path / ".tmp").iterdir()] == ["new"]


@pytest.mark.parametrize("what", [{"lock": False}, {"lock": False, "versions": False}])
def test_a_bucket_without_versions_or_lock_is_refused(s3: Any, what: dict[str, bool]) -> None:
    cold = BucketCold(s3, new_bucket(s3, **what))
    with pytest.raises(ColdRefusedError, match=r"versions|object lock"):
        cold.put_once("a", b"1")
    assert list(cold.listed()) == []


def test_every_object_is_locked_and_never_for_less_than_six_months(s3: Any) -> None:
    bucket = new_bucket(s3)
    now = datetime.now(UTC)
    for mode in ("GOVERNANCE", "COMPLIANCE"):
        lock = Lock(mode=mode, period=timedelta(days=1))  # type: ignore[arg-type]
        version = BucketCold(s3, bucket, lock=lock).put_once(mode, b"1")
        found = s3.head_object(Bucket=bucket, Key=mode, VersionId=version)
        assert found["ObjectLockMode"] == mode
        assert found["ObjectLockRetainUntilDate"] >= now + FLOOR - timedelta(seconds=2)


def test_what_somebody_put_there_without_a_lock_is_locked_before_it_counts(s3: Any) -> None:
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="a", Body=b"1")
    version = BucketCold(s3, bucket).put_once("a", b"1")
    assert s3.head_object(Bucket=bucket, Key="a")["ObjectLockMode"] == "COMPLIANCE"
    assert s3.head_object(Bucket=bucket, Key="a")["VersionId"] == version


def test_a_later_version_does_not_hide_the_pinned_one(s3: Any) -> None:
    bucket = new_bucket(s3)
    cold = BucketCold(s3, bucket)
    version = cold.put_once("a", b"right")
    s3.put_object(Bucket=bucket, Key="a", Body=b"more")
    assert cold.get("a", version, 10) == b"right"
    assert sorted(one.size for one in cold.listed()) == [4, 5]
    s3.put_object(Bucket=bucket, Key="b", Body=b"1")
    s3.delete_object(Bucket=bucket, Key="b")
    assert [one.deleted for one in cold.listed("b")].count(True) == 1


class _Lying:
    """A client whose answers are other bytes than were stored."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def put_object(self, *, Body: bytes, ChecksumSHA256: str, **more: Any) -> Any:  # noqa: N803
        del Body, ChecksumSHA256
        return self._s3.put_object(Body=b"something else", **more)


def test_a_server_that_stores_other_bytes_is_found_out(s3: Any) -> None:
    with pytest.raises(ColdConflictError):
        BucketCold(_Lying(s3), new_bucket(s3)).put_once("a", b"what was sent.")


def test_a_server_that_is_away_is_unavailable() -> None:
    account = Account(endpoint="http://127.0.0.1:9", region="x", key_id="a", secret="b")
    with pytest.raises(UnavailableError):
        open_cold("s3://bucket", account).put_once("a", b"1")


def test_no_secret_is_in_what_is_printed() -> None:
    assert "hidden" not in repr(Account(key_id="id", secret="hidden"))


def test_places() -> None:
    assert bucket_of("s3://my-bucket") == ("my-bucket", "")
    assert bucket_of("s3://my-bucket/a/b/") == ("my-bucket", "a/b/")
    for bad in ("s3://", "s3://A", "https://x/y", "s3://b/ü", "s3:/b"):
        with pytest.raises(ColdPlaceError):
            bucket_of(bad)
