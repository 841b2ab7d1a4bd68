"""Draw docs/case-report.png: the top of the case report on a sample, as a browser shows it.

uv run python docs/case_report.py
"""

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
SAMPLE = "samples/real-couple.jpg"
WIDTH = 900
COLOURS = 256


def main() -> None:
    """Check a sample, open its report in Chromium, and save the part above the next section."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "case.html"
        subprocess.run(
            [
                *(sys.executable, "-c", "from faceproof.cli import main; main()"),
                *("check", SAMPLE, "--report", str(report)),
            ],
            cwd=ROOT,
            check=True,
        )
        shown = screenshot(report)
    few = Image.open(io.BytesIO(shown)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(ROOT / "docs" / "case-report.png", optimize=True)


def screenshot(report: Path) -> bytes:
    """Return the page from its top to the end of its section on faces, as PNG."""
    with sync_playwright() as playwright:
        # What the system has, else what playwright installed.
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": 800}, color_scheme="light")
        page.goto(report.as_uri())
        end = page.locator("section#again-saved").bounding_box()
        if end is None:
            raise SystemExit("the report has no section on the picture saved again")
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": end["y"]}
        return page.screenshot(full_page=True, clip=clip)


if __name__ == "__main__":
    main()
