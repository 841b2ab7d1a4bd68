"""What starting costs: which libraries are loaded, looked up in ``sys.modules``."""

import json
import os
import subprocess
import sys

import pytest

HEAVY = {
    *("PIL", "altair", "c2pa", "cv2", "fastapi", "filelock", "lightning_fabric", "matplotlib"),
    *("numpy", "onnx", "onnxruntime", "plotly", "polars", "pyarrow", "ray", "safetensors", "scipy"),
    *("sklearn", "streamlit", "timm", "torch", "torchvision", "uvicorn"),
}
TRAINING_STACK = {
    *("filelock", "lightning_fabric", "matplotlib", "onnx", "pyarrow", "safetensors", "scipy"),
    *("sklearn", "timm", "torch", "torchvision"),
}

HELP = """
from faceproof.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
"""
EVERY_CORE_MODULE = """
import importlib, pkgutil, faceproof
CORE = (
    "checker cli detector errors imaging loading messages outputs pipeline provenance records "
    "results runs sources statistics tables"
).split()
for module in pkgutil.walk_packages(faceproof.__path__, "faceproof."):
    if module.name.split(".")[1] in CORE:
        importlib.import_module(module.name)
"""
REPORT = """
import json, sys, time
print("\\n" + json.dumps({"modules": sorted({name.partition(".")[0] for name in sys.modules}),
                        "cpu": time.process_time()}))
"""


def run(program: str) -> dict[str, object]:
    """Return the top modules that a fresh interpreter loaded for ``program``, and its CPU s."""
    code = f"import sys\nsys.argv = ['faceproof', '--help']\n{program}\n{REPORT}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env=os.environ | {"PYTHONUTF8": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("program", "unwanted"),
    [
        pytest.param("import faceproof", HEAVY, id="import faceproof"),
        pytest.param(HELP, HEAVY, id="faceproof --help"),
        pytest.param(EVERY_CORE_MODULE, TRAINING_STACK, id="every core module"),
    ],
)
def test_loads_nothing_heavy(program, unwanted):
    assert set(run(program)["modules"]) & unwanted == set()


def test_public_names_are_imported_on_first_use_and_listed():
    program = "import faceproof\nassert {'Checker', 'Detector'} <= set(dir(faceproof))"
    assert "numpy" not in run(program)["modules"]


def test_help_takes_less_than_three_times_the_cpu_of_typers_own_help():
    """Seconds depend on the machine: 0.26 on one, 0.95 on another for the same commit."""
    ours, typers = ([], [])
    for _ in range(3):
        ours.append(run(HELP)["cpu"])
        typers.append(run("import typer.rich_utils")["cpu"])
    assert min(ours) < 3 * min(typers)


QUIET_CHECK = """
from faceproof import Checker, Detector
import numpy as np
Checker(Detector.load("default"), faces="whole").check(np.zeros((64, 64, 3), np.uint8))
"""


QUIET_DOCTOR = "from faceproof.cli.doctor import device_lines; list(device_lines())"


@pytest.mark.parametrize("program", [QUIET_CHECK, QUIET_DOCTOR])
def test_nothing_is_kept_below_the_home_folder(program, tmp_path):
    """onnxruntime keeps an id and a database there unless it is told otherwise before."""
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        env=environment | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
    )
    assert list(tmp_path.rglob("*")) == []
