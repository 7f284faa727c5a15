"""Takes docs/captions.png, the README's picture: the captions page of a real server while it hears real speech.

    .venv/bin/python hack/screenshot.py [FILE]

Needs chromium (hack/chromium.sh). Two sample recordings are played to their end and a third one into its middle, so
the picture shows finals, and an interim of which a part is dark and the rest still grey.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).parents[1]
SIZE = {"width": 1200, "height": 750}
WHOLE = ("Seven digits", "A medium roast")
OPEN, UNTIL = "A long coffee order", "dark roast"
LIMIT_MS = 30_000


def play(page: Page, name: str) -> None:
    page.click("#samples")
    page.get_by_role("button", name=re.compile(f"^{name}")).click()


def take(url: str, chromium: str, file: Path) -> None:
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport=SIZE, color_scheme="light", reduced_motion="reduce")
        page.goto(url)
        for name in WHOLE:
            play(page, name)
            expect(page.locator("#status")).to_have_text("Playing a sample", timeout=LIMIT_MS)
            expect(page.locator("#status")).to_have_text("The sample is over.", timeout=LIMIT_MS)
        play(page, OPEN)
        expect(page.locator("#interim b")).to_contain_text(UNTIL, timeout=LIMIT_MS)
        page.mouse.move(0, 0)
        page.screenshot(path=file)
        browser.close()


def main() -> None:
    file = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "docs" / "captions.png"
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("no chromium on this machine; hack/chromium.sh installs it")
    command = [str(Path(sys.executable).with_name("weir")), "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            line = next(said for said in server.stdout if "listening on " in said)
            take(line.split("listening on ")[1].strip(), chromium, file)
        finally:
            server.terminate()
    print(f"{file}: {file.stat().st_size // 1000} KB")


if __name__ == "__main__":
    main()
