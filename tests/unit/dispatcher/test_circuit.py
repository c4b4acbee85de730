"""When a target that is away is asked again, and which write is what is ill."""

from dispatcher.circuit import Circuit, Suspects


def test_a_closed_circuit_never_waits() -> None:
    circuit = Circuit()
    assert not circuit.open
    assert circuit.wait(0) == 0


def test_each_failure_waits_twice_as_long_up_to_half_a_minute() -> None:
    circuit = Circuit()
    waits = []
    for _ in range(9):
        circuit.failed(100.0)
        waits.append(circuit.wait(100.0))
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert circuit.wait(129.0) == 1.0
    assert circuit.wait(200.0) == 0.0
    assert circuit.open


def test_an_answer_closes_it_and_forgets_the_failures() -> None:
    circuit = Circuit()
    circuit.failed(0.0)
    circuit.failed(0.0)
    circuit.worked()
    assert not circuit.open
    circuit.failed(0.0)
    assert circuit.wait(0.0) == 0.5


def test_a_target_that_says_it_is_back_is_on_trial_until_a_write_was_answered() -> None:
    circuit = Circuit()
    circuit.failed(0.0)
    circuit.answered()
    assert circuit.trial
    assert not circuit.open
    circuit.worked()
    assert not circuit.trial


def test_a_trial_that_fails_waits_longer_each_time() -> None:
    circuit = Circuit()
    waits = []
    for _ in range(3):
        circuit.failed(0.0)
        assert not circuit.trial
        waits.append(circuit.wait(0.0))
        circuit.answered()
    assert waits == [0.5, 1, 2]


def test_a_write_is_suspect_if_others_were_written_since_it_met_an_outage() -> None:
    suspects = Suspects()
    assert not suspects.suspect("a")
    suspects.met("a")
    assert not suspects.suspect("a")
    suspects.written()
    assert suspects.suspect("a")
    assert not suspects.suspect("b")
    suspects.met("a")
    assert not suspects.suspect("a")
    suspects.written()
    suspects.clear("a")
    assert not suspects.suspect("a")
