"""Where mutants live: copies of the working tree in a temporary folder, and pytest runs in them.

Owns the separation (the repository is read, never written; whatever a test starts gets the copy's
modules, because PYTHONPATH comes before the editable installs) and what a run came to. Refuses to
know what is planted.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil
from tests.mutants.catalogue import SOURCES, Mutant
from tests.support import servers

ROOT: Final = Path(__file__).parents[2]
_PARTS: Final = (
    *("schemas", "libs", "services", "cli", "sandbox", "tests", "config", "bench"),
    *("pyproject.toml", "requirements.lock", "README.md"),
)
_LEFT_OUT: Final = shutil.ignore_patterns("*.egg-info", "results", ".*")  # what is compiled stays
_NO_CLAIM: Final = re.compile(
    r"\b(ImportError|ModuleNotFoundError|SyntaxError|NameError|UnboundLocalError|UndefinedColumn)\b"
)
"""What a mutant that is merely broken ends in: nothing a test has claimed."""
_PATIENCE: Final = 420.0
_GOODBYE: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a pytest run came to, test by test. `hung`: it was ended from outside."""

    passed: frozenset[str] = frozenset()
    failed: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    seconds: float
    hung: bool = False


class BrokenMutantError(Exception):
    """The copy cannot even be imported: nothing can be concluded from tests that fail."""


class Nursery:
    """Takes one snapshot of the repository at once, and makes every copy from it.

    So all verdicts of a run are about one state of the code, whoever edits meanwhile.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        """`environment` is added to that of every run."""
        self._folder = folder
        self._environment = environment
        self.snapshot = folder / "snapshot"
        """Nothing is planted in it. What is run here is compiled for all copies made later."""
        self._copies = 0
        for part in _PARTS:
            there, here = ROOT / part, self.snapshot / part
            here.parent.mkdir(parents=True, exist_ok=True)
            if there.is_dir():
                shutil.copytree(there, here, ignore=_LEFT_OUT)
            else:
                shutil.copy2(there, here)

    def copy(self, mutant: Mutant) -> Path:
        """Return a copy with `mutant` planted.

        Raises:
            StaleMutantError: it does not apply.
            BrokenMutantError: what came of it cannot be imported.
        """
        self._copies += 1
        copy = self._folder / f"{self._copies:03}-{mutant.name}"
        shutil.copytree(self.snapshot, copy)
        file = copy / mutant.file
        file.write_text(mutant.applied(file.read_text("utf-8")), "utf-8")
        for compiled in file.parent.glob(f"__pycache__/{file.stem}.*"):
            compiled.unlink()
        if mutant.module is not None:
            self._import(copy, mutant.module)
        return copy

    def environment(self, copy: Path) -> dict[str, str]:
        """Return what every process gets, so that it is the copy's. No stack that runs already."""
        unwanted = {"PLACET_TEST_HOME", "PYTHONDONTWRITEBYTECODE"}
        kept = {name: text for name, text in os.environ.items() if name not in unwanted}
        ours = {"PYTHONPATH": os.pathsep.join(str(copy / one) for one in SOURCES)}
        return kept | self._environment | ours

    def _import(self, copy: Path, module: str) -> None:
        code = f"import importlib; print(importlib.import_module({module!r}).__file__)"
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=copy,
            env=self.environment(copy),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BrokenMutantError(f"{module} cannot be imported:\n{done.stderr}")
        found = done.stdout.splitlines()[-1]
        if copy not in Path(found).parents:
            raise BrokenMutantError(f"{module} comes from {found}, not from {copy}")

    def run(
        self, copy: Path, tests: Sequence[str], *options: str, patience: float = _PATIENCE
    ) -> Run:
        """Run `tests` in `copy`, and return how each ended. Nothing of it is left running."""
        report = copy / "report.xml"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += ["-o", "addopts=--import-mode=importlib", f"--junitxml={report}"]
        began = time.monotonic()
        with (copy / "output.txt").open("wb") as output:
            process = subprocess.Popen(
                [*command, *options, *tests],
                cwd=copy,
                env=self.environment(copy),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_heed_interrupts,  # noqa: PLW1509 - no thread of ours runs yet
            )
            hung = not _ends(process, patience)
        text = (copy / "output.txt").read_text("utf-8", errors="replace")
        seconds = time.monotonic() - began
        if hung or not report.exists():
            return Run(seconds=seconds, hung=hung, broken={} if hung else {"pytest": text})
        return _read(report, seconds)

    def forget(self, copy: Path) -> None:
        """Remove a copy."""
        shutil.rmtree(copy)


def _heed_interrupts() -> None:
    """Undo what a shell does to what it starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _ends(process: subprocess.Popen[bytes], patience: float) -> bool:
    """Wait for the end; interrupt, then kill what does not come to it. Says whether it did."""
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)  # fixtures then stop the servers they have started
        try:
            process.wait(_GOODBYE)
        except subprocess.TimeoutExpired:
            for one in (*psutil.Process(process.pid).children(recursive=True), process):
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            process.wait()
        return False
    return True


def _read(report: Path, seconds: float) -> Run:
    passed, failed, broken = set(), {}, {}
    for case in ET.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        failure, error = case.find("failure"), case.find("error")
        if failure is not None:
            where = broken if _NO_CLAIM.search(failure.get("message", "")) else failed
            where[name] = failure.get("message", "")
        elif error is not None:  # in a fixture, or while collecting: no claim was looked at
            broken[name] = error.get("message", "") + (error.text or "")
        elif case.find("skipped") is None:
            passed.add(name)
    return Run(
        passed=frozenset(passed - failed.keys() - broken.keys()),
        failed=failed,
        broken={name: why for name, why in broken.items() if name not in failed},
        seconds=seconds,
    )


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Nursery]:
    """Make a nursery with one Kafka and one PostgreSQL for all its runs: most of a run's time."""
    with (
        servers.kafka(folder / "kafka", containers=False) as kafka,
        servers.postgres(folder / "postgres", containers=False) as postgres,
    ):
        yield Nursery(folder, PLACET_TEST_KAFKA=kafka, PLACET_TEST_POSTGRES=postgres)
