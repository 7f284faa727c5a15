"""Real speech through a real browser and a real server, as a person would see it."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.browser
expect = pytest.importorskip("playwright.sync_api").expect

SPOKEN = "zero nine three five seven six"
OVER_MS = 20_000


def words(page: Any) -> str:
    """What stands on the page as final."""
    return " ".join(" ".join(page.locator("#log p > span:not(#interim)").all_inner_texts()).split())


def test_a_person_who_speaks_reads_what_was_said(weir: str, visit: Any) -> None:
    page = visit(weir)
    page.keyboard.press("Space")
    expect(page.locator("#status")).to_have_text("Listening")
    expect(page.locator("#server-figures")).to_contain_text("1 of 64 slots")
    expect(page.locator("#log")).to_contain_text(SPOKEN.split()[-1], timeout=OVER_MS)
    page.keyboard.press("Space")
    expect(page.locator("#status")).to_have_text("Stopped.")
    assert words(page) == SPOKEN
    expect(page.locator("#delay")).to_have_text(re.compile(r"^\d+ ms$"))
    expect(page.locator("#clock")).to_have_text(re.compile(r"^0:0[3-9]$"))
    expect(page.locator("#interim")).to_have_count(0)


def test_a_sample_plays_to_its_end_and_its_words_turn_from_grey_to_dark(weir: str, visit: Any, play: Any) -> None:
    page = visit(weir, granted=False)  # and asks for no microphone
    page.click("#samples")
    expect(page.locator("#samples-menu")).to_contain_text("CC BY-SA 4.0")
    expect(page.locator("#samples-menu a").first).to_have_text(re.compile("Free Spoken Digit Dataset"))
    page.keyboard.press("Escape")
    play(page, "A double shot")
    interim = page.locator("#interim")
    expect(interim.locator("b")).to_have_text(re.compile("^can i get"), timeout=OVER_MS)
    shades = interim.evaluate("(i) => [i, i.firstChild].map((e) => getComputedStyle(e).color)")
    assert shades[1] == page.evaluate("() => getComputedStyle(document.body).color") != shades[0]
    expect(page.locator("#status")).to_have_text("The sample is over.", timeout=OVER_MS)
    assert words(page) == "can i get a medium roast double shot mocha"


def test_a_cut_wire_in_mid_word_neither_loses_nor_doubles_words(weir: str, wire: Any, visit: Any, play: Any) -> None:
    line = wire(urlsplit(weir).port)
    page = visit(line.url, network_errors=True)
    play(page, "Seven digits")
    expect(page.locator("#log")).to_contain_text("four", timeout=OVER_MS)
    line.cut()
    expect(page.locator("#status")).to_contain_text("The connection was lost.")
    expect(page.locator("#status")).to_have_text("The sample is over.", timeout=OVER_MS)
    assert words(page) == "three zero four two four four zero"
    expect(page.locator("#server-state")).to_have_text("Server ready")


def test_ctrl_c_ends_the_server_though_a_page_is_open_and_listens(weir_serve: Any, visit: Any, play: Any) -> None:
    with weir_serve() as process:
        page = visit(process.url, network_errors=True)
        play(page, "A medium roast")
        expect(page.locator("#interim")).to_contain_text("make me", timeout=OVER_MS)
        assert process.interrupt() == 0
        expect(page.locator("#log p > span").first).to_contain_text("make me")  # the final came before the end
        expect(page.locator("#interim")).to_have_count(0)
        expect(page.locator("#server-state")).to_have_text("Server not reachable")
        expect(page.locator("#status")).to_contain_text(re.compile("shutting down|cannot be reached"))
        page.click("#start")
        expect(page.locator("#status")).to_have_text("Stopped.")


@pytest.mark.parametrize(
    ("query", "words"),
    [("?model=nope", "'nope' is not served here"), ("?encoding=opus", "encoding: 'opus' is unknown")],
)
def test_what_the_server_cannot_do_is_said_in_its_own_words(weir: str, visit: Any, query: str, words: str) -> None:
    page = visit(f"{weir}/{query}", network_errors=True)
    page.click("#start")
    expect(page.locator("#status")).to_contain_text(words)
    expect(page.locator("#start")).to_have_text("Start")


def test_a_page_of_another_site_gets_no_stream(weir: str, scripted: str, visit: Any) -> None:
    ask = """(url) => new Promise((resolve) => {
      const socket = new WebSocket(url, 'weir.v1');
      socket.onopen = () => resolve('open');
      socket.onclose = ({ code }) => resolve(code);
    })"""
    own = visit(weir, network_errors=True)
    stream = weir.replace("http", "ws") + "/v1/stream"
    assert own.evaluate(ask, stream) == "open"
    foreign = visit(f"{scripted}/v1/admission", network_errors=True)  # a page without a policy of its own
    assert foreign.evaluate(ask, stream) == 1006


def test_an_insecure_address_gets_an_explanation(weir: str, visit: Any, play: Any) -> None:
    page = visit(weir.replace("127.0.0.1", "weir.test"), granted=False)
    page.click("#start")
    expect(page.locator("#status")).to_contain_text("only to pages opened by https or from localhost")
    play(page, "A wake word")
    expect(page.locator("#status")).to_contain_text("only to pages opened by https or from localhost")
    expect(page.locator("#start")).to_have_text("Start")
