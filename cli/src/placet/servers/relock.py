"""Make `kafka.lock` anew: `python -m placet.servers.relock 4.4.0`.

Owns resolving versions, which happens only here and never while a broker starts. Trusts what
Maven Central answers today; whoever commits the new file says so.
"""

import hashlib
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from jgo.maven import MavenContext

LOCK: Final = Path(__file__).parent.parent / "kafka.lock"
_LOG_BINDING: Final = ("org.slf4j", "slf4j-simple", "1.7.36")
"""Kafka brings slf4j-api 1.7 and nothing that prints."""
_HEAD: Final = """\
# Every jar of the local Kafka broker: Maven coordinate, bytes, SHA-256.
# org.apache.kafka:kafka_2.13:{version} with everything it needs at run time, and slf4j-simple,
# which prints its log. A jar that does not match its line is refused.
# Made by `python -m placet.servers.relock {version}`.
"""


def lock_text(version: str, repository: Path) -> str:
    """Resolve and download everything, and return the file's text. Needs the network."""
    context = MavenContext(repo_cache=repository, timeout=60)
    kafka = context.create_dependency(f"org.apache.kafka:kafka_2.13:{version}")
    named, needed = context.resolver.resolve([kafka])
    wanted = sorted(
        {(one.groupId, one.artifactId, one.version) for one in [*named, *needed]} | {_LOG_BINDING}
    )

    def line(coordinate: tuple[str, str, str]) -> str:
        group, artifact, number = coordinate
        found = context.project(group, artifact).at_version(number).artifact().resolve()
        content = Path(found).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        return f"{group}:{artifact}:{number} {len(content)} sha256:{digest}\n"

    with ThreadPoolExecutor(8) as pool:
        return _HEAD.format(version=version) + "".join(pool.map(line, wanted))


def main() -> None:
    """Write the lock file of the version on the command line."""
    with tempfile.TemporaryDirectory() as repository:
        LOCK.write_text(lock_text(sys.argv[1], Path(repository)), "utf-8")


if __name__ == "__main__":
    main()
