"""A real S3 server for tests: ministack as a process of its own, on loopback."""

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from tests.support.desk import wait_for

from audit_sink.cold.bucket import Account, client


@contextmanager
def object_store(folder: Path) -> Iterator[Account]:
    """Run ministack with S3 and nothing else; ended by its pid."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "MINISTACK_HOST": "127.0.0.1",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SERVICES": "s3",
        "HOME": str(folder),
        "TMPDIR": str(folder),
    }
    with (folder / "ministack.log").open("wb") as log:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("ministack"))],
            env=environment,
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    account = Account(
        endpoint=f"http://127.0.0.1:{port}", region="us-east-1", key_id="test", secret="test"
    )
    try:
        s3 = client(account)
        wait_for("ministack to answer", lambda: _answers(s3))
        s3.close()
        yield account
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def new_bucket(s3: Any, *, lock: bool = True, versions: bool = True) -> str:
    """Make a bucket as docs/deploying.md says, or with something left out."""
    name = f"cold-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
    if versions and not lock:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def _answers(s3: Any) -> bool:
    try:
        s3.list_buckets()
    except (BotoCoreError, ClientError):
        return False
    return True
