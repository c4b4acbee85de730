"""The sample input: 500 real records that never change and that intake must accept."""

import json

from contract.codec import decode_model_output
from placet.demo.outputs import TARGET, lines, model_output, questions


def test_half_of_the_answers_are_right_and_half_are_wrong() -> None:
    found = questions()
    assert len(found) == 500
    assert sum(question.wrong for question in found) == 250
    assert len({question.id for question in found}) == 500


def test_records_are_the_same_bytes_every_time() -> None:
    assert lines() == lines()


def test_every_record_is_a_valid_model_output() -> None:
    for line in lines():
        output, _ = decode_model_output(line)
        assert output.change.target.instance == TARGET
        assert json.loads(output.change.fields["answer"]) == output.output


def test_nothing_in_a_record_tells_whether_the_answer_is_right() -> None:
    right, wrong = questions()[0], questions()[1]
    assert model_output(right).keys() == model_output(wrong).keys()
    assert b"hallucinated" not in lines([wrong])[0]
    assert b"right_answer" not in lines([right])[0]


def test_knowledge_becomes_the_passages_it_was_joined_from() -> None:
    first = questions()[0]
    assert len(first.passages) == 2
    assert first.passages[1].startswith("First for Women is a woman's magazine")
