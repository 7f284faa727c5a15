"""The page on a server that asks for keys: it sends the one from its settings, and says why it is refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from weir_runtime.front.keys import digest

pytestmark = pytest.mark.browser
expect = pytest.importorskip("playwright.sync_api").expect

KEY = "weir_k-_1"


@pytest.fixture
def keyed(serve: Any, tmp_path: Path) -> Callable[..., Any]:
    """A server with one key and this quota."""

    def start(**quota: int) -> Any:
        entry = {"sha256": digest(KEY), "tenant": "acme", "class": "standard"} | quota
        (tmp_path / "keys.yaml").write_text(json.dumps([entry]))
        return serve(auth={"keysFile": str(tmp_path / "keys.yaml")})

    return start


def choose(page: Any, key: str = KEY, priority: str = "") -> None:
    page.get_by_role("button", name="Settings").click()
    page.fill("#key", key)
    page.select_option("#class", priority)
    page.keyboard.press("Escape")


def test_the_key_of_the_settings_opens_a_stream_and_its_lack_is_told(keyed: Any, visit: Any) -> None:
    page = visit(keyed().url, network_errors=True)
    status = page.locator("#status")
    page.click("#start")
    expect(status).to_have_text("The server asks for a key. Enter one under Settings, then press Start again.")
    choose(page, "weir_guessed")
    page.click("#start")
    expect(status).to_have_text("The server does not know this key. Look at Settings, then press Start again.")
    choose(page, priority="interactive")
    page.click("#start")
    expect(status).to_contain_text("This priority needs another key.")
    choose(page)
    page.click("#start")
    expect(status).to_have_text("Listening")


def test_a_quota_of_streams_is_waited_for_and_one_of_audio_is_not(keyed: Any, visit: Any) -> None:
    own = keyed(maxStreams=1, audioSecondsPerDay=1)
    page = visit(own.url, network_errors=True)
    choose(page)
    with own.connect(additional_headers={"Authorization": f"Bearer {KEY}"}) as socket:
        page.click("#start")
        expect(page.locator("#status")).to_contain_text("As many streams are open with this key as may be.")
        expect(page.locator("#countdown")).to_have_text(re.compile(r"^\d+ s$"))
        socket.send(bytes(32_000))
        own.until(lambda load: load["audio_s"] > 0.9)
        page.click("#start")
        page.click("#start")
        expect(page.locator("#status")).to_contain_text("All the sound that this key may send in a day has been sent.")
    expect(page.locator("#start")).to_have_text("Start")
