"""The key file, and the keyring before it: made once, remembered for a while, gone when gone."""

import base64
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support.vault import MemoryStore, memory_keyring

from conveyor.keys import KeyFileError
from vault import subjects
from vault.cipher import CipherError
from vault.keyring import Keyring
from vault.keys import KeyFile, UnknownKeyError, Wrapped

DATA_KEY = bytes(range(32))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile.make(tmp_path / "vault.key")


# the file


def test_a_key_file_is_its_owner_s_alone_and_never_overwritten(keys: KeyFile) -> None:
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        KeyFile.make(keys.path)
    keys.create()
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert [path.name for path in keys.path.parent.iterdir()] == ["vault.key"]


@pytest.mark.parametrize(
    "text", ["", "\n", "no base64!", base64.b64encode(bytes(31)).decode(), "é", None]
)
def test_a_file_without_a_key_is_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "vault.key"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(KeyFileError, match=str(path)):
        KeyFile(path)


def test_a_wrapped_key_is_bound_to_its_subject_and_its_wrapping_key(keys: KeyFile) -> None:
    wrapped = keys.encrypt(DATA_KEY, "item:1")
    assert keys.decrypt(wrapped, "item:1") == DATA_KEY
    assert DATA_KEY not in wrapped.data
    with pytest.raises(CipherError):
        keys.decrypt(wrapped, "item:2")
    older = keys.current
    keys.create()
    with pytest.raises(CipherError):
        keys.decrypt(Wrapped(kek_id=keys.current, data=wrapped.data), "item:1")
    assert keys.decrypt(wrapped, "item:1") == DATA_KEY
    assert wrapped.kek_id == older


def test_after_rotation_the_old_key_can_go(keys: KeyFile) -> None:
    wrapped = keys.encrypt(DATA_KEY, "item:1")
    keys.create()
    anew = keys.rewrap(wrapped, "item:1")
    assert anew.kek_id == keys.current != wrapped.kek_id
    keys.destroy(wrapped.kek_id)
    assert keys.decrypt(anew, "item:1") == DATA_KEY
    with pytest.raises(UnknownKeyError, match=rf"{keys.path}.*{wrapped.kek_id}"):
        keys.decrypt(wrapped, "item:1")
    with pytest.raises(ValueError, match="make another one first"):
        keys.destroy(keys.current)


def test_a_running_service_takes_up_a_new_key_from_its_file(keys: KeyFile) -> None:
    running = KeyFile(keys.path)
    keys.create()
    assert running.decrypt(keys.encrypt(DATA_KEY, "item:1"), "item:1") == DATA_KEY


# the keyring


def test_one_question_for_a_batch_and_none_for_what_is_remembered(tmp_path: Path) -> None:
    store = MemoryStore()
    ring = memory_keyring(tmp_path, store)
    first = ring.keys_for(["item:1", "item:2", "item:1"])
    assert (set(first), store.asked) == ({"item:1", "item:2"}, 1)
    assert ring.keys_for(["item:2", "item:1"]) == first
    assert store.asked == 1
    assert memory_keyring(tmp_path, store).find(["item:1", "item:3"]) == {"item:1": first["item:1"]}


def test_whoever_comes_second_uses_the_first_one_s_key(tmp_path: Path) -> None:
    store = MemoryStore()
    one, two = memory_keyring(tmp_path, store), memory_keyring(tmp_path, store)
    assert one.keys_for(["item:1"]) == two.keys_for(["item:1"])


def test_what_others_destroyed_is_used_no_longer_than_promised(tmp_path: Path) -> None:
    store, clock = MemoryStore(), Clock()
    ring = memory_keyring(tmp_path, store, clock=clock, seconds=60.0)
    assert ring.keys_for(["item:1"])["item:1"] is not None
    memory_keyring(tmp_path, store).destroy("item:1", "asked", "ada")
    clock.now = 59.9
    assert ring.keys_for(["item:1"])["item:1"] is not None
    clock.now = 60.0
    assert ring.keys_for(["item:1"]) == {"item:1": None}
    assert ring.find(["item:1"]) == {"item:1": None}


def test_the_bound_counts_from_the_question_and_using_a_key_does_not_prolong_it(
    tmp_path: Path,
) -> None:
    store, clock = MemoryStore(), Clock()
    ring = memory_keyring(tmp_path, store, clock=clock, seconds=60.0)
    for now in (0.0, 30.0, 59.0, 61.0):
        clock.now = now
        ring.keys_for(["item:1"])
    assert store.asked == 2


def test_a_destruction_that_was_read_is_in_force_at_once(tmp_path: Path) -> None:
    store = MemoryStore()
    ring = memory_keyring(tmp_path, store)
    ring.keys_for(["item:1"])
    memory_keyring(tmp_path, store).destroy("item:1", "asked", "ada")
    assert ring.destroyed_after(0) == [(1, "item:1")]
    assert ring.find(["item:1"]) == {"item:1": None}


def test_an_answer_that_was_under_way_does_not_bring_a_destroyed_key_back(tmp_path: Path) -> None:
    class Slow(MemoryStore):
        def keys_for(
            self, subjects: Sequence[str], candidates: Sequence[Wrapped]
        ) -> dict[str, Wrapped | None]:
            answer = super().keys_for(subjects, candidates)
            memory_keyring(tmp_path, self).destroy("item:1", "asked", "ada")
            assert ring.destroyed_after(0)
            return answer

    ring = memory_keyring(tmp_path, Slow())
    assert ring.keys_for(["item:1", "item:2"])["item:1"] is None
    assert ring.find(["item:1"]) == {"item:1": None}
    assert ring.find(["item:2"])["item:2"] is not None


def test_no_more_keys_are_remembered_than_said(tmp_path: Path) -> None:
    store = MemoryStore()
    ring = memory_keyring(tmp_path, store, size=3)
    for number in range(10):
        ring.keys_for([f"item:{number}"])
    assert len(ring._known) == 3
    asked = store.asked
    ring.keys_for(["item:7", "item:8", "item:9"])
    assert store.asked == asked


def test_a_key_of_another_file_is_named_at_the_start(tmp_path: Path) -> None:
    store = MemoryStore()
    memory_keyring(tmp_path / "a", store).keys_for(["item:1"])
    other = memory_keyring(tmp_path / "b", store)
    with pytest.raises(UnknownKeyError, match=str(tmp_path / "b" / "vault.key")):
        other.check()
    Keyring(store, KeyFile(tmp_path / "a" / "vault.key")).check()  # type: ignore[arg-type]


def test_a_data_key_shows_nothing_of_itself(tmp_path: Path) -> None:
    key = memory_keyring(tmp_path).keys_for(["item:1"])["item:1"]
    assert key is not None
    assert key.raw.hex() not in repr(key)
    assert repr(key.raw)[2:-1] not in repr(key)


# names


def test_subjects_of_two_kinds_are_never_the_same() -> None:
    made = {
        kind(value)
        for kind in (subjects.person, subjects.item, subjects.account, subjects.event)
        for value in ("1", "item:1", "person:1")
    }
    assert len(made) == 12


def test_a_subject_is_short_whatever_it_is_called_and_long_ones_differ() -> None:
    long = [subjects.person("x" * 500 + end) for end in "ab"]
    assert long[0] != long[1]
    assert all(len(one) <= subjects.LONGEST for one in [*long, subjects.item("\0" * 199)])
    assert "\0" not in subjects.item("a\0b")
