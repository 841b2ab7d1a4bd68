"""Draw the pictures of the page in docs/: first screen, a check, unsure, a phone, many pictures.

uv run --extra app python docs/screenshots.py
"""

import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "samples"
SHOWN = "fake-sd3-female-25.jpg"
MANY = (SHOWN, "fake-sd3-male-30.jpg", "real-couple.jpg", "real-hopper.jpg", "no-face-cat.jpg")
UNSURE = "fake-sd3-male-30.jpg"
WIDE, PHONE = (1200, 1120), (390, 844)
PATIENCE_MS = 90_000
COLOURS = 256
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
VERDICTS = {SHOWN: "Looks fake", UNSURE: "Unsure"}
"""What the detector says of the pictures shown; drawing stops where it says otherwise."""


def main() -> None:
    """Serve the page, open it in Chromium, and save its screenshots."""
    expect.set_options(timeout=PATIENCE_MS)
    with served() as address, sync_playwright() as playwright:
        # What the system has, else what playwright installed.
        system = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=system, args=["--no-sandbox"])
        first(opened(browser, address))
        check(opened(browser, address), "page-check.png")
        check(opened(browser, address, scheme="dark"), "page-dark.png", shown=UNSURE)
        check(opened(browser, address, size=PHONE), "page-phone.png")
        many(opened(browser, address))
        detector(opened(browser, address))
        browser.close()


@contextmanager
def served() -> Iterator[str]:
    """Serve the page on a free port of this machine; give its address."""
    command = [
        *(sys.executable, "-c", "from faceproof.cli import main; main()"),
        *("app", "--port", "0", "--no-browser"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        found = filter(None, map(ADDRESS.search, iter(process.stderr.readline, "")))
        yield next(found)[0]
    finally:
        process.terminate()
        process.communicate()


def opened(
    browser: Browser, address: str, *, size: tuple[int, int] = WIDE, scheme: str = "light"
) -> Page:
    """Return the page as it opens in a window of this size."""
    width, height = size
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    return page


def first(page: Page) -> None:
    """Keep the first screen."""
    for outcome in ("looks fake", "unsure", "no sign of a fake", "no face found"):
        expect(page.get_by_text(outcome).first).to_be_visible()
    keep(page, "page-first.png")


def check(page: Page, name: str, *, shown: str = SHOWN) -> None:
    """Keep the check of a generated portrait."""
    give(page, shown)
    expect(page.get_by_role("heading", name=VERDICTS[shown], exact=True)).to_be_visible()
    keep(page, name)


def many(page: Page) -> None:
    """Keep the table of several pictures."""
    page.get_by_role("link", name="Many pictures").click()
    expect(page.get_by_role("heading", name="Many pictures at once")).to_be_visible()
    give(page, *MANY)
    expect(page.get_by_role("heading", name=f"{len(MANY)} pictures")).to_be_visible()
    expect(page.get_by_test_id("stDataFrame").locator("canvas").first).to_be_visible()
    keep(page, "page-many.png")


def detector(page: Page) -> None:
    """Keep the first plots of the detector."""
    page.get_by_role("link", name="The detector").click()
    title = page.get_by_role("heading", name="What was measured")
    expect(page.get_by_test_id("stVegaLiteChart").nth(1).locator("svg, canvas")).to_be_visible()
    title.evaluate("one => one.scrollIntoView()")
    keep(page, "page-detector.png")


def give(page: Page, *names: str) -> None:
    """Give samples to the page, once it is ready for them."""
    settle(page)
    page.locator("input[type=file]").set_input_files([SAMPLES / name for name in names])


def settle(page: Page) -> None:
    """Wait until the script has run."""
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning")


def keep(page: Page, name: str) -> None:
    """Write the content of the window, once the script has run, in few colours."""
    settle(page)
    page.mouse.move(0, 0)
    page.wait_for_load_state("networkidle")
    shown = page.screenshot(animations="disabled")
    few = Image.open(io.BytesIO(shown)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(ROOT / "docs" / name, optimize=True)
    page.close()


if __name__ == "__main__":
    main()
