import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.support.audit_log import KEY, OTHER_KEY

from audit_sink import checkpoint
from audit_sink.checkpoint import (
    Checkpoint,
    CheckpointError,
    KeyTextError,
    new_key,
    open_checkpoint,
    parse_private_key,
    parse_public_key,
    sign,
)

HEAD = Checkpoint(origin=KEY.name, size=70_000, root=bytes(range(32)))
NOTE = sign(HEAD, KEY)

# The example in the documentation of Go's golang.org/x/mod/sumdb/note: a key and a note of others.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6"
    "KE6RyyBwJnAM=\n"
)


def test_a_note_signed_by_other_software_verifies() -> None:
    key = parse_public_key(GO_KEY)
    assert key.text == GO_KEY
    text, (line,) = checkpoint._split_note(GO_NOTE.encode())
    assert checkpoint._is_signed(text, line, key)


def test_a_checkpoint_is_three_lines_an_empty_one_and_a_signature() -> None:
    lines = NOTE.decode().split("\n")
    assert lines[:4] == [KEY.name, "70000", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", ""]
    assert lines[4].startswith(f"— {KEY.name} ")
    assert lines[5:] == [""]


def test_what_was_signed_opens() -> None:
    assert open_checkpoint(NOTE, KEY.public) == HEAD


def test_signatures_of_witnesses_are_let_stand() -> None:
    assert open_checkpoint(NOTE + "— witness.example AAAAAAAA\n".encode(), KEY.public) == HEAD


def test_no_single_bit_can_be_changed() -> None:
    for number in range(len(NOTE) * 8):
        changed = bytearray(NOTE)
        changed[number // 8] ^= 1 << number % 8
        with pytest.raises(CheckpointError):
            open_checkpoint(bytes(changed), KEY.public)


def _signed(text: str) -> bytes:
    """Return what the real key would have signed, had it been asked to sign `text`."""
    signature = Ed25519PrivateKey.from_private_bytes(KEY.seed).sign(text.encode())
    encoded = checkpoint._encode(KEY.public.key_id + signature)
    return f"{text}\n— {KEY.name} {encoded}\n".encode()


ROOT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


@pytest.mark.parametrize(
    ("note", "says"),
    [
        (b"", "not a signed note"),
        (b"\xff" + NOTE, "not UTF-8"),
        (NOTE[:-1], "not a signed note"),
        (NOTE.replace(b"\n\n", b"\n"), "not a signed note"),
        (NOTE + b"x" * 20_000, "longer than"),
        (NOTE.replace(b"\n", b"\r\n"), "control character"),
        (NOTE + NOTE.rsplit(b"\n", 2)[1] * 2 + b"\n", "no signature line"),
        (NOTE + "— a b\n".encode() * 100, "more than 100"),
        (sign(HEAD, OTHER_KEY), "no signature by"),
        (_signed(f"placet.test/other\n5\n{ROOT}\n"), "another log"),
        (_signed(f"{KEY.name}\n05\n{ROOT}\n"), "size in digits"),
        (_signed(f"{KEY.name}\n-5\n{ROOT}\n"), "size in digits"),
        (_signed(f"{KEY.name}\n\u0665\n{ROOT}\n"), "size in digits"),
        (_signed(f"{KEY.name}\n5\n{ROOT[:-4]}\n"), "root in base64"),
        (_signed(f"{KEY.name}\n5\n"), "three lines"),
        (_signed(f"{KEY.name}\n5\n{ROOT}\nextension\n"), "three lines"),
    ],
)
def test_what_is_no_checkpoint_of_this_log_is_refused(note: bytes, says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        open_checkpoint(note, KEY.public)


def test_keys_have_one_text() -> None:
    assert parse_private_key(KEY.text + "\n") == KEY
    assert parse_public_key(KEY.public.text) == KEY.public
    assert "seed" not in repr(KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a+b",
        GO_KEY.replace("c74f20a3", "c74f20a4"),
        GO_KEY.replace("c74f20a3", "C74F20A3"),
        GO_KEY.replace("TW", "T"),
        GO_KEY.replace("ARpc", "BBpc"),
        GO_KEY.replace("PeterNeumann", "Peter Neumann"),
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(KeyTextError):
        parse_public_key(text)
    with pytest.raises(KeyTextError):
        parse_private_key(f"PRIVATE+KEY+{text}")


def test_a_key_name_holds_no_white_space() -> None:
    with pytest.raises(KeyTextError):
        new_key("a b", bytes(32))
    with pytest.raises(KeyTextError):
        new_key("a", bytes(31))
