"""Laws of the divergence measure, on any text; its bounds; and its sense, on real records."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.events import Divergence, Retrieval
from intake import words
from intake.divergence import MAX_NOVEL, measure

MIB = 1_048_576

PIECES = (
    *("Delhi", "delhi", "Dr.", "U.S.", "6.5", "1,000", "the", "the\u0301", "\n", "...", "ﬁ", "İ"),
    *("ß", "東京。", "ไทย", "😀", "a" * 70, "_", "'s", "’s", "\u2028", "\r\n", "so.Then"),  # noqa: RUF001
    *("x@y", "٣٤"),
)
WORDS = st.sampled_from(PIECES)
TEXT = st.one_of(
    st.text(max_size=300),
    st.lists(WORDS, max_size=40).map(" ".join),
    st.lists(WORDS, max_size=40).map("".join),
)


def over(output: str, snippets: list[str], prompt: str = "") -> Divergence:
    return measure(output, [Retrieval(snippet=text) for text in snippets], prompt)


@given(output=TEXT, snippets=st.lists(TEXT, max_size=5), prompt=TEXT)
def test_spans_lie_in_their_texts_in_order_and_apart(
    output: str, snippets: list[str], prompt: str
) -> None:
    result = over(output, snippets, prompt)
    end = 0
    for sentence in result.sentences:
        assert end <= sentence.start < sentence.end <= len(output)
        text = output[sentence.start : sentence.end]
        assert text == text.strip()
        end = sentence.end
        if sentence.best is not None:
            snippet = snippets[sentence.best.retrieval]
            assert 0 <= sentence.best.start < sentence.best.end <= len(snippet)
            assert sentence.support > 0.0


@given(output=TEXT, snippets=st.lists(TEXT, max_size=5), prompt=TEXT)
def test_every_character_but_blanks_is_in_a_sentence(
    output: str, snippets: list[str], prompt: str
) -> None:
    result = over(output, snippets, prompt)
    inside = "".join(output[s.start : s.end] for s in result.sentences)
    assert "".join(inside.split()) == "".join(output.split())


@given(output=TEXT, snippets=st.lists(TEXT, max_size=5), prompt=TEXT)
def test_numbers_are_in_their_ranges_and_always_the_same(
    output: str, snippets: list[str], prompt: str
) -> None:
    result = over(output, snippets, prompt)
    assert 0.0 <= result.score <= 1.0
    assert 0.0 <= result.unsupported_ratio <= 1.0
    assert all(0.0 <= sentence.support <= 1.0 for sentence in result.sentences)
    assert over(output, snippets, prompt) == result


@given(text=TEXT)
def test_a_text_supports_itself(text: str) -> None:
    result = over(text, [text])
    assert result.score == 0.0
    assert result.novel_numbers == []
    assert result.novel_names == []


@given(output=TEXT, snippets=st.lists(TEXT, max_size=5), prompt=TEXT)
def test_what_is_called_new_stands_in_the_output_and_in_no_source(
    output: str, snippets: list[str], prompt: str
) -> None:
    result = over(output, snippets, prompt)
    for novel in (*result.novel_numbers, *result.novel_names):
        assert novel in output
    assert len(set(result.novel_names)) == len(result.novel_names)


@given(text=st.text(st.characters(max_codepoint=127), max_size=400))
def test_the_fast_pattern_finds_the_same_words_in_ascii(text: str) -> None:
    assert words._ASCII_WORD.findall(text) == words._WORD.findall(text)


def test_without_output_nothing_strays_and_without_retrieval_everything_does() -> None:
    assert over("", ["Delhi."]) == Divergence(score=0.0, unsupported_ratio=0.0)
    alone = over("It is in Delhi.", [], "Where is it?")
    assert (alone.score, alone.unsupported_ratio) == (1.0, 1.0)
    assert alone.sentences[0].best is None


Case = tuple[str, list[str], str, list[str], list[str]]
CASES: tuple[Case, ...] = (
    # output, snippets, prompt, novel numbers, novel names
    ("It has 42 rooms.", ["It has 42 rooms."], "", [], []),
    ("It has 43 rooms.", ["It has 42 rooms."], "", ["43"], []),
    ("It has 108,249 inhabitants.", ["108249 live there."], "", [], []),
    ("It took ten weeks.", ["It took 10 weeks."], "", [], []),
    ("In 2017 it won.", ["It won."], "What won in 2017?", [], []),
    (
        "The film is by James Cameron.",
        ["The film is by Roger Christian."],
        "",
        [],
        ["James Cameron"],
    ),
    ("Stephen King wrote it.", ["Scott Derrickson wrote it."], "", [], ["Stephen King"]),
    ("However it rains.", ["It rains."], "", [], []),
    ("It was NASA.", ["It was."], "", [], ["NASA"]),
    ("It is by J. K. Rowling.", ["By Rowling, J. K."], "", [], []),
    ("Maria Bronte wrote.", ["Maria Brontë wrote."], "", [], []),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_numbers_and_names_that_no_source_has_are_listed(
    case: Case,
) -> None:
    output, snippets, prompt, numbers, names = case
    result = over(output, snippets, prompt)
    assert result.novel_numbers == numbers
    assert result.novel_names == names


SENTENCES = (
    ("One. Two.", ["One.", "Two."]),
    (
        "Dr. Who met J. Doe in the U.S. in May. He left.",
        ["Dr. Who met J. Doe in the U.S. in May.", "He left."],
    ),
    ("It costs 6.5 euros, approx. five pounds.", ["It costs 6.5 euros, approx. five pounds."]),
    ("Glued together.Without a blank", ["Glued together.", "Without a blank"]),
    ("“Quoted.” Then more!", ["“Quoted.”", "Then more!"]),
    ("line one\nline two\n\n- three", ["line one", "line two", "- three"]),
    ("東京です。大阪です。", ["東京です。", "大阪です。"]),
    ("Wait... what?! Yes", ["Wait...", "what?!", "Yes"]),
)


@pytest.mark.parametrize("case", SENTENCES, ids=lambda case: case[0][:20])
def test_sentences_end_where_a_reader_would_end_them(case: tuple[str, list[str]]) -> None:
    text, expected = case
    assert [text[s.start : s.end] for s in over(text, []).sentences] == expected


def test_the_best_passage_is_the_sentence_that_says_it() -> None:
    snippets = [
        "The group is large. It owns ships.",
        "Hotels are nice. Its head office is in Delhi.",
    ]
    (sentence,) = over("The head office is in Delhi.", snippets).sentences
    assert sentence.best is not None
    said = snippets[sentence.best.retrieval][sentence.best.start : sentence.best.end]
    assert said == "Its head office is in Delhi."
    assert sentence.support == 1.0


HOSTILE = {
    "one word": ("a" * 262_144, ["a" * 262_144] * 3),
    "one word again and again": ("word " * 52_000, ["word " * 52_000] * 3),
    "different words": (
        " ".join(f"w{n}x" for n in range(37_000)),
        [" ".join(f"w{n}x" for n in range(37_000))] * 3,
    ),
    "short sentences": ("Ab cd. " * 37_000, ["Ab cd. " * 37_000] * 3),
    "dots": ("." * 262_144, [". " * 131_000] * 3),
    "quotes": ('."' * 131_000, ["'" * 262_144] * 3),
    "digits": ("1" * 262_144, ["1,2." * 65_000] * 3),
    "capitals": ("Ab " * 87_000, ["B" * 262_144] * 3),
    "new capitals": (" ".join(f"Ab{n}" for n in range(36_000)), ["x" * 262_144] * 3),
    "abbreviations": ("Dr. A. " * 37_000, ["U.S. " * 52_000] * 3),
    "blanks": (" " * 262_144, ["\n" * 262_144] * 3),
    "Han": ("東" * 87_000, ["東京" * 43_000] * 3),
    "a hundred snippets": ("word other. " * 20_000, ["other words here. " * 600] * 74),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_record_of_one_mebibyte_takes_less_than_a_second(name: str) -> None:
    output, snippets = HOSTILE[name]
    start = time.thread_time()
    result = over(output, snippets, output[:262_144])
    assert time.thread_time() - start < 1.0
    assert len(result.sentences) <= 1_000
    assert len(result.novel_names) <= MAX_NOVEL


@settings(max_examples=20, deadline=2_000)
@given(piece=st.text(min_size=1, max_size=12))
def test_any_piece_again_and_again_is_measured_in_bounded_time(piece: str) -> None:
    text = (piece * 100_000)[:100_000]
    start = time.thread_time()
    over(text, [text] * 3, text)
    assert time.thread_time() - start < 1.0


def test_wrong_answers_of_real_records_stray_further_than_right_ones() -> None:
    lines = _sample().read_text("utf-8").splitlines()
    right: list[float] = []
    wrong: list[float] = []
    for line in lines:
        record = json.loads(line)
        for name, scores in (("right_answer", right), ("hallucinated_answer", wrong)):
            result = over(record[name], [record["knowledge"]], record["question"])
            scores.append(result.score)
    assert len(lines) == 500
    assert auroc(wrong, right) >= 0.98
    assert sum(right) / len(right) < 0.05
    assert sum(wrong) / len(wrong) > 0.5


def auroc(positive: list[float], negative: list[float]) -> float:
    """The chance that a positive scores above a negative, ties counting half."""
    wins = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    return wins / (len(positive) * len(negative))


def _sample() -> Path:
    return Path(__file__).parents[2] / "cli/src/placet/demo/halueval-qa-500.jsonl"
