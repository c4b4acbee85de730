"""A signal while `placet up` cleans up after a failure: what is left is stopped all the same."""

import pytest
import typer

from placet.commands import stack as commands
from placet.output import Exit


class HalfStopped:
    """A stack that did not come up, and whose own stopping was interrupted by the signal."""

    def __init__(self, **_: object) -> None:
        self.downs: list[object] = []
        stacks.append(self)

    def up(self, _report: object) -> dict[str, object]:
        raise commands.StoppedError

    def running(self) -> bool:
        return False  # it never was

    def down(self, report: object) -> bool:
        self.downs.append(report)
        return True


stacks: list[HalfStopped] = []


def test_an_interrupted_stop_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    stacks.clear()
    monkeypatch.setattr(commands, "Stack", HalfStopped)
    with pytest.raises(typer.Exit) as ended:
        commands.up(roles="kafka")
    assert ended.value.exit_code == Exit.FAILED
    assert [len(one.downs) for one in stacks] == [1]
