"""Orders are believed only if they are signed with the operator's key, over exactly these bytes."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir_api.signing import new_key, public_key, sign, verify

KEY = new_key()
PUBLIC = public_key(KEY)


@given(body=st.binary(max_size=200))
def test_what_was_signed_is_believed(body):
    assert verify(PUBLIC, body, sign(KEY, body))


@given(body=st.binary(min_size=1, max_size=50), bit=st.integers(min_value=0))
def test_one_changed_bit_of_the_body_is_not(body, bit):
    place = bit % (8 * len(body))
    changed = bytearray(body)
    changed[place // 8] ^= 1 << (place % 8)
    assert not verify(PUBLIC, bytes(changed), sign(KEY, body))


@given(bit=st.integers(0, 8 * 64 - 1))
def test_one_changed_bit_of_the_signature_is_not(bit):
    signature = bytearray(base64.b64decode(sign(KEY, b"order")))
    signature[bit // 8] ^= 1 << (bit % 8)
    assert not verify(PUBLIC, b"order", base64.b64encode(signature).decode())


def test_another_key_is_not():
    assert not verify(public_key(new_key()), b"order", sign(KEY, b"order"))


@given(signature=st.text(max_size=100))
def test_no_text_breaks_the_check(signature):
    assert not verify(PUBLIC, b"order", signature)


@pytest.mark.parametrize(
    "public", ["", "a", "AAAA", "ä", base64.b64encode(bytes(31)).decode(), PUBLIC + "\n", f"{PUBLIC}="]
)
def test_a_malformed_public_key_believes_nothing(public):
    assert not verify(public, b"order", sign(KEY, b"order"))


def test_the_published_vector():
    """RFC 8032, section 7.1, test 3."""

    def encoded(digits):
        return base64.b64encode(bytes.fromhex(digits)).decode()

    private = encoded("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
    assert public_key(private) == encoded("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
    assert sign(private, b"\xaf\x82") == encoded(
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )
