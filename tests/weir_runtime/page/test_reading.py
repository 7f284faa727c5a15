"""Reading along: the captions as text, where the page scrolls to, what can be kept, keys, widths and colours."""

import re
from typing import Any

import pytest
from page.scripted import WORDS, Script

pytestmark = pytest.mark.browser
expect = pytest.importorskip("playwright.sync_api").expect

NASTY = WORDS[5]
OVER = "The sample is over."
BELOW = "(b) => b.scrollHeight - b.scrollTop - b.clientHeight"
# Paints finals and an open text as events would; the page's own parts do the rest.
PAINT = """async (n) => {
  const { paint } = await import('/view.js');
  const finals = Array.from({ length: n }, (_, i) => ({ text: `line ${i}`, lead: ' ', start: 5000 * i, opens: true }));
  paint({ finals, interim: { text: 'and so on', stable: 3, lead: ' ', opens: false, start: 0 } });
}"""


@pytest.fixture
def played(scripted: str, visit: Any, play: Any) -> Any:
    """A page that has two words: one plain, one with markup and a smile."""
    page = visit(scripted)
    play(page, "two")
    expect(page.locator("#status")).to_have_text(OVER)
    return page


def test_markup_and_emoji_stay_text_through_every_revision(scripted: str, visit: Any, play: Any) -> None:
    page = visit(scripted)
    page.evaluate("""() => {
      window.seen = [];
      new MutationObserver(() => seen.push(document.getElementById('interim')?.textContent))
        .observe(document.getElementById('log'), { childList: true, characterData: true, subtree: true });
    }""")
    play(page, "two")
    expect(page.locator("#status")).to_have_text(OVER)
    expect(page.locator("#log p > span").last).to_have_text(f" {NASTY}", use_inner_text=False)
    expect(page.locator("#log p > span *")).to_have_count(0)
    grown = [text.strip() for text in page.evaluate("() => seen") if text]
    assert {text for text in grown if text.startswith("<")} >= {NASTY[:n] for n in (1, 2, 3)}
    assert all(WORDS[0].startswith(text) or NASTY.startswith(text) for text in grown)


def test_captions_are_copied_and_saved(played: Any) -> None:
    played.click("#copy")
    expect(played.locator("#copy")).to_have_text("Copied")
    assert played.evaluate("() => navigator.clipboard.readText()") == f"zero {NASTY}\n"
    saved = {}
    for kind in ("txt", "srt", "vtt"):
        played.click("#save")
        with played.expect_download() as download:
            played.click(f"[data-format={kind}]")
        assert download.value.suggested_filename == f"captions.{kind}"
        saved[kind] = download.value.path().read_text()
    assert saved["txt"] == f"zero {NASTY}\n"
    assert re.fullmatch(
        r"1\n00:00:00,\d{3} --> 00:00:0\d,\d{3}\nzero\n\n2\n00:00:0\d,\d{3} --> 00:00:0\d,\d{3}\n"
        + re.escape(NASTY)
        + "\n",
        saved["srt"],
    )
    assert saved["vtt"].startswith("WEBVTT\n\n00:00:00.")
    assert "&lt;b&gt;five&lt;/b&gt; &amp; 🙂" in saved["vtt"]


def test_a_second_run_goes_on_where_the_first_ended_and_clear_forgets_all(played: Any, play: Any) -> None:
    play(played, "two")
    expect(played.locator("#status")).to_have_text("Playing a sample")
    expect(played.locator("#status")).to_have_text(OVER)
    expect(played.locator("#log p")).to_have_count(2)
    expect(played.locator("#log time").last).to_have_text(re.compile("^0:0[1-4]$"))
    played.click("#clear")
    expect(played.locator("#log p")).to_have_count(0)
    expect(played.locator("#hint")).to_be_visible()
    expect(played.locator("#clock")).to_have_text("0:00")
    expect(played.locator("#copy")).to_be_disabled()


def test_the_space_bar_starts_and_stops_but_leaves_controls_alone(scripted: str, visit: Any) -> None:
    page = visit(scripted)
    page.locator("#larger").focus()
    page.keyboard.press("Space")
    expect(page.locator("#start")).to_have_text("Start")
    page.locator("#box").focus()
    page.keyboard.press("Space")
    expect(page.locator("#status")).to_have_text("Listening")
    page.keyboard.press("Space")
    expect(page.locator("#status")).to_have_text("Stopped.")


def test_it_follows_the_end_until_the_reader_goes_up(scripted: str, visit: Any) -> None:
    page = visit(scripted, viewport={"width": 600, "height": 400})
    box, newest = page.locator("#box"), page.locator("#newest")
    page.evaluate(PAINT, 40)
    assert box.evaluate(BELOW) < 2
    box.hover()
    page.mouse.wheel(0, -300)
    expect(newest).to_be_visible()
    top = box.evaluate("(b) => b.scrollTop")
    page.evaluate(PAINT, 60)
    assert box.evaluate("(b) => b.scrollTop") == top
    newest.click()
    expect(newest).to_be_hidden()
    page.evaluate(PAINT, 80)
    assert box.evaluate(BELOW) < 2
    page.mouse.wheel(0, -300)
    expect(newest).to_be_visible()
    page.mouse.wheel(0, 400)  # back near the end by hand
    expect(newest).to_be_hidden()
    page.evaluate(PAINT, 90)
    assert box.evaluate(BELOW) < 2


def test_larger_text_is_remembered(scripted: str, visit: Any) -> None:
    page = visit(scripted)
    size = "() => parseFloat(getComputedStyle(document.getElementById('log')).fontSize)"
    before = page.evaluate(size)
    page.click("#larger")
    larger = page.evaluate(size)
    assert larger > before
    page.reload()
    assert page.evaluate(size) == larger


@pytest.mark.parametrize(
    ("rung", "says", "figures"),
    [(0, "Server ready", "full quality"), (1, "Server busy", "fewer interims (step 1)")],
)
def test_the_state_of_the_server_is_shown(
    scripted: str, script: Script, visit: Any, rung: int, says: str, figures: str
) -> None:
    script.rung = rung
    page = visit(scripted)
    expect(page.locator("#server-state")).to_have_text(says)
    shown = [figures, "1 stream", "1 of 64 slots", "0.5 s queued", "2 refused", "model large"]
    assert page.locator("#server-figures span").all_inner_texts() == shown
    assert page.locator("#model option").all_inner_texts() == ["the server’s choice", "large", "small"]


def test_who_listens_to_the_page_hears_finals_and_not_what_still_changes(scripted: str, visit: Any) -> None:
    page = visit(scripted)
    page.evaluate(PAINT, 1)
    log = page.locator("#log")
    assert (log.get_attribute("role"), log.get_attribute("aria-live")) == ("log", "polite")
    assert page.locator("#interim").get_attribute("aria-hidden") == "true"
    heard = page.locator("body").aria_snapshot()
    assert "line 0" in heard
    assert "and so on" not in heard
    nameless = page.locator("button").evaluate_all(
        "(all) => all.filter((b) => !(b.getAttribute('aria-label') ?? b.textContent).trim()).length"
    )
    assert nameless == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_schemes_and_on_a_phone(scripted: str, visit: Any, scheme: str) -> None:
    page = visit(scripted, color_scheme=scheme, viewport={"width": 360, "height": 640})
    page.evaluate(PAINT, 3)
    assert page.evaluate("() => document.documentElement.scrollWidth") == 360
    contrast = """(selectors) => {
      const shine = (css) => css.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
        .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      return selectors.map(([text, ground]) => {
        const pair = [getComputedStyle(document.querySelector(text)).color,
          getComputedStyle(document.querySelector(ground)).backgroundColor].map(shine).sort((a, b) => b - a);
        return (pair[0] + 0.05) / (pair[1] + 0.05);
      });
    }"""
    pairs = [("#log span", "body"), ("#interim", "body"), ("#start", "#start"), ("#server", "footer"), ("time", "body")]
    ratios = page.evaluate(contrast, pairs)
    assert min(ratios) >= 4.5, dict(zip(pairs, ratios, strict=True))
