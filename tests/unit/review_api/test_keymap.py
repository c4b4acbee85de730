"""Keys of one's own: what can be one, what is kept, what a later release adds."""

import orjson
import pytest

from review_api.keymap import USUAL, Keymap, chosen_keys, keymap_of
from review_api.problems import Code, ProblemError

KEYS = Keymap().keys


def test_nothing_kept_is_the_usual_keys() -> None:
    usual = keymap_of(None)
    assert usual.on
    assert [usual.key(name) for name in ("approve", "reject", "help")] == ["a", "r", "?"]
    assert len(set(usual.keys.values())) == len(USUAL)  # no two of the usual keys are the same


def test_what_is_chosen_comes_back() -> None:
    chosen = chosen_keys(dict(KEYS) | {"approve": "p", "skip": "", "reject": "é"}, on=False)
    again = keymap_of(chosen.text())
    assert again == chosen
    assert (again.on, again.key("approve"), again.key("skip")) == (False, "p", "")


@pytest.mark.parametrize("key", ["ab", "1", " ", "\t", "\u200b", "\x00"])
def test_what_is_no_key(key: str) -> None:
    with pytest.raises(ProblemError) as refused:
        chosen_keys(dict(KEYS) | {"approve": key}, on=True)
    assert refused.value.code is Code.BAD_VALUE


def test_one_key_does_one_thing() -> None:
    with pytest.raises(ProblemError, match="cannot do both"):
        chosen_keys(dict(KEYS) | {"approve": "r"}, on=True)


def test_something_new_takes_no_key_that_somebody_has_chosen() -> None:
    kept = orjson.dumps({"on": True, "keys": {"approve": "o", "no longer": "q"}}).decode()
    read = keymap_of(kept)
    assert read.key("approve") == "o"
    assert read.key("evidence") == ""
    assert read.key("reject") == "r"
    assert "no longer" not in read.keys
