"""All hops, on real Kafka and PostgreSQL, with effects counted in the business database."""

import json
import shutil
import uuid

import pytest
from tests.support.desk import Anybody, Person, Placet, as_json, output, wait_for

from contract.identity import item_id


def propose(placet: Placet, *answers: str) -> list[tuple[str, str]]:
    """Publish one output per answer; returns (record id, item id) once all are in the queue."""
    pairs = []
    for _ in answers:
        record = f"e2e-{uuid.uuid4().hex[:12]}"
        pairs.append((record, item_id("e2e", record)))
    placet.add_records([record for record, _ in pairs])
    placet.publish(
        [as_json(output(r, r, answer)) for (r, _), answer in zip(pairs, answers, strict=True)]
    )
    return pairs


def in_queue(person: Person, item: str) -> dict:
    def found():
        answer = person.http.get(f"/api/items/{item}")
        return answer.json() if answer.status_code == 200 else None

    return wait_for(f"item {item} in the queue", found)


def in_state(person: Person, item: str, state: str) -> dict:
    def there():
        current = person.item(item)
        return current if current["state"] == state else None

    return wait_for(f"{item} {state}", there)


def test_an_approved_change_is_written_once_and_read_back(placet, reviewer):
    ((record, item),) = propose(placet, "Delhi.")
    seen = in_queue(reviewer, item)
    answer = seen["change"]["fields"]["answer"]
    assert (answer["current"], answer["proposed"]) == ("", "Delhi.")
    assert seen["divergence"]["sentences"]
    answer = reviewer.decide(seen)
    assert answer.status_code == 201, answer.text
    decision = answer.json()
    assert {w["state"] for w in decision["write_backs"]} == {"WAITING"}

    in_state(reviewer, item, "COMPLETED")

    followed = reviewer.http.get(f"/api/decisions/{decision['decision_id']}").json()
    assert {w["state"] for w in followed["write_backs"]} == {"APPLIED"}
    assert placet.effects([record]) == {record: 1}
    with placet.target() as target:
        row = target.execute(
            "SELECT answer, status, version FROM faq_answer WHERE id = %s", (record,)
        )
        assert row.fetchone() == ("Delhi.", "draft", 2)


def test_a_rejected_change_is_not_written(placet, reviewer):
    ((record, item),) = propose(placet, "Mumbai.")
    answer = reviewer.decide(in_queue(reviewer, item), "REJECT", reason_code="WRONG", comment="no")
    assert answer.status_code == 201, answer.text
    in_state(reviewer, item, "REJECTED")
    outcome = wait_for("the outcome for the pipeline", lambda: outcomes(placet, item))
    assert (outcome[0]["state"], outcome[0]["reason_code"]) == ("REJECTED", "WRONG")
    assert placet.effects([record]) == {}


def outcomes(placet: Placet, item: str) -> list[dict]:
    values = [json.loads(m.value()) for m in placet.records("placet.outcomes")]
    return [value for value in values if value["item_id"] == item]


def test_a_decision_taken_back_within_the_hold_writes_nothing(placet, reviewer):
    ((record, item),) = propose(placet, "Delhi.")
    decision = reviewer.decide(in_queue(reviewer, item)).json()
    taken = reviewer.http.post(f"/api/decisions/{decision['decision_id']}/take-back")
    assert taken.status_code in {200, 201}, taken.text
    assert reviewer.item(item)["state"] == "PENDING"
    # The next approval draws the next ordinal: it is written only if the first one is closed.
    reviewer.decide_surely(item)
    in_state(reviewer, item, "COMPLETED")
    assert placet.effects([record]) == {record: 1}


def test_eight_people_decide_at_once_and_one_counts(placet):
    admin = placet.person("admin")
    people = []
    for _ in range(8):
        name = f"person-{uuid.uuid4().hex[:8]}"
        made = admin.http.post(
            "/api/people", json={"username": name, "name": name, "roles": ["reviewer"]}
        )
        assert made.status_code == 201, made.text
        url, drawn = str(admin.http.base_url), made.json()["password"]
        people.append(Person(url, name, drawn, new_password=uuid.uuid4().hex))
    ((record, item),) = propose(placet, "Delhi.")
    seen = [in_queue(person, item) for person in people]

    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda pair: pair[0].decide(pair[1]), zip(people, seen, strict=True))
        )

    codes = sorted(answer.status_code for answer in answers)
    assert codes == [201] + [409] * 7, [answer.text for answer in answers]
    lost = next(answer.json() for answer in answers if answer.status_code == 409)
    assert lost["code"] == "ALREADY_DECIDED"
    assert lost["action"] == "APPROVE"
    assert lost["by"]
    assert lost["at"]
    in_state(people[0], item, "COMPLETED")
    assert placet.effects([record]) == {record: 1}


def test_a_replayed_window_writes_nothing_twice(placet, reviewer):
    pairs = propose(placet, "One.", "Two.", "Three.")
    for _, item in pairs:
        in_queue(reviewer, item)
        reviewer.decide_surely(item)
    for _, item in pairs:
        in_state(reviewer, item, "COMPLETED")
    records = [record for record, _ in pairs]
    before = placet.effects(records)
    for topic in (
        "placet.model-outputs",
        "placet.decisions",
        "placet.review-items",
        "placet.write-backs",
    ):
        window = [m.value() for m in placet.records(topic) if m.value() is not None]
        placet.publish(window[-200:], topic)
    wait_for("all of it handled again", lambda: placet.lag() == 0, seconds=120)
    assert placet.effects(records) == before == dict.fromkeys(records, 1)
    for _, item in pairs:
        assert reviewer.item(item)["state"] == "COMPLETED"
    assert "placet_duplicates_total" in reviewer.http.get("/metrics").text


def test_a_decision_that_review_api_did_not_sign_writes_nothing(placet, reviewer, tmp_path):
    import msgspec

    from contract import codec
    from contract.statement import from_text, to_text
    from conveyor.keys import Signer, generate

    ((record, item),) = propose(placet, "Delhi.")
    reviewer.decide(in_queue(reviewer, item), "REJECT", reason_code="WRONG")
    genuine_pair = propose(placet, "Delhi.")[0]
    in_queue(reviewer, genuine_pair[1])
    reviewer.decide_surely(genuine_pair[1])
    in_state(reviewer, genuine_pair[1], "COMPLETED")
    genuine = next(
        event
        for event in (codec.decode(m.value()) for m in placet.records("placet.decisions"))
        if event.item_id == genuine_pair[1]
    )
    text = from_text(genuine.statement)
    target = msgspec.structs.replace(text.target, identifier=record)
    other_id = str(uuid.uuid4())
    forged_text = to_text(
        msgspec.structs.replace(
            text, target=target, decision_id=other_id, item_id=str(uuid.uuid4())
        )
    )
    generate(tmp_path / "mine.key", tmp_path / "mine.pem")
    mine = Signer.load(tmp_path / "mine.key")
    forged = msgspec.structs.replace(
        genuine, statement=forged_text, target=target, decision_id=other_id, event_id=other_id
    )
    signed = msgspec.structs.replace(
        genuine.signatures[0], key_id=mine.key_id, signature=mine.sign(forged_text.encode())
    )
    wire = codec.encode(genuine)
    at = wire.index(b"Delhi.")
    altered = wire[:at] + b"X" + wire[at + 1 :]
    placet.publish(
        [
            codec.encode(forged),  # a genuine signature over another statement
            codec.encode(msgspec.structs.replace(forged, signatures=[])),
            codec.encode(msgspec.structs.replace(forged, signatures=[signed])),
            altered,
        ],
        "placet.decisions",
    )
    wait_for("the forgeries handled", lambda: placet.lag() == 0)
    assert placet.effects([record, genuine_pair[0]]) == {genuine_pair[0]: 1}
    letters = [codec.decode(m.value()) for m in placet.records("placet.dead-letters")]
    reasons = [
        letter.reason_code for letter in letters if letter.origin.topic == "placet.decisions"
    ]
    assert reasons.count("BAD_SIGNATURE") >= 4


def test_the_audit_log_verifies_and_one_flipped_byte_is_named(placet, reviewer, tmp_path):
    ((_, item),) = propose(placet, "Delhi.")
    in_queue(reviewer, item)
    reviewer.decide_surely(item)
    in_state(reviewer, item, "COMPLETED")

    def sealed():
        answer = placet.verify("--json")
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return json.loads(answer.stdout)["records"]

    before = sealed()
    assert before > 3
    status = placet.status()
    copy = tmp_path / "copy"
    shutil.copytree(status["audit"]["log_dir"], copy)
    bundle = next(path for path in sorted((copy / "tile" / "entries").rglob("*")) if path.is_file())
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    bundle.write_bytes(data)
    answer = placet.verify("--from", str(copy), "--key", status["audit"]["public_key"])
    assert answer.returncode == 6
    assert (
        "sequence" in (answer.stdout + answer.stderr).lower()
        or "record" in (answer.stdout + answer.stderr).lower()
    )


BAD = {
    "UNREADABLE": b"\xff\xfe garbage",
    "UNKNOWN_SCHEMA": b"\xc3\x01" + b"\x01" * 8 + b"body",
    "BAD_JSON": b'{"source": ',
    "BAD_TEXT": as_json(output("b", "b")).replace(b"Delhi.", b"\xff", 1),
    "NOT_FINITE": as_json(output("b", "b")).replace(b"0.2", b"NaN", 1),
    "MISSING_FIELD": as_json({"source": "e2e"}),
    "BAD_TYPE": as_json(output("b", "b", revision="one")),
    "UNKNOWN_FIELD": as_json(output("b", "b", surprise=1)),
    "UNKNOWN_TARGET": as_json(
        output(
            "b",
            "b",
            change={
                "target": {"system": "sql", "instance": "nobody", "identifier": "1"},
                "fields": {"answer": '"x"'},
            },
        )
    ),
    "BAD_IDENTIFIER": as_json(output("b", "no such/form ' \n")),
    "RECORD_TOO_LARGE": as_json(output("b", "b", prompt="x" * 2_000_000)),
}


def test_bad_records_are_parked_with_their_reason_and_bytes_and_good_ones_arrive(placet, reviewer):
    from contract import codec

    pairs = propose(placet, "One.", "Two.")
    placet.publish(list(BAD.values()))
    pairs += propose(placet, "Three.")
    for _, item in pairs:
        in_queue(reviewer, item)
    wait_for("everything handled", lambda: placet.lag() == 0)
    letters = [codec.decode(m.value()) for m in placet.records("placet.dead-letters")]
    found = {letter.value: letter for letter in letters}
    for reason, value in BAD.items():
        assert found[value].reason_code == reason
        assert found[value].origin.topic == "placet.model-outputs"


def test_the_same_revision_with_other_content_is_parked_and_the_first_one_stays(placet, reviewer):
    from contract import codec

    ((record, item),) = propose(placet, "First.")
    in_queue(reviewer, item)
    placet.publish([as_json(output(record, record, "Second."))])

    def parked():
        letters = [codec.decode(m.value()) for m in placet.records("placet.dead-letters")]
        return [letter for letter in letters if letter.reason_code == "REVISION_REUSED"]

    wait_for("the reuse parked", parked)
    assert reviewer.item(item)["output"] == "First."


@pytest.mark.parametrize(
    ("username", "status"),
    [("admin", 403), ("auditor", 403), ("sre", 403)],
)
def test_who_may_not_decide_is_refused(placet, reviewer, username, status):
    ((record, item),) = propose(placet, "Delhi.")
    seen = in_queue(reviewer, item)
    answer = placet.person(username).decide(seen)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert placet.effects([record]) == {}


def test_refusals_say_what_happened_and_what_to_do(placet, reviewer):
    ((_, item),) = propose(placet, "Delhi.")
    seen = in_queue(reviewer, item)
    anybody = Anybody(str(reviewer.http.base_url))
    url = f"/api/items/{item}/decisions"
    body = {"action": "APPROVE", "revision": 1, "seen_digest": seen["seen_digest"]}

    cases = [
        (anybody.http.post(url, json=body), 401),
        (reviewer.http.post(url, json=body), 400),
        (reviewer.decide(seen | {"seen_digest": "00" * 32}), 409),
        (reviewer.decide(seen | {"revision": 7}), 409),
        (reviewer.http.get(f"/api/items/{uuid.uuid4()}"), 404),
        (reviewer.decide(seen, "REJECT", reason_code=None), 422),
    ]
    for answer, status in cases:
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["code"]
        assert problem["detail"]
        assert problem["request_id"]

    key = uuid.uuid4().hex
    first = reviewer.decide(seen, key=key)
    again = reviewer.decide(seen, key=key)
    other = reviewer.decide(seen, "REJECT", key=key)
    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 422)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json()["decision_id"] == first.json()["decision_id"]
