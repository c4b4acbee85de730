"""What is sealed opens for its own place under its own key, and for nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.cipher import OVERHEAD, CipherError, open_sealed, seal

KEY = bytes(range(32))
NONCE = bytes(12)
PURPOSES = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
IDENTITIES = st.text(max_size=40)


@given(st.binary(max_size=500), PURPOSES, IDENTITIES, st.binary(min_size=12, max_size=12))
def test_what_was_sealed_comes_out(data: bytes, purpose: str, identity: str, nonce: bytes) -> None:
    sealed = seal(KEY, data, purpose=purpose, identity=identity, nonce=nonce)
    assert len(sealed) == len(data) + OVERHEAD
    assert open_sealed(KEY, sealed, purpose=purpose, identity=identity) == data


def test_no_flipped_bit_is_accepted() -> None:
    sealed = seal(KEY, b"zebracorn", purpose="p", identity="7", nonce=NONCE)
    for bit in range(8 * len(sealed)):
        flipped = bytearray(sealed)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CipherError):
            open_sealed(KEY, bytes(flipped), purpose="p", identity="7")


def test_nothing_cut_off_or_put_on_is_accepted() -> None:
    sealed = seal(KEY, b"zebracorn", purpose="p", identity="7", nonce=NONCE)
    for other in [sealed[:cut] for cut in range(len(sealed))] + [sealed + b"\0"]:
        with pytest.raises(CipherError):
            open_sealed(KEY, other, purpose="p", identity="7")


@given(PURPOSES, IDENTITIES, PURPOSES, IDENTITIES)
def test_a_ciphertext_opens_nowhere_else(p: str, i: str, q: str, j: str) -> None:
    sealed = seal(KEY, b"x", purpose=p, identity=i, nonce=NONCE)
    if (p, i) == (q, j):
        assert open_sealed(KEY, sealed, purpose=q, identity=j) == b"x"
    else:
        with pytest.raises(CipherError):
            open_sealed(KEY, sealed, purpose=q, identity=j)


def test_another_key_opens_nothing() -> None:
    sealed = seal(KEY, b"x", purpose="p", identity="7", nonce=NONCE)
    with pytest.raises(CipherError, match="p of 7"):
        open_sealed(bytes(32), sealed, purpose="p", identity="7")


def test_the_form_stays_what_it_is() -> None:
    # Whatever was written years ago must still be read.
    sealed = seal(KEY, b"placet", purpose="audit payload", identity="7", nonce=NONCE)
    assert sealed.hex() == "010000000000000000000000007ed0d4bdd05886615323de12ff8feeb888d58eeab2cc"
