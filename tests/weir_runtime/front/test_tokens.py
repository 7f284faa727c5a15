"""Resume tokens and the keys that seal them, apart from any stream."""

import re
import string

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from weir_api.manifest import ManifestError
from weir_runtime.front.options import Options, change
from weir_runtime.front.resume import WINDOW_S, Ticket, Tokens, read_resume_keys, token_of
from weir_runtime.messages import ResumePoint

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))
POINT = ResumePoint(32_000, 35_200, 16_000, 35_200, False, 4, True, 15_000)
TOKENS = Tokens([NEW])
PLAIN = Options()


def token(tokens, options=PLAIN, shed=False):
    return Ticket(tokens, "s_1", "acme", "batch", "large").issue(POINT, options, 17, shed)


TOLD = token(TOKENS)


def test_a_token_holds_the_stream_and_its_options():
    options, _ = change(
        Options(), {"encoding": "mulaw", "sample_rate": 8000, "words": False, "latency": "low"}, language="en"
    )
    saved = TOKENS.open(token(TOKENS, options, shed=True))
    assert (saved.session, saved.tenant, saved.priority, saved.model) == ("s_1", "acme", "batch", "large")
    assert (saved.point, saved.seq, saved.shed) == (POINT, 17, True)
    assert saved.options(()) == options


def test_stages_that_are_not_offered_here_are_left_out():
    options, _ = change(Options(offered=("numbers", "casing")), {"stages": "numbers,casing"}, language="en")
    found = TOKENS.open(token(TOKENS, options)).options(("casing", "dates"))
    assert (found.recognition.stages, found.offered) == (("casing",), ("casing", "dates"))


def test_a_token_fits_into_a_subprotocol_and_tells_nothing():
    told = token(TOKENS)
    assert set(told) <= set(string.ascii_letters + string.digits + "-_")
    assert len(told) < 1000
    assert token(TOKENS) != told, "also not whether it is the same as before"


@given(st.text())
def test_no_text_is_a_token(text):
    assert TOKENS.open(text) == "invalid"


@given(st.integers(0, len(TOLD) - 2), st.sampled_from(string.ascii_letters + string.digits))
def test_a_token_that_was_changed_or_cut_is_none(at, letter):
    """But for its last letter, some of whose bits say nothing."""
    assert TOKENS.open(TOLD[:at]) == "invalid"
    assert letter == TOLD[at] or TOKENS.open(TOLD[:at] + letter + TOLD[at + 1 :]) == "invalid"


def test_a_sealed_text_of_another_kind_is_no_token():
    sealed = Fernet(NEW).encrypt(b'{"version":2}').decode().rstrip("=")
    assert TOKENS.open(sealed) == "invalid"


def test_the_first_key_seals_and_all_open():
    during, after = Tokens([NEW, OLD]), Tokens([NEW])
    assert during.open(token(Tokens([OLD]))) != "invalid"
    assert after.open(token(during)) != "invalid"
    assert after.open(token(Tokens([OLD]))) == "invalid"
    assert Tokens().open(token(Tokens())) == "invalid", "without a key each process has its own"


def test_a_token_is_taken_for_its_window_and_no_longer():
    now = [1000.0]
    tokens = Tokens([NEW], wall=lambda: now[0])
    told = token(tokens)
    now[0] += WINDOW_S
    assert tokens.open(told).session == "s_1"
    now[0] += 1
    assert tokens.open(told) == "expired"


def test_keys_are_read_from_a_file_one_a_line(tmp_path):
    path = tmp_path / "key"
    path.write_text(f"{NEW}\n{OLD}\n")
    assert read_resume_keys(path) == [NEW, OLD]


@pytest.mark.parametrize("text", [None, "", "\n", "secret", "é", f"{NEW}\n{NEW[:-4]}"])
def test_what_is_no_key_file_is_told_with_a_way_to_make_one_and_without_the_key(tmp_path, text):
    path = tmp_path / "key"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ManifestError, match="openssl") as caught:
        read_resume_keys(path)
    assert str(path) in str(caught.value)
    assert not re.search(NEW[:8], str(caught.value))


def test_the_header_goes_before_the_query_and_that_before_the_subprotocol():
    offered = ["weir.v1", "resume.c"]
    assert token_of({"weir-resume": "a"}, {"resume": "b"}, offered) == "a"
    assert token_of({}, {"resume": "b"}, offered) == "b"
    assert token_of({}, {}, offered) == "c"
    assert token_of({}, {}, ["weir.v1"]) is None
