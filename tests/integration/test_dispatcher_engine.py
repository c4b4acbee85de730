"""The write-back protocol on real PostgreSQL: one effect, in order, whatever is lost on the way."""

import json
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from tests.support.decisions import DIGESTER, INSTANCE, Desk
from tests.support.dispatching import Lab, dispatching
from tests.support.faq import config
from tests.support.proxy import Loss, Proxy

from contract.codec import encode
from contract.events import Action, ReviewDecision, Signature
from contract.reasons import Reason
from contract.statement import Step
from conveyor.errors import UnavailableError
from dispatcher.consume import Intake
from dispatcher.ledger import Ledger
from dispatcher.writeback import Retries


@pytest.fixture
def lab(postgres: str) -> Iterator[Lab]:
    with dispatching(postgres) as one:
        yield one


@pytest.fixture
def proxied(postgres: str) -> Iterator[tuple[Lab, Proxy]]:
    proxies: list[Proxy] = []

    def through(dsn: str) -> str:
        proxies.append(Proxy(dsn))
        return proxies[0].dsn

    with dispatching(postgres, through=through) as one:
        yield one, proxies[0]
        proxies[0].close()


NOBODY = "00000000-0000-0000-0000-000000000000"

# One effect


def test_an_approved_change_is_written_once_and_told_once(lab: Lab) -> None:
    assert lab.accept(lab.desk.approve("a", '"new"', '""')) == []
    assert lab.steps() == 1
    assert lab.faq.answer("a") == ("new", 2)
    assert lab.told("a") == ["APPLIED"]
    event = lab.events()[0]
    assert (event.attempts, event.target_version, event.reason_code) == (1, "2", None)
    assert event.causation_ids == [event.decision_id]


def test_ten_deliveries_are_one_effect(lab: Lab) -> None:
    once = lab.desk.approve("a", '"new"', '""')
    for _ in range(5):
        assert lab.accept(once, once) == []
        lab.steps()
    assert lab.faq.effects() == [("a", "new")]
    assert lab.told("a") == ["APPLIED"]


def test_texts_are_forgotten_and_keys_are_not(lab: Lab) -> None:
    lab.accept(lab.desk.approve("a", '"secret text"', '""'))
    lab.steps()
    assert lab.faq.run("SELECT count(*) FROM dispatch.plan") == [(0,)]
    [(row,)] = lab.faq.run("SELECT write_back::text FROM dispatch.write_back")
    assert "secret" not in row
    [(before, after)] = lab.faq.run("SELECT before, after FROM dispatch.image")
    assert json.loads(json.loads(before)["answer"]) == ""
    assert json.loads(json.loads(after)["answer"]) == "secret text"


def crash_in(step: str, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Approve "a", and have the engine die in a step of the ledger."""
    lab.accept(lab.desk.approve("a", '"new"', '""'))

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"dispatcher.ledger.Ledger.{step}", crash)
        with pytest.raises(KeyboardInterrupt):
            lab.engine.step()


def test_a_crash_after_the_targets_commit_is_found_by_its_key(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_in("record", lab, monkeypatch)
    assert lab.faq.effects() == [("a", "new")]
    assert lab.state("a") == "WAITING"
    lab.steps()
    assert lab.faq.effects() == [("a", "new")]
    assert lab.told("a") == ["APPLIED"]
    [(before,)] = lab.faq.run("SELECT before FROM dispatch.image")
    assert json.loads(before) == {"answer": '""'}


def test_a_crash_while_the_outcome_is_told_leaves_neither(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_in("tell", lab, monkeypatch)
    assert (lab.state("a"), lab.told("a")) == ("WAITING", [])
    lab.steps()
    assert (lab.state("a"), lab.told("a")) == ("APPLIED", ["APPLIED"])
    assert lab.faq.effects() == [("a", "new")]


def test_while_the_ledger_is_away_nothing_counts_as_handled(lab: Lab) -> None:
    nowhere = Ledger("host=127.0.0.1 port=1", system="sql", instance=INSTANCE, digester=DIGESTER)
    away = Intake(
        config=config(),
        ledger=nowhere,
        verify=lab.desk.verifier.verify,
        digester=DIGESTER,
        wake=lambda: None,
    )
    first = lab.desk.approve("a", '"new"', '""')
    for one in (first, take_back(lab.desk, first.decision_id)):
        with pytest.raises(UnavailableError):
            away.handle([lab.desk.record(one)])


@pytest.mark.parametrize("loss", ["answer", "request"])
def test_a_lost_commit_is_probed_and_never_repeated(proxied: tuple[Lab, Proxy], loss: Loss) -> None:
    lab, proxy = proxied
    lab.accept(*(lab.desk.approve(one, '"new"', '""') for one in "abc"))
    proxy.lose = loss
    lab.run_until(lambda: [row[2] for row in lab.states()] == ["APPLIED"] * 3)
    assert proxy.lost == 1
    assert sorted(lab.faq.effects()) == [("a", "new"), ("b", "new"), ("c", "new")]
    assert lab.told("a") == ["UNKNOWN", "APPLIED"]


def test_a_commit_that_lands_late_is_waited_for(proxied: tuple[Lab, Proxy]) -> None:
    lab, proxy = proxied
    lab.accept(lab.desk.approve("a", '"new"', '""'))
    proxy.lose = "hold"
    lab.steps()
    assert lab.state("a") == "UNKNOWN"
    assert lab.faq.effects() == []
    lab.engine.step()  # the zombie still holds the record, so this finds nothing out
    assert lab.state("a") == "UNKNOWN"
    proxy.release()
    lab.run_until(lambda: lab.state("a") == "APPLIED")
    assert lab.faq.effects() == [("a", "new")]
    assert lab.told("a") == ["UNKNOWN", "UNKNOWN", "APPLIED"]


def test_a_commit_that_lands_while_its_record_is_waited_for_is_recognised(
    proxied: tuple[Lab, Proxy],
) -> None:
    """Keys are looked for after the lock: before it, our own write would look like a conflict."""
    lab, proxy = proxied
    lab.accept(lab.desk.approve("a", '"new"', '""'))
    proxy.lose = "hold"
    lab.engine.step()
    again = threading.Thread(target=lab.engine.step)
    again.start()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    while lab.faq.run(waiting) == [(0,)] and again.is_alive():
        pass
    proxy.release()
    again.join()
    lab.steps()
    assert lab.told("a")[-1] == "APPLIED"
    assert lab.faq.effects() == [("a", "new")]


def test_a_target_that_is_away_is_tried_again_and_written_once(
    proxied: tuple[Lab, Proxy],
) -> None:
    lab, proxy = proxied
    proxy.cut()
    lab.accept(lab.desk.approve("a", '"new"', '""'))
    lab.engine.step()
    assert lab.state("a") == "RETRYING"
    assert lab.events()[0].next_attempt_at is not None
    proxy.down = False
    lab.run_until(lambda: lab.state("a") == "APPLIED")
    assert lab.faq.effects() == [("a", "new")]
    assert lab.told("a") == ["RETRYING", "APPLIED"]


def test_an_outage_spends_the_retries_of_no_more_than_it_met(proxied: tuple[Lab, Proxy]) -> None:
    lab, proxy = proxied
    proxy.cut()
    lab.accept(lab.desk.approve("a", '"new"', '""'))
    lab.run_until(lambda: lab.state("a") == "RETRYING")
    lab.accept(lab.desk.approve("b", '"new"', '""'))
    lab.run_until(lambda: not lab.engine.target_answers)
    assert lab.state("b") == "WAITING"
    proxy.down = False
    lab.run_until(lambda: lab.state("b") == lab.state("a") == "APPLIED")
    assert lab.told("b") == ["APPLIED"]


LONG = Retries(schedule=(60.0, 300.0, 900.0))
"""Nothing of it comes round within a test."""


def test_what_waited_for_the_target_is_due_at_once_and_in_order_when_it_is_back(
    proxied: tuple[Lab, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, proxy = proxied
    monkeypatch.setattr(lab.engine, "_retries", LONG)
    proxy.cut()
    for one in "cab":
        lab.accept(lab.desk.approve(one, '"new"', '""'))
    lab.run_until(lambda: {row[2] for row in lab.states()} == {"RETRYING"}, seconds=60)
    proxy.down = False
    lab.run_until(lambda: {row[2] for row in lab.states()} == {"APPLIED"}, seconds=60)
    assert [one for one, _ in lab.faq.effects()] == ["c", "a", "b"]


def test_outages_spend_no_retries_however_many_there_are(
    proxied: tuple[Lab, Proxy],
) -> None:
    lab, proxy = proxied
    lab.accept(lab.desk.approve("a", '"new"', '""'))
    for outage in range(1, 7):
        proxy.cut()
        lab.until(lambda: lab.engine.step() > 0)
        [(attempts, excused, state)] = lab.faq.run(
            "SELECT attempts, excused, state FROM dispatch.write_back"
        )
        assert (attempts, excused, state) == (outage, outage, "RETRYING")
        proxy.down = False
    lab.run_until(lambda: lab.state("a") == "APPLIED")
    assert lab.events()[-1].attempts == 7
    assert lab.faq.effects() == [("a", "new")]


def test_a_locked_record_keeps_its_schedule_over_an_outage_of_others(
    proxied: tuple[Lab, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, proxy = proxied
    monkeypatch.setattr(lab.engine, "_retries", LONG)
    lab.accept(lab.desk.approve("a", '"new"', '""'))
    with psycopg.connect(lab.faq.owner) as other:
        other.execute("SELECT * FROM faq_answer WHERE id = 'a' FOR UPDATE")
        lab.engine.step()
    assert lab.states() == [("a", 1, "RETRYING", "RECORD_LOCKED")]
    proxy.cut()
    lab.accept(lab.desk.approve("b", '"new"', '""'))
    lab.run_until(lambda: lab.state("b") == "RETRYING")
    proxy.down = False
    lab.run_until(lambda: lab.state("b") == "APPLIED", seconds=20)
    assert lab.states()[0] == ("a", 1, "RETRYING", "RECORD_LOCKED")
    assert lab.told("a") == ["RETRYING"]


def test_a_dispatcher_that_starts_again_waits_for_no_schedule(
    proxied: tuple[Lab, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, proxy = proxied
    monkeypatch.setattr(lab.engine, "_retries", LONG)
    proxy.cut()
    lab.accept(lab.desk.approve("a", '"new"', '""'))
    lab.engine.step()
    assert lab.state("a") == "RETRYING"
    proxy.down = False
    successor = Lab(faq=lab.faq, dsn=lab.dsn, dispatch_dsn=lab.dispatch_dsn, desk=lab.desk)
    successor.run_until(lambda: lab.state("a") == "APPLIED")
    successor.close()


# What is refused, in conflict, or stuck


def test_a_conflict_writes_nothing_names_the_fields_and_closes_its_ordinal(lab: Lab) -> None:
    lab.faq.run("UPDATE faq_answer SET answer = 'theirs', version = 2 WHERE id = 'a'")
    lab.accept(
        lab.desk.approve("a", '"ours"', '""', 1), lab.desk.approve("a", '"later"', '"theirs"', 2)
    )
    lab.steps()
    assert lab.told("a", 1) == ["CONFLICT"]
    assert lab.events()[0].conflicting == ["answer"]
    assert lab.events()[0].target_version == "2"
    assert lab.told("a", 2) == ["APPLIED"]
    assert lab.faq.answer("a")[0] == "later"


def test_a_missing_record_is_refused(lab: Lab) -> None:
    lab.accept(lab.desk.approve("nobody", '"new"', '""'))
    lab.steps()
    assert lab.told("nobody") == ["REFUSED"]
    assert lab.events()[0].reason_code == "RECORD_NOT_FOUND"


def test_a_value_the_target_changed_is_never_called_written(lab: Lab) -> None:
    lab.faq.run(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN new.answer := 'other'; RETURN new; END $$;"
        "CREATE TRIGGER meddle BEFORE UPDATE ON faq_answer FOR EACH ROW EXECUTE FUNCTION meddle()"
    )
    lab.accept(lab.desk.approve("a", '"new"', '""'))
    lab.steps()
    assert lab.told("a") == ["STUCK"]
    assert lab.events()[0].reason_code == "READ_BACK_DIFFERS"
    assert lab.faq.effects() == [("a", "other")]


def test_spent_retries_are_stuck_and_block_their_own_record_only(lab: Lab) -> None:
    lab.accept(
        lab.desk.approve("a", '"new"', '""', 1),
        lab.desk.approve("a", '"newer"', '"new"', 2),
        lab.desk.approve("b", '"new"', '""', 1),
    )
    with psycopg.connect(lab.faq.owner) as other:
        other.execute("SELECT * FROM faq_answer WHERE id = 'a' FOR UPDATE")
        lab.run_until(lambda: lab.state("a") == "STUCK", seconds=30)
    assert lab.told("a") == ["RETRYING", "RETRYING", "RETRYING", "STUCK"]
    assert lab.events()[-1].reason_code == "RETRIES_SPENT"
    assert lab.events()[-1].attempts == 4
    assert lab.told("b") == ["APPLIED"]
    assert lab.state("a", 2) == "WAITING"
    lab.steps()
    assert lab.faq.effects("a") == []


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ({"changes": {}}, "NO_FIELDS"),
        ({"changes": {f"f{i}": ("1", None) for i in range(51)}}, "TOO_MANY_FIELDS"),
        ({"changes": {"nothing": ('"x"', None)}}, "UNKNOWN_FIELD"),
        ({"identifier": "a\n"}, "BAD_IDENTIFIER"),
        ({"steps": []}, "BAD_PLAN"),
        (
            {"steps": [Step(step="comment", write_back_id=NOBODY)]},
            "BAD_PLAN",
        ),
        (
            {"steps": [Step(step="fields", write_back_id=NOBODY)]},
            "BAD_PLAN",
        ),
    ],
)
def test_a_genuine_decision_that_cannot_be_done_is_refused_and_closes_its_ordinal(
    lab: Lab, statement: dict[str, Any], code: str
) -> None:
    parts = {"identifier": "a", "changes": {"answer": ('"new"', '""')}} | statement
    identifier = str(parts.pop("identifier"))
    changes = parts.pop("changes")
    assert isinstance(changes, dict)
    bad = lab.desk.decision(lab.desk.statement(identifier, changes, **parts), 1)
    assert lab.accept(bad) == []
    lab.accept(lab.desk.approve(identifier, '"next"', '""', 2))
    lab.steps()
    assert lab.told(identifier, 1) == ["REFUSED"]
    assert lab.events()[0].reason_code == code
    assert lab.state(identifier, 2) in {"APPLIED", "REFUSED"}


# Order


def test_decisions_delivered_in_any_order_apply_in_theirs(lab: Lab) -> None:
    values = ["", *(f"v{i}" for i in range(1, 8))]
    decisions = [
        lab.desk.approve("a", json.dumps(values[i]), json.dumps(values[i - 1]), i)
        for i in range(1, 8)
    ]
    for one in [decisions[i] for i in (6, 2, 4, 1, 5, 0, 3)]:
        lab.accept(one)
        lab.steps()
    assert [new for _, new in lab.faq.effects("a")] == values[1:]


def test_nothing_starts_before_its_hold_is_over(lab: Lab) -> None:
    lab.accept(lab.desk.approve("a", '"new"', '""', hold=0.4))
    assert lab.steps() == 0
    assert lab.state("a") == "WAITING"
    lab.run_until(lambda: lab.state("a") == "APPLIED")
    event = lab.events()[0]
    assert event.timestamp > datetime.now(UTC) - timedelta(seconds=5)


def test_a_gap_is_stuck_and_resolves_when_the_missing_one_comes(postgres: str) -> None:
    with dispatching(postgres, gap=0.2) as lab:
        lab.accept(lab.desk.approve("a", '"two"', '"one"', 2))
        lab.accept(lab.desk.approve("a", '"three"', '"two"', 3))
        assert lab.steps() == 0
        lab.run_until(lambda: lab.state("a", 2) == "STUCK")
        assert lab.events()[0].reason_code == "ORDER_GAP"
        assert lab.state("a", 3) == "WAITING"
        lab.accept(lab.desk.approve("a", '"one"', '""', 1))
        lab.steps()
        assert [new for _, new in lab.faq.effects("a")] == ["one", "two", "three"]
        assert lab.told("a", 2) == ["STUCK", "WAITING", "APPLIED"]
        assert lab.told("a", 3) == ["APPLIED"]


def test_a_slow_predecessor_is_no_gap(postgres: str) -> None:
    with dispatching(postgres, gap=0.05) as lab:
        lab.accept(lab.desk.approve("a", '"one"', '""', 1, hold=0.5))
        lab.accept(lab.desk.approve("a", '"two"', '"one"', 2))
        lab.run_until(lambda: lab.state("a", 2) == "APPLIED")
        assert lab.told("a", 2) == ["APPLIED"]


def test_two_hundred_decisions_on_twenty_records_apply_in_order_under_failures(
    postgres: str,
) -> None:
    proxies: list[Proxy] = []

    def through(dsn: str) -> str:
        proxies.append(Proxy(dsn))
        return proxies[0].dsn

    records = [f"r{i}" for i in range(20)]
    chance = random.Random(7)
    with dispatching(postgres, records, through=through) as lab:
        decisions = [
            lab.desk.approve(record, json.dumps(f"{i}"), json.dumps(f"{i - 1}" if i > 1 else ""), i)
            for record in records
            for i in range(1, 11)
        ]
        chance.shuffle(decisions)
        for start in range(0, 200, 20):
            lab.accept(*decisions[start : start + 20], *decisions[start : start + 5])
            proxies[0].lose = chance.choice(["answer", "request", None])
            if chance.random() < 0.2:
                proxies[0].cut()
                lab.engine.step()
                proxies[0].down = False
            lab.steps()
        proxies[0].lose = None
        lab.run_until(lambda: all(row[2] == "APPLIED" for row in lab.states()), seconds=40)
        assert len(lab.states()) == 200
        for record in records:
            assert [new for _, new in lab.faq.effects(record)] == [str(i) for i in range(1, 11)]
        proxies[0].close()


# Taking back


def take_back(desk: Desk, taken: str, ordinal: int = 1) -> ReviewDecision:
    statement = desk.statement("a", {}, action=Action.TAKE_BACK, undoes=taken)
    return desk.decision(statement, ordinal)


def test_what_was_taken_back_is_not_written_and_the_next_one_is(lab: Lab) -> None:
    first = lab.desk.approve("a", '"first"', '""', 1, hold=60)
    lab.accept(first)
    assert lab.accept(take_back(lab.desk, first.decision_id)) == []
    lab.accept(lab.desk.approve("a", '"second"', '""', 2))
    lab.steps()
    assert lab.told("a", 1) == ["CANCELLED"]
    assert lab.faq.effects() == [("a", "second")]
    assert lab.faq.run("SELECT count(*) FROM dispatch.plan") == [(0,)]


@pytest.mark.parametrize("arrives", ["never", "later", "same batch"])
def test_a_take_back_closes_the_ordinal_of_a_decision_that_never_came(
    lab: Lab, arrives: str
) -> None:
    first = lab.desk.approve("a", '"first"', '""', 1)
    back = take_back(lab.desk, first.decision_id)
    if arrives == "same batch":
        lab.accept(first, back)
    else:
        lab.accept(back)
    lab.accept(lab.desk.approve("a", '"second"', '""', 2))
    if arrives == "later":
        lab.accept(first)
    lab.steps()
    lab.accept(back)
    lab.steps()
    assert lab.faq.effects() == [("a", "second")]
    assert lab.told("a", 1) == ([] if arrives == "never" else ["CANCELLED"])


def test_a_take_back_of_a_later_ordinal_waits_for_the_earlier_ones(lab: Lab) -> None:
    lab.accept(take_back(lab.desk, NOBODY, ordinal=2))
    lab.accept(lab.desk.approve("a", '"third"', '"first"', 3))
    assert lab.steps() == 0
    lab.accept(lab.desk.approve("a", '"first"', '""', 1))
    lab.steps()
    assert [new for _, new in lab.faq.effects("a")] == ["first", "third"]


def test_a_take_back_that_comes_too_late_changes_nothing(lab: Lab) -> None:
    first = lab.desk.approve("a", '"first"', '""', 1)
    lab.accept(first)
    lab.steps()
    assert lab.accept(take_back(lab.desk, first.decision_id)) == []
    assert lab.state("a") == "APPLIED"
    assert lab.told("a") == ["APPLIED"]


def test_a_take_back_closes_no_other_decisions_ordinal(lab: Lab) -> None:
    mine = lab.desk.approve("a", '"mine"', '""', 1, hold=0.1)
    lab.accept(mine)
    other = take_back(lab.desk, NOBODY, ordinal=1)
    [parked] = lab.accept(other)
    assert parked.reason is Reason.KEY_REUSED
    lab.run_until(lambda: lab.state("a") == "APPLIED")


def test_a_take_back_replayed_under_another_ordinal_is_parked(lab: Lab) -> None:
    first = lab.desk.approve("a", '"first"', '""', 1)
    back = take_back(lab.desk, first.decision_id)
    lab.accept(back)
    [parked] = lab.accept(msgspec.structs.replace(back, target_ordinal=2))
    assert parked.reason is Reason.KEY_REUSED
    lab.accept(lab.desk.approve("a", '"second"', '""', 2))
    lab.steps()
    assert lab.faq.effects() == [("a", "second")]


# What must never be believed


def test_an_altered_decision_writes_nothing_whichever_byte_it_is(lab: Lab) -> None:
    genuine = encode(lab.desk.approve("a", '"new"', '""'))
    key = lab.desk.record(lab.desk.approve("a", '"new"', '""')).key
    # not_before and target_ordinal come last, and are not signed (the ledger bounds the ordinal).
    unsigned = 12
    records = []
    for position in range(10, len(genuine) - unsigned, 3):
        altered = bytearray(genuine)
        altered[position] ^= 1 << (position % 8)
        records.append(lab.desk.record(bytes(altered), key))
    parked = lab.intake.handle(records)
    assert len(parked) == len(records)
    assert lab.states() == []


def test_what_a_pinned_key_did_not_sign_is_parked_and_writes_nothing(lab: Lab) -> None:
    genuine = lab.desk.approve("a", '"new"', '""')
    stranger = Desk()
    signature = genuine.signatures[0]
    forged = [
        stranger.approve("a", '"new"', '""'),
        msgspec.structs.replace(genuine, signatures=[]),
        msgspec.structs.replace(
            genuine, signatures=[msgspec.structs.replace(signature, algorithm="none")]
        ),
        msgspec.structs.replace(
            genuine, signatures=[msgspec.structs.replace(signature, signature=b"")]
        ),
        msgspec.structs.replace(
            genuine,
            signatures=[Signature(key_id=signature.key_id, signature=stranger.signer.sign(b"x"))],
        ),
        msgspec.structs.replace(
            genuine, signatures=[signature, msgspec.structs.replace(signature, key_id="0" * 16)]
        ),
        msgspec.structs.replace(genuine, revision=2),
        msgspec.structs.replace(genuine, decision_id=genuine.item_id, event_id=genuine.item_id),
        msgspec.structs.replace(genuine, event_id=genuine.item_id),
        msgspec.structs.replace(genuine, item_id=genuine.decision_id),
        msgspec.structs.replace(genuine, correlation_id="other"),
        msgspec.structs.replace(genuine, action=Action.UNDO),
        msgspec.structs.replace(
            genuine, target=msgspec.structs.replace(genuine.target, identifier="b")
        ),
        msgspec.structs.replace(genuine, timestamp=genuine.timestamp + timedelta(microseconds=1)),
        msgspec.structs.replace(genuine, content_digest=b"\0" * 32),
    ]
    parked = lab.accept(*forged)
    assert [one.reason for one in parked] == [Reason.BAD_SIGNATURE] * len(forged)
    assert lab.states() == []
    assert lab.steps() == 0
    assert lab.accept(genuine) == []  # and none of them stands in the genuine one's way


def test_the_same_key_with_other_content_is_parked(lab: Lab) -> None:
    statement = lab.desk.statement("a", {"answer": ('"one"', '""')})
    other = lab.desk.statement("a", {"answer": ('"two"', '""')}, decision_id=statement.decision_id)
    first = lab.desk.decision(statement, 1)
    elsewhere = lab.desk.decision(statement, 2)
    second = lab.desk.decision(other, 1)
    parked = lab.accept(first, second, elsewhere)
    assert [one.reason for one in parked] == [Reason.KEY_REUSED] * 2
    lab.steps()
    parked = lab.accept(second, elsewhere)
    assert [one.reason for one in parked] == [Reason.KEY_REUSED] * 2
    lab.steps()
    assert lab.faq.effects() == [("a", "one")]


def test_an_ordinal_belongs_to_one_decision(lab: Lab) -> None:
    lab.accept(lab.desk.approve("a", '"one"', '""', 1))
    [waiting] = lab.accept(lab.desk.approve("a", '"two"', '""', 1))
    lab.steps()
    [closed] = lab.accept(lab.desk.approve("a", '"three"', '"one"', 1))
    assert waiting.reason is closed.reason is Reason.KEY_REUSED
    assert lab.faq.effects() == [("a", "one")]


@pytest.mark.parametrize("action", [Action.REJECT, Action.NEED_INFO])
def test_decisions_without_a_write_leave_nothing(lab: Lab, action: Action) -> None:
    statement = lab.desk.statement("a", {}, action=action, steps=[])
    assert lab.accept(lab.desk.decision(statement, 0)) == []
    assert lab.states() == []


def test_an_undo_writes_the_old_value_back(lab: Lab) -> None:
    first = lab.desk.approve("a", '"new"', '""', 1)
    undo = lab.desk.statement(
        "a", {"answer": ('""', '"new"')}, action=Action.UNDO, undoes=first.decision_id
    )
    lab.accept(first, lab.desk.decision(undo, 2))
    lab.steps()
    assert lab.faq.effects() == [("a", "new"), ("a", "")]


# Several dispatchers


def test_only_one_dispatcher_of_an_instance_works(lab: Lab) -> None:
    first, second = lab.ledger(), lab.ledger()
    assert first.lock_instance()
    assert not second.lock_instance()
    first.close()
    lab.until(second.lock_instance)  # the server notices in a moment
    second.close()


def test_two_workers_that_both_think_they_lead_write_once(lab: Lab) -> None:
    """The lock is for order and economy; the row locks and the key are what one effect rests on."""
    rival = Lab(faq=lab.faq, dsn=lab.dsn, dispatch_dsn=lab.dispatch_dsn, desk=lab.desk)
    lab.accept(*(lab.desk.approve(one, '"new"', '""') for one in "abc"))
    while lab.engine.step() + rival.engine.step():
        pass
    assert len(lab.faq.effects()) == 3
    rival.close()


# Operators


def test_a_paused_target_is_not_written_to_until_it_is_resumed(lab: Lab) -> None:
    lab.faq.run(
        "INSERT INTO dispatch.paused (instance, actor_id, paused_at) VALUES (%s, 'a', now())",
        lab.desk.instance,
    )
    lab.accept(lab.desk.approve("a", '"new"', '""'))
    lab.run_until(lambda: lab.engine.paused)
    assert lab.faq.effects() == []

    def resumed() -> bool:
        lab.engine.pause(False)
        return lab.state("a") == "APPLIED"

    lab.run_until(resumed)
    assert lab.faq.effects() == [("a", "new")]
