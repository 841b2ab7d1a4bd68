"""OpenVINO: no telemetry, only verified bytes, the wished precision, as many streams as cores."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from faceproof.detector import RunOptions, openvino_scorer
from faceproof.detector.openvino_scorer import (
    OpenVinoBf16Scorer,
    OpenVinoScorer,
    _openvino_properties,
    import_openvino,
    openvino_devices,
)
from faceproof.errors import BundleError, UsageError
from support.heatmap_bundles import FIXTURES

# pytest.importorskip would import it with its telemetry.
pytestmark = pytest.mark.skipif(find_spec("openvino") is None, reason="needs the extra openvino")
FILE = FIXTURES / "bright-4x4.onnx"


def test_its_telemetry_is_not_imported() -> None:
    import_openvino()
    from openvino.tools.ovc import telemetry_utils

    assert telemetry_utils.tm.__name__ == "openvino.tools.ovc.telemetry_stub"
    assert "openvino_telemetry" not in sys.modules


def test_it_names_its_devices_as_we_do() -> None:
    assert "cpu" in openvino_devices()
    with pytest.raises(UsageError, match=r"'gpu\.7': it finds .*cpu"):
        OpenVinoScorer(FILE.read_bytes(), name="x.onnx", options=RunOptions(device="gpu.7"))


@pytest.mark.parametrize("device", ["AUTO", "MULTI:CPU", "CPU", "HETERO:CPU", "cpu,cpu"])
def test_a_device_has_one_name(device: str) -> None:
    with pytest.raises(UsageError, match="cannot use device"):
        OpenVinoScorer(FILE.read_bytes(), name="x.onnx", options=RunOptions(device=device))


def test_it_runs_float32() -> None:
    model = OpenVinoScorer(FILE.read_bytes(), name="x.onnx", options=RunOptions())._model
    assert model.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"


def cpu_with(monkeypatch: pytest.MonkeyPatch, *capabilities: str) -> None:
    """Let OpenVINO say what the CPU can compute with."""
    core = SimpleNamespace(
        available_devices=["CPU"], get_property=lambda device, name: list(capabilities)
    )
    monkeypatch.setattr(
        openvino_scorer, "import_openvino", lambda: SimpleNamespace(Core=lambda: core)
    )


def test_bfloat16_is_refused_where_the_cpu_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu_with(monkeypatch, "FP32", "INT8")
    assert OpenVinoScorer.can_use("cpu")
    assert not OpenVinoBf16Scorer.can_use("cpu")
    with pytest.raises(UsageError, match="no instructions for bfloat16: choose --scorer openvino"):
        OpenVinoBf16Scorer(FILE.read_bytes(), name="x.onnx", options=RunOptions())


def test_bfloat16_is_used_where_the_cpu_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu_with(monkeypatch, "FP32", "BF16", "INT8")
    assert OpenVinoBf16Scorer.can_use("cpu")
    found = _openvino_properties(RunOptions(), OpenVinoBf16Scorer.precision)
    assert found["INFERENCE_PRECISION_HINT"] == "bf16"


def test_bfloat16_names_the_devices_too(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu_with(monkeypatch, "BF16")
    with pytest.raises(UsageError, match=r"'gpu\.7': it finds cpu"):
        OpenVinoBf16Scorer(FILE.read_bytes(), name="x.onnx", options=RunOptions(device="gpu.7"))


@pytest.mark.skipif(not OpenVinoBf16Scorer.can_use("cpu"), reason="needs bf16 instructions")
def test_it_runs_bfloat16() -> None:
    model = OpenVinoBf16Scorer(FILE.read_bytes(), name="x.onnx", options=RunOptions())._model
    assert model.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "bf16"


@pytest.mark.parametrize(("threads", "streams"), [(1, 4), (2, 2), (4, 1), (8, 1)])
def test_calls_run_side_by_side_without_more_threads_than_cores(
    threads: int, streams: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faceproof.detector.openvino_scorer.usable_cores", lambda: 4)
    found = _openvino_properties(RunOptions(threads=threads), "f32")
    assert found["NUM_STREAMS"] == streams
    assert found["INFERENCE_NUM_THREADS"] == streams * threads


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[: len(data) // 2], "x.onnx"),
        (lambda data: data.replace(b"heatmap", b"hotness"), "second output `heatmap`"),
        (lambda data: b"", "x.onnx"),
        (lambda data: b"<?xml version='1.0'?><net/>", "x.onnx"),
    ],
)
def test_another_file_is_refused(change: object, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        OpenVinoScorer(change(FILE.read_bytes()), name="x.onnx", options=RunOptions())


def test_weights_in_another_file_are_refused_before_it_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def field(number: int, inside: bytes) -> bytes:
        return bytes([number << 3 | 2, len(inside)]) + inside

    entry = field(13, field(1, b"location") + field(2, b"other.bin")) + b"\x70\x01"
    outside = field(7, field(5, b"\x10\x01" + field(8, b"unused") + entry))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.bin").write_bytes(b"\0" * 64)
    with pytest.raises(BundleError, match="external data"):
        OpenVinoScorer(FILE.read_bytes() + outside, name="x.onnx", options=RunOptions())


def test_inputs_of_another_order_give_the_same_answers() -> None:
    scorer = OpenVinoScorer(FILE.read_bytes(), name="x.onnx", options=RunOptions())
    inputs = np.random.default_rng(0).random((2, 3, 32, 32)).astype("f4")[..., ::-1]
    assert np.allclose(scorer(inputs), scorer(inputs.copy()), atol=1e-6)
