"""Chromium against the captions page: on a scripted server for what goes wrong, on `weir serve` for real speech.

Every test fails on an error of the page or of the console, except those of the network in tests that break it.
"""

import asyncio
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import uvicorn
from page.relay import Relay, relay
from page.scripted import RATE, Script, scripted_app, tones

SPEECH = Path(__file__).parents[2] / "speech"
SPOKEN = "digits/digits_theo_15.flac"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--host-resolver-rules=MAP weir.test 127.0.0.1",
]
# A page cannot keep Chromium from reporting these.
NETWORK_ERRORS = ("Failed to load resource", "WebSocket connection to")


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sample recordings of the scripted server: tones, and real speech for the resampler."""
    folder = tmp_path_factory.mktemp("samples")
    soundfile.write(folder / "two.wav", tones([0, 5]), RATE, subtype="PCM_16")
    speech, rate = soundfile.read(SPEECH / SPOKEN)
    soundfile.write(folder / "speech.wav", speech[: 2 * rate], rate, subtype="PCM_16")
    return folder


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def scripted(script: Script, sounds: Path) -> Iterator[str]:
    """The address of a scripted server that does as `script` says."""
    config = uvicorn.Config(scripted_app(script, sounds), port=0, log_level="critical", timeout_graceful_shutdown=1)
    config.ws, config.ws_per_message_deflate = "websockets-sansio", False
    server = uvicorn.Server(config)
    bound = config.bind_socket()
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([bound])))
    thread.start()
    yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    bound.close()


@dataclass(frozen=True)
class Process:
    """`weir serve` as a person starts it."""

    url: str
    popen: subprocess.Popen[str]

    def interrupt(self) -> int:
        """Ctrl-C; the exit code, within the promised five seconds."""
        self.popen.send_signal(signal.SIGINT)
        return self.popen.wait(5)


@pytest.fixture(scope="module")
def weir_serve() -> Callable[[], AbstractContextManager[Process]]:
    """Starts a real server with its real models on a free port."""

    @contextmanager
    def start() -> Iterator[Process]:
        command = [str(Path(sys.executable).with_name("weir")), "serve", "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as popen:
            assert popen.stdout is not None
            line = next((said for said in popen.stdout if "listening on " in said), "")
            assert line, "weir serve ended before it listened"
            try:
                yield Process(line.split("listening on ")[1].split()[0], popen)
            finally:
                popen.kill()

    return start


@pytest.fixture(scope="module")
def weir(weir_serve: Any) -> Iterator[str]:
    """The address of a real server that the tests of a file share."""
    with weir_serve() as process:
        yield process.url


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Launches Debian's Chromium with more flags; never a browser that a package downloads."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on this machine (hack/chromium.sh installs it)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield lambda *more: playwright.chromium.launch(executable_path=path, args=[*FLAGS, *more])


@pytest.fixture(scope="module")
def browser(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser whose microphone hears a real person, after half a second of silence."""
    wav = tmp_path_factory.mktemp("microphone") / "speech.wav"
    speech, rate = soundfile.read(SPEECH / SPOKEN)
    soundfile.write(wav, np.concatenate([np.zeros(rate // 2), speech]), rate, subtype="PCM_16")
    assert wav.stat().st_size > rate  # Chromium takes a missing file for silence
    fake = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={wav}%noloop"]
    browser = chromium(*fake)
    yield browser
    browser.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """Opens the page of a server; at the end of the test no unexpected error may have come up."""
    contexts, errors = [], []

    def go(url: str, *, granted: bool = True, network_errors: bool = False, within: Any = None, **options: Any) -> Any:
        def complain(text: str) -> None:
            if not (network_errors and text.startswith(NETWORK_ERRORS)):
                errors.append(text)

        context = (within or browser).new_context(**options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        if granted:
            context.grant_permissions(["microphone", "clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.on("pageerror", lambda error: complain(str(error)))
        page.on("console", lambda said: complain(f"{said.text} ({said.location})") if said.type == "error" else None)
        page.goto(url)
        return page

    yield go
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def play() -> Callable[[Any, str], None]:
    """Chooses a sample by its name, as a person does."""

    def choose(page: Any, name: str) -> None:
        page.click("#samples")
        page.get_by_role("button", name=re.compile(f"^{name}")).click()

    return choose


@pytest.fixture
def wire() -> Iterator[Callable[[int], Relay]]:
    """Wires to servers on this machine, which can be cut."""
    with ExitStack() as stack:
        yield lambda port: stack.enter_context(relay(port))
