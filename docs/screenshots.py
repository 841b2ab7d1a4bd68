"""Draw every state of the page, on a desk and on a phone, and the pictures of the how-to guide.

uv run --extra app python docs/screenshots.py                  # all of them
uv run --extra app python docs/screenshots.py first unsure     # these states only

All go to build/page/STATE-desk.png and STATE-phone.png; those in `IN_DOCS` also go to docs/. Which
sample has which verdict is asked of the detector, so that a new default needs no change here.
"""

import io
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from faceproof import Checker, Detector
from faceproof.reports.words import VERDICTS
from faceproof.results import CheckResult

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "samples"
OUTPUT = ROOT / "build" / "page"
SIZES = {"desk": (1280, 900), "phone": (390, 844)}
PATIENCE_MS = 180_000
COLOURS = 256
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
NO_FACE, BROKEN = "no-face-cat.jpg", "broken.jpg"
NOT_PUBLIC = "http://192.168.0.1/picture.jpg"


class State(NamedTuple):
    """A state of the page: what leads to it, and the colours in which it is drawn."""

    reach: Callable[[Page, Mapping[str, str]], Page | None]
    scheme: str = "light"


def main(names: list[str]) -> None:
    """Serve the page, open it in Chromium, and save each state."""
    expect.set_options(timeout=PATIENCE_MS)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    shown = samples_by_verdict()
    with served() as address, sync_playwright() as playwright:
        # What the system has, else what playwright installed.
        system = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=system, args=["--no-sandbox"])
        for name in names or STATES:
            for size in SIZES:
                draw(browser, address, name, size, shown)
        browser.close()


def samples_by_verdict() -> dict[str, str]:
    """Return for each verdict the sample with one face in which it is clearest, a right one first.

    Raises:
        SystemExit: the detector gives a verdict to none of them.
    """
    results = Checker(Detector.load("default")).check_many(sorted(SAMPLES.glob("*.jpg")))
    single = [one for one in results if len(one.faces) == 1]
    found = {}
    for verdict in VERDICTS:
        fitting = [one for one in single if one.verdict == verdict]
        if not fitting:
            raise SystemExit(f"no sample with one face is {verdict}: add one to samples/")
        found[verdict] = min((rank(one, verdict), Path(one.source).name) for one in fitting)[1]
    return found


def rank(result: CheckResult, verdict: str) -> tuple[bool, float]:
    """Return a key that sorts a sample whose verdict, or leaning, is right first."""
    truth, sign = ("real", 1) if verdict == "real" else ("fake", -1)
    return not Path(result.source).name.startswith(truth), sign * result.fake_probability


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


def draw(browser: Browser, address: str, name: str, size: str, shown: Mapping[str, str]) -> None:
    """Save one state at one size, in few colours."""
    state, (width, height) = STATES[name], SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=state.scheme
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    reached = state.reach(page, shown) or page
    if reached is page:
        settle(page)
        page.mouse.move(0, 0)
        page.wait_for_load_state("networkidle")
    taken = Image.open(io.BytesIO(reached.screenshot(animations="disabled"))).convert("RGB")
    path = OUTPUT / f"{name}-{size}.png"
    taken.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    for picture, drawn in IN_DOCS.items():
        if drawn == (name, size):
            shutil.copyfile(path, ROOT / "docs" / picture)
    context.close()


def first(page: Page, _: Mapping[str, str]) -> None:
    """Wait for the labels of the samples."""
    expect(page.locator(".fp-badge")).to_have_count(4)


def verdict_of(verdict: str) -> Callable[[Page, Mapping[str, str]], None]:
    """Return what gives the page the sample with this verdict."""

    def reach(page: Page, shown: Mapping[str, str]) -> None:
        give(page, shown[verdict])
        heading(page, VERDICTS[verdict].short)

    return reach


def no_face(page: Page, _: Mapping[str, str]) -> None:
    """Check a cat."""
    give(page, NO_FACE)
    heading(page, "No face found")


def several(page: Page, shown: Mapping[str, str]) -> None:
    """Check one picture of each kind, and one that is broken."""
    give(page, *shown.values(), NO_FACE, BROKEN)
    heading(page, "5 pictures")


def broken(page: Page, _: Mapping[str, str]) -> None:
    """Check the beginning of a picture's file."""
    give(page, BROKEN)
    heading(page, "Could not be checked")


def refused(page: Page, _: Mapping[str, str]) -> None:
    """Ask for an address that is not public."""
    settle(page)
    page.locator("summary").filter(has_text="Other ways").click()
    page.get_by_role("textbox", name="Address").fill(NOT_PUBLIC)
    page.get_by_role("button", name="Fetch and check").click()
    alert = page.get_by_test_id("stAlert").filter(has_text="Not fetched")
    expect(alert).to_be_visible()
    alert.scroll_into_view_if_needed()


def report(page: Page, shown: Mapping[str, str]) -> Page:
    """Open the HTML report on a check in a page of its own."""
    verdict_of("fake")(page, shown)
    settle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Report (HTML)").click()
    opened = page.context.new_page()
    opened.set_content(Path(download.value.path()).read_text("utf-8"))
    return opened


def many(page: Page, shown: Mapping[str, str]) -> None:
    """Check several pictures in a table."""
    go_to(page, "Many pictures")
    heading(page, "Many pictures at once")
    give(page, *shown.values(), NO_FACE, BROKEN)
    heading(page, "5 pictures")
    expect(page.get_by_test_id("stDataFrame").locator("canvas").first).to_be_visible()


def detector(page: Page, _: Mapping[str, str]) -> None:
    """Scroll to the first plots of the detector."""
    go_to(page, "The detector")
    title = page.get_by_role("heading", name="What was measured")
    expect(page.get_by_test_id("stVegaLiteChart").nth(1).locator("svg, canvas")).to_be_visible()
    title.evaluate("one => one.scrollIntoView()")


STATES: Mapping[str, State] = {
    "first": State(first),
    "fake": State(verdict_of("fake")),
    "unsure": State(verdict_of("unsure")),
    "real": State(verdict_of("real")),
    "dark": State(verdict_of("unsure"), scheme="dark"),
    "no-face": State(no_face),
    "several": State(several),
    "broken": State(broken),
    "refused": State(refused),
    "report": State(report),
    "many": State(many),
    "detector": State(detector),
}

#: The pictures in docs/, by state and size.
IN_DOCS: Mapping[str, tuple[str, str]] = {
    "page-first.png": ("first", "desk"),
    "page-check.png": ("fake", "desk"),
    "page-dark.png": ("dark", "desk"),
    "page-phone.png": ("fake", "phone"),
    "page-many.png": ("many", "desk"),
    "page-detector.png": ("detector", "desk"),
}


def give(page: Page, *names: str) -> None:
    """Give samples to the page, once it is ready for them; `BROKEN` is the start of one."""
    settle(page)
    start = (SAMPLES / NO_FACE).read_bytes()[:300]
    files = [
        {"name": name, "mimeType": "image/jpeg", "buffer": start}
        if name == BROKEN
        else {"name": name, "mimeType": "image/jpeg", "buffer": (SAMPLES / name).read_bytes()}
        for name in names
    ]
    page.locator("input[type=file]").set_input_files(files)


def heading(page: Page, words: str) -> None:
    """Wait for a heading that begins so."""
    name = re.compile(rf"^\W*{re.escape(words)}")
    expect(page.get_by_role("heading", name=name).first).to_be_visible()


def go_to(page: Page, name: str) -> None:
    """Choose a page of the menu, which is folded on a phone."""
    menu = page.get_by_test_id("stExpandSidebarButton")
    if menu.is_visible():
        menu.click()
    page.get_by_role("link", name=name).click()


def settle(page: Page) -> None:
    """Wait until the script has run."""
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)


if __name__ == "__main__":
    main(sys.argv[1:])
