"""When a target that is away is asked again."""

from dispatcher.work import Circuit


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
