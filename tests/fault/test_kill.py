"""SIGKILL of each process in turn while people decide: nothing lost, nothing twice, no gap."""

import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

from tests.support.desk import Placet, as_json, output, wait_for

from contract.identity import item_id

PROCESSES = [
    "intake-1",
    "review-worker",
    "dispatcher-support-faq",
    "audit-sink",
    "review-api",
    "postgres",
    "kafka",
]
ITEMS = 500


def test_every_process_is_killed_while_500_items_are_decided(placet: Placet):
    records = [f"kill-{uuid.uuid4().hex[:12]}" for _ in range(ITEMS)]
    items = [item_id("e2e", record) for record in records]
    placet.add_records(records)
    reviewer = placet.person("reviewer")
    sizes = [ITEMS // len(PROCESSES)] * (len(PROCESSES) - 1)
    sizes.append(ITEMS - sum(sizes))
    start = 0
    for process, size in zip(PROCESSES, sizes, strict=True):
        share = slice(start, start + size)
        start += size
        placet.publish([as_json(output(record, record)) for record in records[share]])
        _decide_while_killing(placet, reviewer, items[share], process)

    def completed():
        done = [reviewer.item(item)["state"] for item in items[::25]]
        return done if set(done) == {"COMPLETED"} else None

    wait_for("every sampled item completed", completed, seconds=180)
    wait_for("500 effects", lambda: len(placet.effects(records)) == ITEMS, seconds=120)
    wait_for("no lag", lambda: placet.lag() == 0, seconds=60)
    assert placet.effects(records) == dict.fromkeys(records, 1)
    with placet.target() as target:
        versions = target.execute(
            "SELECT DISTINCT version FROM faq_answer WHERE id = ANY(%s)", (records,)
        ).fetchall()
    assert versions == [(2,)]
    checked = placet.verify("--json")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert json.loads(checked.stdout)["records"] >= 3 * ITEMS


def _decide_while_killing(placet, reviewer, items, process) -> None:
    some = threading.Event()
    decided: list[str] = []

    def decide(item: str) -> None:
        wait_for(f"item {item} in the queue", lambda: _there(reviewer, item), seconds=120)
        reviewer.decide_surely(item)
        decided.append(item)
        if len(decided) > len(items) // 4:
            some.set()

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(decide, item) for item in items]
        # intake is killed while it works; the others once decisions are under way.
        if process != "intake-1":
            some.wait(120)
        placet.kill(process)
        for future in futures:
            future.result()


def _there(reviewer, item: str) -> bool:
    import httpx

    try:
        return reviewer.http.get(f"/api/items/{item}").status_code == 200
    except httpx.TransportError:
        return False
