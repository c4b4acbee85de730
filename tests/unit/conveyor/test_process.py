"""Half a service must not look alive."""

import threading

from conveyor.health import answer
from conveyor.process import run_together


def _obedient(stop: threading.Event) -> None:
    stop.wait(10)


def test_one_loop_that_fails_stops_all_and_is_a_failure():
    def broken(_: threading.Event) -> None:
        raise RuntimeError("bug")

    assert run_together(threading.Event(), {"a": _obedient, "b": broken}) == 1


def test_a_loop_that_ends_by_itself_is_a_failure():
    assert run_together(threading.Event(), {"a": _obedient, "b": lambda _: None}) == 1


def test_being_told_to_stop_is_success():
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    assert run_together(stop, {"a": _obedient, "b": _obedient}) == 0


def test_readiness_says_what_is_missing():
    status, _, body = answer("/readyz", lambda: {"kafka": True, "postgres": False})
    assert status == 503
    assert b'"postgres":false' in body
    assert answer("/healthz", dict)[0] == 200
    assert b"placet_records_total" in answer("/metrics", dict)[2]
    assert answer("/other", dict)[0] == 404
