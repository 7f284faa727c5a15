"""What goes wrong is said in words, and what can be mended the page mends by itself."""

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from page.scripted import RATE, WORDS, Script

pytestmark = pytest.mark.browser
expect = pytest.importorskip("playwright.sync_api").expect

WAITS = re.compile(r"Trying again in$")
SECONDS = re.compile(r"^\d+ s$")


def words(page: Any) -> list[str]:
    return " ".join(page.locator("#log p > span:not(#interim)").all_inner_texts()).split()


def listen_in(page: Any) -> None:
    """Notes down each sentence of the status line: some stand there for a moment only."""
    page.evaluate("""() => {
      window.said = [];
      new MutationObserver(() => said.push(document.getElementById('status').textContent))
        .observe(document.getElementById('status'), { childList: true, characterData: true, subtree: true });
    }""")


def fidelity_db(got: np.ndarray, want: np.ndarray) -> float:
    """Signal to error, at the best shift by a fraction of a sample."""
    n = 1 << (len(got) + len(want)).bit_length()
    heard, said = np.fft.rfft(got, n), np.fft.rfft(want, n)
    coarse = int(np.argmax(np.fft.irfft(heard * np.conj(said), n)))
    turn = 2j * np.pi * np.arange(len(said)) / n
    errors = [np.sum(np.abs(heard - said * np.exp(-turn * shift)) ** 2) for shift in coarse + np.linspace(-1, 1, 201)]
    return float(10 * np.log10(np.sum(np.abs(said) ** 2) / min(errors)))


def test_a_denied_microphone(scripted: str, visit: Any) -> None:
    page = visit(scripted, granted=False)
    page.click("#start")
    expect(page.locator("#status")).to_have_text(
        "The microphone is blocked. Allow it beside the address bar, then press Start again."
    )
    expect(page.locator("#start")).to_have_text("Start")


def test_no_microphone(scripted: str, chromium: Any, visit: Any) -> None:
    deaf = chromium()
    page = visit(scripted, within=deaf)
    page.click("#start")
    expect(page.locator("#status")).to_contain_text("No microphone was found.")
    deaf.close()


def test_a_full_server_counts_down_and_then_connects(scripted: str, script: Script, visit: Any, play: Any) -> None:
    script.full_until = time.monotonic() + 2
    page = visit(scripted, network_errors=True)
    play(page, "two")
    expect(page.locator("#status")).to_contain_text("The server is full. What you say until then is not captioned.")
    expect(page.locator("#countdown")).to_have_text(SECONDS)
    assert page.locator("[aria-live] #countdown, [role=status] #countdown").count() == 0
    assert page.locator("#countdown[aria-hidden=true]").count() == 1
    expect(page.locator("#status")).to_have_text("Playing a sample")
    expect(page.locator("#countdown")).to_be_empty()
    expect(page.locator("#log")).to_contain_text(WORDS[5])
    assert words(page)[0] == "zero"  # nothing of the sample was played to a deaf server


@pytest.mark.parametrize(("code", "drops"), [(1011, (720, 480)), (1001, (1040,)), (4009, (480,))])
def test_a_lost_connection_is_made_again(
    scripted: str, script: Script, visit: Any, play: Any, code: int, drops: tuple[int, ...]
) -> None:
    script.drop_after_ms, script.drop_code = list(drops), code  # in the middle of a word, or just behind one
    page = visit(scripted)
    listen_in(page)
    play(page, "two")
    expect(page.locator("#status")).to_have_text("The sample is over.")
    waited = [sentence for sentence in page.evaluate("() => said") if WAITS.search(sentence)]
    assert len(waited) == len(drops)
    assert "Up to 90 s of what you say is kept" in waited[0]
    assert " ".join(words(page)) == f"{WORDS[0]} {WORDS[5]}"
    assert len(script.sessions) == len(drops) + 1


def test_a_refusal_without_a_reason_ends_in_advice(scripted: str, script: Script, visit: Any) -> None:
    script.shut = True
    page = visit(scripted, network_errors=True)
    page.click("#start")
    expect(page.locator("#status")).to_contain_text("lets this page open no stream")
    assert len(script.sessions) == 3


def test_stop_does_not_wait_for_a_server_that_is_full(scripted: str, script: Script, visit: Any) -> None:
    script.full_until = time.monotonic() + 60
    page = visit(scripted, network_errors=True)
    page.click("#start")
    expect(page.locator("#status")).to_have_text(WAITS)
    page.click("#start")
    expect(page.locator("#status")).to_have_text("Stopped.")
    expect(page.locator("#countdown")).to_be_empty()


def test_what_the_server_warns_of_is_said(scripted: str, script: Script, visit: Any) -> None:
    script.warnings = ["clipped"]
    page = visit(scripted)
    page.click("#start")
    expect(page.locator("#status")).to_contain_text("The sound is too loud and clipped.")


def test_the_key_goes_in_a_header_and_never_in_the_address(scripted: str, script: Script, visit: Any) -> None:
    page = visit(scripted)
    page.get_by_role("button", name="Settings").click()
    page.fill("#key", "s3cret")
    page.select_option("#model", "small")
    page.keyboard.press("Escape")
    page.click("#start")
    expect(page.locator("#status")).to_have_text("Listening")
    [session] = script.sessions
    assert session["offered"] == ["weir.v1", "bearer.s3cret"]
    assert session["query"] == {
        "model": "small", "sample_rate": "16000", "encoding": "pcm_s16le", "revisions": "delta"
    }  # fmt: skip
    page.click("#start")
    page.get_by_role("button", name="Settings").click()
    page.fill("#key", "not a token")
    page.keyboard.press("Escape")
    page.click("#start")
    expect(page.locator("#status")).to_contain_text("The key has a character that a browser cannot send.")


def test_a_sample_reaches_the_server_whole_and_faithful(
    scripted: str, script: Script, sounds: Path, visit: Any, play: Any
) -> None:
    page = visit(scripted)
    play(page, "speech")
    expect(page.locator("#status")).to_have_text("The sample is over.")
    got, want = script.pcm, soundfile.read(sounds / "speech.wav")[0] * 32768
    assert 0 <= len(got) - len(want) < 0.1 * RATE
    assert fidelity_db(got, want) > 45
