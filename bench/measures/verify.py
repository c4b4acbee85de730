"""`placet audit verify` over all that was sealed so far: the verifier itself, from the files.

Without the start of a process and without the ledger, which is a question of a millisecond. Files
were written minutes ago, so they come from the page cache: it is hashing that is measured.
"""

from contextlib import closing
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Final

from audit_sink.checkpoint import PublicKey, parse_public_key
from audit_sink.folder import Folder
from audit_sink.verify import BadEvidenceError, verify
from bench.errors import BenchError
from bench.ours import Ours
from bench.probe import OursOnly, Values
from bench.result import Measure, at_least
from bench.size import Size

VERIFIED = Measure(name="audit verify", unit="records/s", goal=at_least(100_000))
_RUNS: Final = 3


def take(side: Ours, size: Size) -> Values:  # noqa: ARG001 - one shape for all probes
    audit = side.stack.status()["audit"]
    key = parse_public_key(audit["public_key"])
    with closing(Folder(Path(audit["log_dir"]))) as folder:
        return {VERIFIED: median(_verify(folder, key) for _ in range(_RUNS))}


def _verify(folder: Folder, key: PublicKey) -> float:
    began = monotonic()
    try:
        report = verify(folder, key)
    except BadEvidenceError as error:
        raise BenchError(f"the audit log does not verify: {error}") from error
    return report.size / (monotonic() - began)


PROBE = OursOnly(name="audit verify", measures=(VERIFIED,), take=take)
