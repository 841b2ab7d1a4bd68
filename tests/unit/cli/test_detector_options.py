"""--scorer and --device: the same on every verb that runs a detector, and named in the result."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer
from skimage import data
from skimage import io as skimage_io

from faceproof.cli import app, main
from faceproof.detector import SCORERS, Detector
from faceproof.errors import UsageError

Run = Callable[..., tuple[int, str, str]]
VERBS = {
    "check": ["check", "p.png"],
    "evaluate": ["evaluate", "--data", "m.csv", "-o", "out"],
    "audit": ["audit", "--data", "m.csv", "-o", "out"],
    "serve": ["serve", "--port", "0"],
    "app": ["app", "--port", "0", "--no-browser"],
}
EXTRAS = {"evaluate": "polars", "audit": "polars", "serve": "fastapi", "app": "streamlit"}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run the command in this process, in a folder with the picture p.png."""
    monkeypatch.chdir(tmp_path)
    skimage_io.imsave(tmp_path / "p.png", data.astronaut()[:320, 60:380], check_contrast=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["faceproof", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
        with pytest.raises(SystemExit) as stop:
            main()
        return (int(stop.value.code or 0), *capfd.readouterr())

    return run


@pytest.mark.parametrize("scorer", ["auto", "onnxruntime", "openvino", "openvino-bf16"])
def test_the_result_names_what_ran(run: Run, tiny_bundle: Path, scorer: str) -> None:
    if scorer == "openvino" and find_spec("openvino") is None:
        pytest.skip("needs the extra openvino")
    if scorer == "openvino-bf16" and not SCORERS[scorer].can_use("cpu"):
        pytest.skip("needs the extra openvino and bf16 instructions")
    answer = run("check", "p.png", "-d", str(tiny_bundle), "--scorer", scorer, "-f", "json")
    (result,) = json.loads(answer[1])
    assert answer[0] == 0
    assert result["status"] == "ok"
    ran = {"auto": "onnxruntime"}.get(scorer, scorer)
    assert (result["detector"]["scorer"], result["detector"]["device"]) == (ran, "cpu")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scorer", "openvina"], "did you mean 'openvino'?"),
        (["--scorer", "onnxruntime", "--device", "rocm"], "cannot use device 'rocm'"),
        (["--device", "rocm"], "no installed scorer can use device 'rocm'"),
        (["--device", "abacus"], "unknown device 'abacus'"),
    ],
)
def test_what_cannot_run_is_wrong_usage(
    run: Run, tiny_bundle: Path, options: list[str], message: str
) -> None:
    code, out, error = run("check", "p.png", "-d", str(tiny_bundle), *options)
    assert (code, out) == (2, "")
    assert message in " ".join(error.split())


@pytest.mark.parametrize("scorer", ["openvino", "openvino-bf16"])
def test_a_missing_library_names_its_extra(
    run: Run, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, scorer: str
) -> None:
    monkeypatch.setattr("faceproof.tables.find_spec", lambda _: None)
    code, _, error = run("check", "p.png", "-d", str(tiny_bundle), "--scorer", scorer)
    assert code == 2
    assert "openvino is not installed" in error


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_that_runs_a_detector_hands_them_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    if find_spec(EXTRAS.get(verb, "faceproof")) is None:
        pytest.skip(f"needs {EXTRAS[verb]}")
    asked: dict[str, Any] = {}

    def load(name: str, **options: Any) -> Detector:
        asked.update(options, name=name)
        raise UsageError("asked")

    monkeypatch.setattr(Detector, "load", load)
    if verb == "serve":  # its log takes standard error, also from the tests that follow
        monkeypatch.setattr(
            "faceproof.frontends.api.security.write_log", lambda _, **__: nullcontext()
        )
    code, _, error = run(*VERBS[verb], "-d", "mine", "--scorer", "torch", "--device", "cuda:1")
    assert (code, "asked" in error) == (2, True)
    assert (asked["name"], asked["scorer"], asked["device"]) == ("mine", "torch", "cuda:1")


def test_the_help_lists_every_scorer() -> None:
    commands = typer.main.get_command(app).commands
    for verb in VERBS:
        (option,) = [one for one in commands[verb].params if "--scorer" in one.opts]
        assert option.metavar == "|".join(["auto", *SCORERS])


def test_the_doctor_names_the_devices_of_openvino(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from faceproof.cli import doctor

    monkeypatch.setattr(doctor, "_torch_devices", lambda: "cpu")
    if find_spec("openvino") is None:
        pytest.skip("needs the extra openvino")
    lines = {line.what: line.found for line in doctor.device_lines()}
    assert "cpu" in lines["openvino runs on"].split(", ")
    has_bf16 = SCORERS["openvino-bf16"].can_use("cpu")
    assert has_bf16 == ("cpu" in lines["openvino-bf16 runs on"].split(", "))
