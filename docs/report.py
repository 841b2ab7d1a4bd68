"""Draw docs/report.png: the first screen of a report, on a small set of made-up answers.

uv run python docs/report.py
"""

import io
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from faceproof.detector import Detector
from faceproof.evaluation.evaluate import evaluate_predictions
from faceproof.evaluation.predictions import Origin, Prediction, Scoring, make_table
from faceproof.reports.write_report import write_report

ROOT = Path(__file__).parents[1]
WIDTH, HEIGHT = 1000, 640
COLOURS = 256
FACES = 1200
#: Mean and deviation of the logit of each generator's faces.
LOGITS = {"none": (-3.0, 1.3), "stylegan2": (3.0, 1.2), "sdxl": (2.0, 1.5), "faceswap": (0.6, 1.8)}


def main() -> None:
    """Make answers up, write their report, and save its first screen."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "report"
        found = evaluate_predictions(made_up(), output=output)
        shown = screenshot(write_report(found, output, detector="default"))
    few = Image.open(io.BytesIO(shown)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(ROOT / "docs" / "report.png", optimize=True)


def made_up():
    """Return a predictions table of the default detector with random answers."""
    detector, rng = Detector.load("default"), np.random.default_rng(0)
    point, rows = detector.operating_point(None), []
    for n in range(FACES):
        generator = "none" if n % 2 else list(LOGITS)[1 + n // 2 % 3]
        logit = float(rng.normal(*LOGITS[generator]))
        rows.append(
            Prediction(
                path=f"{n}.png",
                source=("family-album", "press")[n // 2 % 2],
                generator=generator,
                label="real" if generator == "none" else "fake",
                split="test",
                group=f"person-{n}",
                condition="clean",
                logit=logit,
                fake_probability=1 / (1 + float(np.exp(-logit))),
                status="ok",
            )
        )
    scoring = Scoring(
        detector_name=detector.spec.name,
        detector_version=detector.spec.version,
        operating_points=(point,),
        operating_point=point.name,
        data_name="made-up answers",
        split="test",
        faces="largest",
        notes=("These answers are random numbers: an example of a report, not of the detector.",),
    )
    origin = Origin(
        detector_sha256=detector.sha256,
        data_sha256="0" * 64,
        purpose="final-report",
        scoring=scoring,
    )
    return make_table(rows, origin)


def screenshot(report: Path) -> bytes:
    """Return the first screen of a report as PNG."""
    with sync_playwright() as playwright:
        # What the system has, else what playwright installed.
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.set_default_timeout(90_000)
        page.goto(report.as_uri())
        return page.screenshot(animations="disabled")


if __name__ == "__main__":
    main()
