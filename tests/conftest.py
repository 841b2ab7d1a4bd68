"""Fixtures for all tests, and the tests that wait for what is not installed."""

from __future__ import annotations

import importlib.util
import json
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faceproof.detector import (
    CardFile,
    ChosenOn,
    DetectorSpec,
    Member,
    OnnxFile,
    OperatingPoint,
    Platt,
    TrainingData,
    WeightsFile,
    write_bundle,
)
from faceproof.imaging.preprocessing import CropSpec, InputSpec, Preprocessing
from faceproof.networks.heads import HeadSpec

FIXTURES = Path(__file__).parent / "fixtures"
NO_HASH = "0" * 64
LEFT_OUT = pytest.StashKey[dict[str, int]]()


def chromium() -> str | None:
    """Return the path of the Chromium on this machine, if there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


#: The marks of tests that wait for something, whether it is here, and how to get it.
WAITING = {
    "train": (
        lambda: importlib.util.find_spec("torch") is not None,
        "the training stack: uv run --extra train pytest",
    ),
    "browser": (chromium, "Chromium: apt-get install chromium"),
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, and count, the tests that wait for what is not installed."""
    config.stash[LEFT_OUT] = {}
    for mark, (is_here, _) in WAITING.items():
        waiting = [] if is_here() else [one for one in items if one.get_closest_marker(mark)]
        config.stash[LEFT_OUT][mark] = len(waiting)
        if waiting:
            config.hook.pytest_deselected(items=waiting)
            items[:] = [item for item in items if item not in set(waiting)]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a worker of pytest-xdist, hand the counts over; every worker collects all tests."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(LEFT_OUT, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the counts of a worker that has ended, if it did not crash."""
    counts = getattr(node, "workeroutput", {}).get("left_out", {})
    node.config.stash[LEFT_OUT] = node.config.stash.get(LEFT_OUT, {}) | counts


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were left out, and how to run them."""
    counts = terminalreporter.config.stash.get(LEFT_OUT, {})
    skipped = terminalreporter.stats.get("skipped", [])
    modules = sum("could not import" in str(report.longrepr) for report in skipped)
    for mark, count in counts.items():
        if count:
            also = f" and {modules} test modules" if mark == "train" else ""
            terminalreporter.write_line(f"{count} tests{also} need {WAITING[mark][1]}")


def _scalars(**values: float) -> bytes:
    """Return float32 scalars as the bytes of a safetensors file."""
    names = sorted(values)
    header = {
        name: {"dtype": "F32", "shape": [], "data_offsets": [4 * place, 4 * place + 4]}
        for place, name in enumerate(names)
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    numbers = b"".join(struct.pack("<f", values[name]) for name in names)
    return struct.pack("<Q", len(text)) + text + numbers


@pytest.fixture
def tiny_files() -> dict[str, bytes]:
    """The files of a detector that calls bright faces fake: logit = 4 * mean(input) + 0.5."""
    return {
        "bright.onnx": (FIXTURES / "bright.onnx").read_bytes(),
        "bright.safetensors": _scalars(scale=4.0, bias=0.5),
        "CARD.md": b"# bright\n\nFor tests. Calls bright faces fake.\n",
    }


@pytest.fixture
def tiny_spec() -> DetectorSpec:
    """What the tiny detector says about itself; its hashes are zero until it is written."""
    chosen_on = ChosenOn(data_sha256="c" * 64, n=100)
    return DetectorSpec(
        name="bright",
        version="1.0",
        members=(
            Member(
                name="bright",
                network="bright",
                head=HeadSpec(dropout=0.0, hidden=1, hidden_dropout=0.0),
                weights=WeightsFile(name="bright.safetensors", sha256=NO_HASH),
                onnx=OnnxFile(name="bright.onnx", sha256=NO_HASH),
            ),
        ),
        preprocessing=Preprocessing(
            crop=CropSpec(method="five_point", size=32, margin=0.0, fill=(0, 0, 0)),
            input=InputSpec(channels="rgb", mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
        ),
        calibration=Platt(slope=1.0, intercept=-0.5),
        operating_points={
            "balanced": OperatingPoint(
                name="balanced",
                real_below=0.4,
                fake_from=0.6,
                promise="at most 1 real face in 100 called fake",
                bpcer_budget=0.01,
                chosen_on=chosen_on,
            ),
            "strict": OperatingPoint(
                name="strict",
                real_below=0.01,
                fake_from=0.99,
                promise="at most 1 real face in 1000 called fake",
                bpcer_budget=0.001,
                chosen_on=chosen_on,
            ),
        },
        default_operating_point="balanced",
        trained_on=TrainingData(
            data_sha256="d" * 64, rows={"train": 2, "calibration": 1, "test": 1}
        ),
        generators_seen=("none", "lamp"),
        licence="MIT",
        notes=("for tests",),
        card=CardFile(name="CARD.md", sha256=NO_HASH),
    )


@pytest.fixture
def quick_charts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Replace the drawing of charts, which takes seconds, where a test is not about them."""
    vl_convert = pytest.importorskip("vl_convert")
    from faceproof.reports.vega import chart_script

    drawing = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>'
    monkeypatch.setattr(vl_convert, "vegalite_to_svg", lambda *_: drawing)
    monkeypatch.setattr(vl_convert, "svg_to_png", lambda *_, **__: b"png")
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda *_: "window.vegaEmbed = null;")
    chart_script.cache_clear()
    yield
    chart_script.cache_clear()


@pytest.fixture
def tiny_bundle(tmp_path: Path, tiny_spec: DetectorSpec, tiny_files: dict[str, bytes]) -> Path:
    """A bundle on disk that runs without torch and calls white fake, black real."""
    return write_bundle(tmp_path / "tiny-bundle", tiny_spec, tiny_files).folder
