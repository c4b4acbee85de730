"""Only a pinned key over the very same bytes verifies."""

import pytest

from conveyor.keys import KeyFileError, Signer, Verifier, generate, load_secret, write_secret


@pytest.fixture
def pair(tmp_path):
    generate(tmp_path / "decision.key", tmp_path / "public" / "decision.pem")
    return Signer.load(tmp_path / "decision.key"), Verifier.load(tmp_path / "public")


def test_what_was_signed_verifies_and_nothing_else(pair):
    signer, verifier = pair
    signature = signer.sign(b"statement")
    assert verifier.verify(signer.key_id, signature, b"statement")
    assert not verifier.verify(signer.key_id, signature, b"statement.")
    assert not verifier.verify(signer.key_id, signature[:-1] + b"\0", b"statement")
    assert not verifier.verify(signer.key_id, b"", b"statement")
    assert not verifier.verify("0" * 16, signature, b"statement")


def test_a_key_that_is_not_pinned_verifies_nothing(pair, tmp_path):
    _, verifier = pair
    generate(tmp_path / "other.key", tmp_path / "other.pem")
    other = Signer.load(tmp_path / "other.key")
    assert not verifier.verify(other.key_id, other.sign(b"x"), b"x")


def test_private_keys_are_private_and_never_overwritten(tmp_path):
    generate(tmp_path / "a.key", tmp_path / "a.pem")
    assert (tmp_path / "a.key").stat().st_mode & 0o077 == 0
    with pytest.raises(FileExistsError):
        generate(tmp_path / "a.key", tmp_path / "a.pem")


def test_files_that_are_no_keys_are_named(tmp_path):
    (tmp_path / "bad.pem").write_text("nothing")
    write_secret(tmp_path / "bad.secret", b"***")
    for read in (Signer.load, Verifier.load):
        with pytest.raises(KeyFileError, match=r"bad\.pem"):
            read(tmp_path / "bad.pem")
    with pytest.raises(KeyFileError, match=r"bad\.secret"):
        load_secret(tmp_path / "bad.secret")
    (tmp_path / "empty").mkdir()
    with pytest.raises(KeyFileError, match="no public key"):
        Verifier.load(tmp_path / "empty")
