"""Targets without transactions: one effect, in order, whatever is lost on the way."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from tests.support.flying import Flying, Site, flying

from conveyor.errors import UnavailableError
from dispatcher import ledger_intents
from dispatcher.flights import LEASE, lease
from dispatcher.ledger import Ledger
from dispatcher.targets.target import Repair
from dispatcher.writeback import Applied, Code, Refused, Retries, Unavailable, Unknown

FIVE = ("a", "b", "c", "d", "e")


@pytest.fixture
def lab(postgres: str) -> Iterator[Flying]:
    with flying(postgres, *FIVE) as one:
        yield one


def done(lab: Flying) -> Callable[[], bool]:
    return lambda: lab.all_are("APPLIED")


# One effect


def test_an_intent_is_told_before_the_outcome(lab: Flying) -> None:
    lab.accept(lab.approve("a", '"new"', '"old"'))
    lab.drive(done(lab))
    assert lab.site.records["a"] == {"summary": '"new"'}
    assert lab.told_of("a") == ["SENDING", "APPLIED"]
    assert [event.attempts for event in lab.events()] == [1, 1]
    assert lab.faq.run("SELECT count(*) FROM dispatch.plan") == [(0,)]
    [(before, after)] = lab.faq.run("SELECT before, after FROM dispatch.image")
    assert (before, after) == (b'{"summary":"\\"old\\""}', b'{"summary":"\\"new\\""}')


def test_nothing_is_sent_before_its_intent_is_durable(lab: Flying) -> None:
    lab.site.gate.clear()
    lab.accept(lab.approve("a", '"new"', '"old"'))
    lab.drive(lambda: lab.site.sent != [])
    assert lab.state("a") == "SENDING"
    [(digest,)] = lab.faq.run("SELECT length(intent_digest) FROM dispatch.write_back")
    assert digest == 32
    lab.site.gate.set()
    lab.drive(done(lab))


def test_no_request_leaves_while_its_intent_is_being_committed(
    lab: Flying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The COMMIT is held up for half a second: time enough to be seen for a request too early."""
    intended: list[ledger_intents.Intent] = []
    transaction, intend = Ledger.transaction, ledger_intents.intend

    def intending(*arguments: Any) -> None:
        intend(*arguments)
        intended.extend(arguments[2])

    @contextmanager
    def slow(ledger: Ledger) -> Iterator[Any]:
        with transaction(ledger) as one:
            yield one
            if intended:
                until = time.monotonic() + 0.5
                while time.monotonic() < until:
                    assert lab.site.sent == []
                    time.sleep(0.01)
                intended.clear()

    monkeypatch.setattr("dispatcher.flights.intend", intending)
    monkeypatch.setattr(Ledger, "transaction", slow)
    lab.accept(lab.approve("a", '"new"', '"old"'))
    lab.drive(done(lab))
    assert len(lab.site.sent) == 1


def test_what_a_crash_interrupted_is_probed_after_it_settled(postgres: str) -> None:
    with flying(postgres, *FIVE, site=Site(settle=60)) as lab:
        lab.site.gate.clear()
        lab.accept(lab.approve("a", '"new"', '"old"'))
        lab.drive(lambda: lab.site.sent != [])
        lab.restart()
        lab.recover()
        assert lab.engine.step() == 0
        assert lab.told_of("a") == ["SENDING", "UNKNOWN"]
        [(due,)] = lab.faq.run(
            "SELECT extract(epoch FROM next_attempt_at - clock_timestamp())::int "
            "FROM dispatch.write_back"
        )
        assert 30 < due <= 60
        assert lab.site.probed == []


CRASHES: dict[str, Callable[[Flying, pytest.MonkeyPatch], None]] = {
    "while looking": lambda lab, _: lab.site.crash.add("prepare"),
    "before the intent": lambda _, patch: break_at(patch, "dispatcher.flights.intend"),
    "after the intent, before it commits": lambda _, patch: break_at(
        patch, "dispatcher.flights.intend", after=True
    ),
    "after the intent": lambda _, patch: break_at(patch, "dispatcher.flights.Flights._launch"),
    "before the request": lambda lab, _: lab.site.crash.add("send"),
    "after the effect": lambda lab, _: lab.site.crash.add("sent"),
    "before the outcome": lambda _, patch: break_at(patch, "dispatcher.ledger.Ledger.record", 2),
    "after the outcome, before it commits": lambda _, patch: break_at(
        patch, "dispatcher.ledger.Ledger.record", 2, after=True
    ),
    "after the outcome": lambda _, patch: break_at(patch, "dispatcher.flights.Flights._landed"),
}


def break_at(patch: pytest.MonkeyPatch, name: str, call: int = 1, *, after: bool = False) -> None:
    """Crash in the `call`-th call of `name`."""
    module, _, attribute = name.rpartition(".")
    original: Any = pytest.importorskip("pkgutil").resolve_name(name)
    calls = 0

    def broken(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and not after:
            raise KeyboardInterrupt(name)
        result = original(*arguments, **options)
        if calls == call:
            raise KeyboardInterrupt(name)
        return result

    patch.setattr(f"{module}.{attribute}", broken)


@pytest.mark.parametrize("point", CRASHES)
def test_a_crash_anywhere_leaves_one_effect(
    lab: Flying, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    lab.accept(lab.approve("a", '"new"', '"old"', comment=True))
    with monkeypatch.context() as patch:
        CRASHES[point](lab, patch)
        with pytest.raises(KeyboardInterrupt):
            lab.drive(done(lab))
    lab.restart()
    lab.recover()
    lab.drive(done(lab))
    assert [step for _, step, _ in lab.site.effects] == ["fields", "comment"]
    assert len(set(lab.site.sent)) == 2
    for step in ("fields", "comment"):
        assert lab.told_of("a", step)[-1] == "APPLIED"


@pytest.mark.parametrize(("loss", "effects"), [("request", 1), ("answer", 1)])
def test_a_lost_answer_is_probed_after_it_settled(lab: Flying, loss: str, effects: int) -> None:
    lab.site.lose = [loss]
    lab.accept(lab.approve("a", '"new"', '"old"'))
    lab.drive(lambda: lab.state("a") == "UNKNOWN")
    began = time.monotonic()
    assert lab.site.probed == []
    lab.drive(done(lab))
    assert time.monotonic() - began > 0.1  # of the 0.2 s it takes to settle
    assert len(lab.site.probed) == 1
    assert len(lab.site.effects) == effects
    again = ["SENDING"] if loss == "request" else []
    assert lab.told_of("a") == ["SENDING", "UNKNOWN", *again, "APPLIED"]
    [(before,)] = lab.faq.run("SELECT before FROM dispatch.image")
    assert b"old" in before


def test_what_stays_unknown_is_for_a_person(lab: Flying) -> None:
    lab.site.lose = ["request"] * 9
    lab.accept(lab.approve("a", '"new"', '"old"', 1), lab.approve("a", '"x"', '"new"', 2))
    lab.drive(lambda: lab.state("a") == "STUCK")
    assert lab.events()[-1].reason_code == "OUTCOME_UNKNOWN"
    assert lab.site.effects == []
    assert lab.state("a", 2) == "WAITING"


def test_a_target_that_cannot_be_asked_leaves_it_unknown(lab: Flying) -> None:
    lab.site.lose = ["answer"]
    lab.accept(lab.approve("a", '"new"', '"old"'))
    lab.drive(lambda: lab.state("a") == "UNKNOWN")
    lab.site.away = Unavailable(code=Code.TARGET_AWAY, detail="away")
    lab.drive(lambda: lab.told_of("a")[-2:] == ["UNKNOWN", "UNKNOWN"])
    lab.site.away = None
    lab.drive(done(lab))
    assert len(lab.site.effects) == 1


def test_an_intent_that_waited_too_long_is_not_sent(
    lab: Flying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatcher.flights.LEASE", -1.0)
    lab.accept(lab.approve("a", '"new"', '"old"'))
    lab.drive(lambda: lab.state("a") == "RETRYING")
    assert lab.site.sent == []


# Several workers


def test_two_workers_that_both_think_they_lead_send_once(lab: Flying) -> None:
    rival = Flying(
        faq=lab.faq, dsn="", dispatch_dsn=lab.dispatch_dsn, desk=lab.desk, site=lab.site,
        alone=False,
    )  # fmt: skip
    lab.accept(*(lab.approve(one, '"new"', '"old"') for one in FIVE))

    def both_worked() -> bool:
        lab.engine.step()
        rival.engine.step()
        return lab.all_are("APPLIED")

    lab.until(both_worked)
    assert sorted(lab.site.sent) == sorted(set(lab.site.sent))
    assert len(lab.site.effects) == 5
    rival.close()


def test_a_late_word_of_a_deposed_worker_does_not_count(lab: Flying) -> None:
    lab.site.gate.clear()
    lab.accept(lab.approve("a", '"new"', '"old"'))
    lab.drive(lambda: lab.site.sent != [])
    deposed = lab.engine
    lab.restart()  # closes its sessions; its request is still on the way
    lab.recover()
    assert lab.state("a") == "UNKNOWN"
    lab.site.gate.set()
    lab.until(lambda: lab.site.effects != [])
    lab.drive(done(lab))
    assert lab.told_of("a") == ["SENDING", "UNKNOWN", "APPLIED"]
    deposed.step()
    assert lab.told_of("a") == ["SENDING", "UNKNOWN", "APPLIED"]
    assert len(lab.site.effects) == 1


def test_an_outcome_survives_a_ledger_that_is_away(
    lab: Flying, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.site.gate.clear()
    lab.accept(lab.approve("a", '"new"', '"old"'))
    lab.drive(lambda: lab.site.sent != [])

    def away(*_: object) -> None:
        raise UnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr("dispatcher.flights.hold", away)
        lab.site.gate.set()
        with pytest.raises(UnavailableError):
            lab.drive(done(lab))
    lab.drive(done(lab))
    assert lab.told_of("a") == ["SENDING", "APPLIED"]
    assert lab.site.probed == []


# Order, and how many at once


def test_one_record_at_a_time_each_and_several_records_at_once(lab: Flying) -> None:
    lab.site.gate.clear()
    values = ['"old"', *(f'"v{i}"' for i in range(1, 4))]
    lab.accept(
        *(lab.approve(one, values[i], values[i - 1], i) for one in FIVE for i in range(1, 4))
    )
    lab.drive(lambda: lab.site.inside == 4)
    lab.site.gate.set()
    lab.drive(done(lab))
    assert lab.site.most_inside == 4
    for one in FIVE:
        keys = [key for identifier, _, key in lab.site.effects if identifier == one]
        assert keys == [lab.key(one, i) for i in range(1, 4)]


def test_a_slow_record_holds_up_no_other(lab: Flying) -> None:
    lab.site.answers = [Unavailable(code=Code.RECORD_LOCKED, detail="locked")]
    lab.accept(lab.approve("a", '"new"', '"old"'))
    lab.drive(lambda: lab.state("a") == "RETRYING")
    lab.accept(lab.approve("b", '"new"', '"old"'))
    lab.drive(lambda: lab.state("b") == "APPLIED")
    lab.drive(done(lab))
    assert lab.told_of("a") == ["SENDING", "RETRYING", "SENDING", "APPLIED"]


def test_no_more_begin_in_a_second_than_the_rate_allows(postgres: str) -> None:
    with flying(postgres, *FIVE, rate=5.0, site=Site(workers=8)) as lab:
        values = ['"old"', *(f'"v{i}"' for i in range(1, 4))]
        lab.accept(
            *(lab.approve(one, values[i], values[i - 1], i) for one in FIVE for i in range(1, 4))
        )
        began = time.monotonic()
        lab.run_until(done(lab))
        assert 1.8 <= time.monotonic() - began < 4  # 5 at once, 10 more at 5 a second


def test_retry_after_is_waited_for(lab: Flying) -> None:
    busy = Unavailable(code=Code.TARGET_BUSY, detail="429", retry_after=0.7, whole_target=True)
    lab.site.answers = [busy]
    lab.accept(lab.approve("a", '"new"', '"old"'))
    lab.run_until(lambda: lab.state("a") == "RETRYING")
    lab.accept(lab.approve("b", '"new"', '"old"'))
    lab.run_until(done(lab))
    first, *later = lab.site.sent_at
    assert len(later) == 2
    assert min(later) - first > 0.65


def test_an_outage_stops_attempts_until_the_target_answers(lab: Flying) -> None:
    lab.site.away = Unavailable(code=Code.TARGET_AWAY, detail="away", whole_target=True)
    lab.accept(lab.approve("a", '"new"', '"old"'))
    lab.run_until(lambda: lab.state("a") == "RETRYING")
    lab.accept(lab.approve("b", '"new"', '"old"'))
    lab.run_until(lambda: not lab.engine.target_answers)
    assert lab.told_of("b") == []
    lab.site.away = None
    lab.run_until(done(lab))
    assert lab.told_of("b") == ["SENDING", "APPLIED"]


LONG = Retries(schedule=(60.0, 300.0, 900.0), settle=0.2)
AWAY = Unavailable(code=Code.TARGET_AWAY, detail="away", whole_target=True)


def test_an_outage_longer_than_the_retries_leaves_nobody_stuck(postgres: str) -> None:
    with flying(postgres, *FIVE, retries=LONG) as lab:
        lab.site.away = AWAY
        lab.accept(*(lab.approve(one, '"new"', '"old"') for one in FIVE))
        lab.run_until(lambda: lab.all_are("RETRYING", "WAITING"))
        lab.run_until(lambda: not lab.engine.target_answers)
        lab.site.away = None
        lab.run_until(done(lab), seconds=20)
        assert sorted(one for one, _, _ in lab.site.effects) == sorted(FIVE)


def test_a_target_that_refuses_every_write_spends_nobodys_retries(postgres: str) -> None:
    """It reads well (maintenance), so it seems to be back each time it is asked."""
    with flying(postgres, *FIVE) as lab:
        lab.site.closed = AWAY
        lab.accept(*(lab.approve(one, '"new"', '"old"') for one in FIVE))
        lab.drive(lambda: len(lab.site.sent) >= 8, seconds=40)
        assert lab.all_are("RETRYING", "SENDING")
        sent = lab.site.sent_at[5:]  # the first five met it together
        pauses = [later - one for one, later in pairwise(sent)]
        assert min(pauses) > 0.9  # one at a time, more and more rarely
        lab.site.closed = None
        lab.drive(done(lab), seconds=40)
        assert len(lab.site.effects) == 5
        assert len(lab.site.sent) < 8 + 5 + 2


def test_a_record_that_is_ill_is_not_an_outage_and_holds_up_no_other(postgres: str) -> None:
    with flying(postgres, *FIVE) as lab:
        lab.site.sick = {"a"}
        lab.accept(lab.approve("a", '"new"', '"old"'))
        for ordinal in range(1, 8):
            was = '"old"' if ordinal == 1 else f'"{ordinal - 1}"'
            lab.accept(*(lab.approve(one, f'"{ordinal}"', was, ordinal) for one in FIVE[1:]))
        lab.drive(lambda: lab.state("a") == "STUCK" and lab.all_are("APPLIED", "STUCK"), seconds=60)
        assert [one for one in lab.events() if one.target.identifier == "a"][-1].reason_code == (
            "RETRIES_SPENT"
        )


def test_resume_lets_go_what_waited_for_the_target_but_not_before_retry_after(
    postgres: str,
) -> None:
    with flying(postgres, *FIVE, retries=LONG) as lab:
        lab.site.away = AWAY
        lab.accept(lab.approve("a", '"new"', '"old"'))
        lab.drive(lambda: lab.state("a") == "RETRYING")
        lab.site.away = Unavailable(
            code=Code.TARGET_BUSY, detail="", retry_after=4.0, whole_target=True
        )
        asked = time.monotonic()
        lab.restart()
        lab.accept(lab.approve("b", '"new"', '"old"'))
        lab.drive(lambda: lab.state("b") == "RETRYING")
        lab.site.away = None
        lab.restart()  # which forgets the circuit, as a process that starts again does
        lab.engine.pause(True)
        lab.engine.pause(False)
        lab.drive(lambda: lab.state("a") == "APPLIED")
        assert lab.state("b") == "RETRYING"
        lab.drive(done(lab))
        assert time.monotonic() - asked >= 4.0


@pytest.mark.parametrize("seed", [1, 2])
def test_two_hundred_decisions_on_twenty_records_under_losses_and_restarts(
    postgres: str, seed: int
) -> None:
    chance = random.Random(seed)
    records = [f"r{i}" for i in range(20)]
    retries = Retries(schedule=(0.02,) * 30, settle=0.05)
    with flying(postgres, *records, site=Site(settle=0.05, workers=8), retries=retries) as lab:
        values = ['"old"', *(f'"v{i}"' for i in range(1, 11))]
        decisions = [
            lab.approve(record, values[i], values[i - 1], i, comment=chance.random() < 0.3)
            for record in records
            for i in range(1, 11)
        ]
        chance.shuffle(decisions)
        for start in range(0, 200, 20):
            lab.accept(*decisions[start : start + 20], *decisions[start : start + 5])
            lab.site.lose = [chance.choice(["answer", "request", ""]) or "" for _ in range(5)]
            lab.site.lose = [loss for loss in lab.site.lose if loss]
            for _ in range(40):
                lab.engine.step()
                time.sleep(0.001)
            if chance.random() < 0.3:
                lab.restart()
                lab.recover()
        lab.site.lose = []
        lab.run_until(done(lab), seconds=40)
        for record in records:
            applied = [
                key for one, step, key in lab.site.effects if (one, step) == (record, "fields")
            ]
            assert applied == [lab.key(record, i) for i in range(1, 11)]
        keys = [key for _, _, key in lab.site.effects]
        assert len(keys) == len(set(keys))


# Steps


def test_a_comment_waits_for_its_fields(lab: Flying) -> None:
    lab.site.gate.clear()
    lab.accept(lab.approve("a", '"new"', '"old"', 1, comment=True))
    lab.drive(lambda: lab.site.sent != [])
    assert lab.step_states("a") == {"fields": "SENDING", "comment": "WAITING"}
    lab.accept(lab.approve("a", '"newer"', '"new"', 2))
    lab.site.gate.set()
    lab.drive(done(lab))
    assert [step for _, step, _ in lab.site.effects] == ["fields", "comment", "fields"]


@pytest.mark.parametrize("how", ["conflict", "refused", "given up"])
def test_fields_that_are_not_written_cancel_the_comment(lab: Flying, how: str) -> None:
    if how == "conflict":
        lab.site.records["a"]["summary"] = '"theirs"'
    elif how == "refused":
        lab.site.answers = [Refused(code=Code.BAD_VALUE, detail="no")]
    else:
        lab.site.lose = ["request"] * 9
    lab.accept(lab.approve("a", '"new"', '"old"', comment=True))
    if how == "given up":
        lab.drive(lambda: lab.step_states("a")["fields"] == "STUCK")
        unstick(lab, "give-up")
    lab.accept(lab.approve("a", '"ours"', '"theirs"' if how == "conflict" else '"old"', 2))
    lab.site.lose = []
    lab.drive(lambda: lab.state("a", 2) == "APPLIED")
    assert lab.step_states("a")["comment"] == "CANCELLED"
    assert lab.told_of("a", "comment") == ["CANCELLED"]
    assert [step for _, step, _ in lab.site.effects] == ["fields"]
    assert lab.faq.run("SELECT count(*) FROM dispatch.plan") == [(0,)]


def test_a_decision_that_cannot_be_done_refuses_every_step(lab: Flying) -> None:
    lab.accept(lab.approve("a\t", '"new"', '"old"', comment=True))
    assert lab.step_states("a\t") == {"fields": "REFUSED", "comment": "REFUSED"}
    assert lab.events()[0].reason_code == "BAD_IDENTIFIER"


def test_an_undo_writes_old_values_back_and_finds_the_comment_by_its_image(lab: Flying) -> None:
    first = lab.approve("a", '"new"', '"old"', 1, comment=True)
    lab.accept(first)
    lab.drive(done(lab))
    lab.accept(lab.undo("a", first, {"summary": ('"old"', '"new"')}, 2))
    lab.drive(done(lab))
    assert lab.site.records["a"] == {"summary": '"old"'}
    steps = [step for _, step, _ in lab.site.effects]
    assert steps == ["fields", "comment", "fields", "undo comment"]


def test_an_undo_of_what_was_edited_since_is_a_conflict(lab: Flying) -> None:
    first = lab.approve("a", '"new"', '"old"', 1)
    lab.accept(first)
    lab.drive(done(lab))
    lab.site.records["a"]["summary"] = '"theirs"'
    lab.accept(lab.undo("a", first, {"summary": ('"old"', '"new"')}, 2))
    lab.drive(lambda: lab.state("a", 2) != "WAITING")
    assert lab.step_states("a", 2) == {"fields": "CONFLICT", "comment": "CANCELLED"}
    assert lab.site.records["a"] == {"summary": '"theirs"'}


# Operators


def test_pause_begins_nothing_and_resume_goes_on(lab: Flying) -> None:
    assert lab.operate(lab.control("PAUSED")) == []
    assert lab.engine.paused
    lab.accept(*(lab.approve(one, '"new"', '"old"') for one in FIVE))
    assert lab.engine.step() == 0
    assert lab.site.sent == []
    lab.operate(lab.control("RESUMED"))
    lab.drive(done(lab))
    assert len(lab.site.effects) == 5


def test_a_pause_while_much_is_under_way_holds_within_five_seconds(lab: Flying) -> None:
    values = ['"old"', *(f'"v{i}"' for i in range(1, 40))]
    lab.accept(
        *(lab.approve(one, values[i], values[i - 1], i) for one in FIVE for i in range(1, 40))
    )
    held: list[int] = []

    def pause() -> bool:
        if len(lab.site.sent) > 10 and not held:
            began = time.monotonic()
            lab.operate(lab.control("PAUSED"))
            lab.until(lambda: lab.site.inside == 0)
            time.sleep(0.3)
            held.append(len(lab.site.sent))
            assert time.monotonic() - began < 5
            time.sleep(0.5)
            held.append(len(lab.site.sent))
        return bool(held)

    lab.run_until(pause)
    assert held[0] == held[1] < 195


def test_a_pause_outlives_the_process(lab: Flying) -> None:
    lab.operate(lab.control("PAUSED"))
    lab.restart()
    lab.accept(lab.approve("a", '"new"', '"old"'))
    lab.run_until(lambda: lab.engine.paused)
    lab.restart()
    stop = threading.Event()
    worker = threading.Thread(target=lab.engine.run, args=(stop,))
    worker.start()
    lab.until(lambda: lab.engine.paused)
    lab.operate(lab.control("RESUMED"))
    lab.until(done(lab))
    stop.set()
    worker.join()


def test_controls_delivered_again_change_nothing(lab: Flying) -> None:
    pause, resume = lab.control("PAUSED"), lab.control("RESUMED")
    lab.operate(pause, resume)
    assert not lab.engine.paused
    assert lab.operate(pause) == []
    assert not lab.engine.paused
    [parked] = lab.operate(lab.control("RESUMED", event_id=pause.event_id)) or [None]
    assert parked is None  # same digest in this test: a duplicate
    assert lab.operate(lab.control("PAUSED", "another-target")) == []
    assert lab.operate(lab.control("SIGNED_IN", "somebody")) == []
    assert not lab.engine.paused


def unstick(lab: Flying, action: str, ordinal: int = 1) -> None:
    control = lab.control("UNSTUCK", lab.key("a", ordinal), target="jira-demo", action=action)
    assert lab.operate(control, control) == []


def stuck(lab: Flying, loss: str) -> None:
    """`a` is STUCK after a loss: the target has it (`answer`) or not (`request`)."""
    lab.site.lose = ["request"] * 3 + [loss]
    lab.accept(lab.approve("a", '"new"', '"old"'))
    lab.drive(lambda: lab.state("a") == "STUCK")


@pytest.mark.parametrize("loss", ["answer", "request"])
def test_resending_a_stuck_write_asks_first(lab: Flying, loss: str) -> None:
    stuck(lab, loss)
    probes = len(lab.site.probed)
    unstick(lab, "resend")
    assert lab.told_of("a")[-1] == "UNKNOWN"
    lab.drive(done(lab))
    assert len(lab.site.probed) == probes + 1
    assert len(lab.site.effects) == 1


def test_adopting_a_stuck_write_sends_nothing_and_lets_the_next_start(lab: Flying) -> None:
    stuck(lab, "answer")
    lab.accept(lab.approve("a", '"newer"', '"new"', 2))
    sent = len(lab.site.sent)
    unstick(lab, "adopt")
    assert lab.state("a") == "APPLIED"
    assert len(lab.site.sent) == sent
    event = lab.events()[-1]
    assert (event.state, event.reason_code, event.reason) == ("APPLIED", "ADOPTED", "because")
    lab.drive(done(lab))
    assert len(lab.site.effects) == 2


def test_giving_up_a_stuck_write_lets_the_next_start(lab: Flying) -> None:
    stuck(lab, "request")
    lab.site.lose = []
    lab.accept(lab.approve("a", '"other"', '"old"', 2))
    unstick(lab, "give-up")
    lab.drive(lambda: lab.state("a", 2) == "APPLIED")
    assert lab.told_of("a")[-1] == "ABANDONED"
    assert len(lab.site.effects) == 1


@pytest.mark.parametrize("action", ["resend", "give-up", "adopt"])
def test_a_person_goes_on_without_a_decision_that_never_came(postgres: str, action: str) -> None:
    with flying(postgres, *FIVE, gap=0.05) as lab:
        missing = lab.approve("a", '"lost"', '"old"', 1)
        lab.accept(lab.approve("a", '"new"', '"old"', 2))
        lab.run_until(lambda: lab.state("a", 2) == "STUCK")
        unstick(lab, action, 2)
        lab.accept(lab.approve("a", '"last"', '"new"' if action == "resend" else '"old"', 3))
        lab.drive(lambda: lab.state("a", 3) == "APPLIED")
        [parked] = lab.accept(missing)
        assert parked.reason == "KEY_REUSED"


def test_what_is_not_stuck_cannot_be_unstuck(lab: Flying) -> None:
    lab.accept(lab.approve("a", '"new"', '"old"'))
    unstick(lab, "give-up")
    lab.drive(done(lab))
    unstick(lab, "give-up")
    assert lab.told_of("a") == ["SENDING", "APPLIED"]


@pytest.mark.parametrize(("scope", "action"), [("no uuid", "adopt"), ("", "delete everything")])
def test_a_control_that_means_nothing_is_parked(lab: Flying, scope: str, action: str) -> None:
    lab.accept(lab.approve("a", '"new"', '"old"'))
    control = lab.control("UNSTUCK", scope or lab.key("a"), target="jira-demo", action=action)
    [parked] = lab.operate(control)
    assert parked.reason == "BAD_VALUE"


# Ending


def test_a_stop_waits_for_what_was_sent(lab: Flying) -> None:
    lab.site.gate.clear()
    lab.accept(lab.approve("a", '"new"', '"old"'))
    threading.Timer(0.3, lab.site.gate.set).start()
    lab.run_until(lambda: lab.site.sent != [])
    assert lab.state("a") == "APPLIED"


def test_a_stop_hands_over_what_does_not_end(lab: Flying, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatcher.work._GRACE", 0.2)
    lab.site.gate.clear()
    lab.accept(lab.approve("a", '"new"', '"old"'))
    lab.run_until(lambda: lab.site.sent != [])
    assert lab.state("a") == "SENDING"
    lab.site.gate.set()
    lab.restart()
    lab.run_until(done(lab))
    assert len(lab.site.effects) == 1


def test_an_answer_that_differs_is_never_called_written(lab: Flying) -> None:
    lab.site.answers = [
        Applied(before={}, after={"summary": '"x"'}, version="2", differs=("summary",))
    ]
    lab.accept(lab.approve("a", '"new"', '"old"', comment=True))
    lab.drive(lambda: lab.step_states("a")["fields"] == "STUCK")
    assert lab.step_states("a")["comment"] == "WAITING"


@pytest.mark.parametrize("action", ["adopt", "resend"])
def test_an_overwritten_edit_is_told_with_what_was_there_and_never_written_over(
    lab: Flying, action: str
) -> None:
    lab.site.answers = [
        Applied(before={}, after={"summary": '"new"'}, version="2", overwrote={"summary": '"own"'})
    ]
    lab.accept(lab.approve("a", '"new"', '"old"'))
    lab.drive(lambda: lab.state("a") == "STUCK")
    event = lab.events()[-1]
    assert (event.reason_code, event.conflicting) == ("OVERWROTE_EDIT", ["summary"])
    assert event.overwrote == {"summary": '"own"'}
    lab.site.keys[lab.key("a")] = {"summary": '"old"'}  # its effect is there
    lab.operate(lab.control("UNSTUCK", lab.key("a"), action=action, target=lab.config.name))
    lab.drive(lambda: lab.state("a") == "APPLIED")
    assert len(lab.site.sent) == 1


def test_an_unknown_answer_is_not_sent_again_by_itself(lab: Flying) -> None:
    lab.site.answers = [Unknown(code=Code.TIMEOUT, detail="no answer")]
    lab.accept(lab.approve("a", '"new"', '"old"'))
    lab.drive(lambda: lab.state("a") == "UNKNOWN")
    for _ in range(10):
        lab.engine.step()
    assert len(lab.site.sent) == 1


@pytest.mark.parametrize(
    ("settle", "seconds"), [(300.0, LEASE), (2 * LEASE, LEASE), (9.0, 4.5), (0.0, 1.0)]
)
def test_a_lease_is_over_long_before_a_successor_may_send(settle: float, seconds: float) -> None:
    assert lease(settle) == seconds


# Repairs


def test_a_second_copy_that_was_removed_is_told_of_once_its_write_back_is_closed(
    lab: Flying,
) -> None:
    lab.site.gate.clear()
    lab.accept(lab.approve("a", '"new"', '"old"'))
    lab.drive(lambda: lab.site.sent != [])
    lab.site.found = [
        Repair(write_back_id=lab.key("a"), detail="comment 7 was deleted, 5 stays"),
        Repair(write_back_id="00000000-0000-0000-0000-000000000000", detail="somebody else's"),
    ]
    lab.engine.step()
    assert lab.told_of("a") == ["SENDING"], "whoever works on it goes by its transition"
    lab.site.gate.set()
    lab.drive(lambda: len(lab.told_of("a")) == 3)
    assert lab.told_of("a") == ["SENDING", "APPLIED", "APPLIED"]
    last = lab.events()[-1]
    assert (last.reason_code, last.reason) == (
        Code.DUPLICATE_REMOVED,
        "comment 7 was deleted, 5 stays",
    )
    lab.engine.step()
    assert len(lab.told_of("a")) == 3, "told once"
