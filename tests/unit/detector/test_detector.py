"""Detector: from inputs to calibrated probabilities."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from faceproof.detector import (
    SCORERS,
    Detector,
    DetectorSpec,
    decide,
    detectors,
    sigmoid,
    write_bundle,
)
from faceproof.detector import detector as detector_module
from faceproof.detector.detector import renormalise
from faceproof.detector.scorers import select_scorer
from faceproof.errors import BundleError, BundleNotFoundError, UnknownChoiceError, UsageError
from faceproof.imaging.preprocessing import InputSpec, network_input, prepare

LEVELS = (0, 127, 255)


def flat(*values: float) -> np.ndarray:
    """Return network inputs of one value each, float32 [N, 3, 32, 32]."""
    return np.stack([np.full((3, 32, 32), value, np.float32) for value in values])


def test_bright_is_fake_and_dark_is_real(tiny_bundle: Path) -> None:
    detector = Detector.load(tiny_bundle)
    pictures = [np.full((50, 50, 3), level, np.uint8) for level in LEVELS]
    inputs = np.stack([prepare(picture, None, detector.preprocessing) for picture in pictures])
    probabilities = detector.fake_probabilities(inputs)
    point = detector.operating_point()
    assert [decide(p, point) for p in probabilities] == ["real", "unsure", "fake"]


def test_logits_and_probabilities_are_those_of_the_spec(tiny_bundle: Path) -> None:
    detector = Detector.load(tiny_bundle)
    inputs = flat(-1.0, 0.0, 0.25)
    assert np.allclose(detector.logits(inputs), [-3.5, 0.5, 1.5], atol=1e-6)
    found = detector.fake_probabilities(inputs)
    assert found.dtype == np.float64
    assert np.allclose(found, sigmoid([-4.0, 0.0, 1.0]), atol=1e-6)


def test_an_ensemble_is_the_weighted_mean_of_logits(
    tmp_path: Path, tiny_spec: DetectorSpec, tiny_files: dict[str, bytes]
) -> None:
    (first,) = tiny_spec.members
    opposite = tiny_files["bright.onnx"].replace(
        np.float32(4.0).tobytes(), np.float32(-8.0).tobytes()
    )
    assert opposite != tiny_files["bright.onnx"]
    second = first.model_copy(
        update={
            "name": "dark",
            "weight": 3.0,
            "weights": first.weights.model_copy(update={"name": "dark.safetensors"}),
            "onnx": first.onnx.model_copy(update={"name": "dark.onnx"}),
        }
    )
    files = tiny_files | {"dark.onnx": opposite, "dark.safetensors": b"other"}
    spec = tiny_spec.model_copy(update={"members": (first, second)})
    detector = Detector.load(write_bundle(tmp_path / "two", spec, files).folder)
    expected = (1 * (4.0 * 0.5 + 0.5) + 3 * (-8.0 * 0.5 + 0.5)) / 4
    assert np.allclose(detector.logits(flat(0.5)), [expected], atol=1e-6)


IMAGENET = InputSpec()
VGGFACE2 = InputSpec(mean=(0.5, 0.5, 0.5), std=(128 / 255,) * 3)
#: What a float32 input may lose on its way from one normalisation to another.
LOST = 2e-6


@pytest.mark.parametrize(("was", "now"), [(IMAGENET, VGGFACE2), (VGGFACE2, IMAGENET)])
def test_renormalised_inputs_are_those_made_so_in_the_first_place(
    was: InputSpec, now: InputSpec
) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    crop = np.stack([levels, levels.T, levels[::-1]], axis=-1)[None]
    found = renormalise(network_input(crop, was), was, now)
    assert found.dtype == np.float32
    assert np.abs(found - network_input(crop, now)).max() < LOST


def test_a_member_reads_its_own_normalisation(
    tmp_path: Path, tiny_spec: DetectorSpec, tiny_files: dict[str, bytes]
) -> None:
    (member,) = tiny_spec.members
    own = InputSpec(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    spec = tiny_spec.model_copy(update={"members": (member.model_copy(update={"input": own}),)})
    detector = Detector.load(write_bundle(tmp_path / "own", spec, tiny_files).folder)
    crops = np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
    fed_directly = 4 * network_input(crops, own).mean(axis=(1, 2, 3)) + 0.5
    found = detector.logits(network_input(crops, tiny_spec.preprocessing.input))
    assert np.allclose(found, fed_directly, rtol=0, atol=4 * LOST)
    assert detector.spec.preprocessing_of(detector.spec.members[0]).input == own


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 30])
def test_any_number_of_pictures(tiny_bundle: Path, count: int) -> None:
    values = np.linspace(-2, 2, count)
    found = Detector.load(tiny_bundle).logits(flat(*values)) if count else None
    if found is None:
        found = Detector.load(tiny_bundle).logits(np.empty((0, 3, 32, 32), np.float32))
    assert found.shape == (count,)
    assert np.allclose(found, 4 * values + 0.5, atol=1e-5)


def test_inputs_need_not_be_contiguous(tiny_bundle: Path) -> None:
    turned = np.asfortranarray(flat(0.5, 1.0))
    assert np.allclose(Detector.load(tiny_bundle).logits(turned), [2.5, 4.5], atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, 3, 32, 32), np.float64),
        np.zeros((1, 3, 32, 32), np.uint8),
        np.zeros((3, 32, 32), np.float32),
        np.zeros((1, 32, 32, 3), np.float32),
        np.zeros((1, 3, 64, 64), np.float32),
    ],
)
def test_inputs_of_another_preprocessing_are_refused(tiny_bundle: Path, wrong: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"float32 \[N, 3, 32, 32\]"):
        Detector.load(tiny_bundle).logits(wrong)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_an_answer_that_is_no_number_is_an_error(tiny_bundle: Path, wrong: float) -> None:
    with pytest.raises(BundleError, match="NaN or infinity"):
        Detector.load(tiny_bundle).fake_probabilities(flat(wrong))


def test_threads_share_a_detector(tiny_bundle: Path) -> None:
    detector = Detector.load(tiny_bundle, threads=1)
    inputs = [flat(value) for value in np.linspace(-1, 1, 64)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(detector.logits, inputs))
    assert np.allclose(np.concatenate(found), 4 * np.linspace(-1, 1, 64) + 0.5, atol=1e-5)


def test_unknown_scorers_and_devices_are_named(tiny_bundle: Path) -> None:
    with pytest.raises(
        UnknownChoiceError, match="auto, onnxruntime, openvino, openvino-bf16, torch"
    ):
        Detector.load(tiny_bundle, scorer="tensorflow")
    with pytest.raises(UnknownChoiceError, match="cpu"):
        Detector.load(tiny_bundle, device="abacus")


def test_auto_never_computes_with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SCORERS["openvino-bf16"], "can_use", lambda device: True)
    assert select_scorer("auto", "cpu") == "onnxruntime"
    monkeypatch.setattr(SCORERS["onnxruntime"], "can_use", lambda device: False)
    monkeypatch.setattr(SCORERS["openvino"], "can_use", lambda device: True)
    assert select_scorer("auto", "cpu") == "openvino"


def test_a_device_that_this_onnxruntime_lacks_is_refused(tiny_bundle: Path) -> None:
    with pytest.raises(UsageError, match="'rocm'"):
        Detector.load(tiny_bundle, device="rocm")


def test_without_an_embedded_detector_the_message_is_plain(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(detector_module, "EMBEDDED", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert detectors() == ()
    with pytest.raises(BundleNotFoundError, match="this installation has none"):
        Detector.load("default")


def test_an_embedded_detector_goes_before_a_folder_of_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_bundle: Path
) -> None:
    tiny_bundle.rename(tmp_path / "default")
    monkeypatch.setattr(detector_module, "EMBEDDED", tmp_path)
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "default").mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    assert detectors() == ("default",)
    assert Detector.load().spec.name == "bright"


def within(number: int, inside: bytes) -> bytes:
    """Return a short length-delimited field of an ONNX file."""
    return bytes([number << 3 | 2, len(inside)]) + inside


SCALAR = b"\x10\x01" + within(8, b"unused")  # a float tensor and its name
UNUSED = within(7, within(5, SCALAR + within(9, b"\0" * 4)))  # onnxruntime warns of it
ELSEWHERE = within(13, within(1, b"location") + within(2, b"other.bin")) + b"\x70\x01"
OUTSIDE = within(7, within(5, SCALAR + ELSEWHERE))


def test_a_network_with_weights_in_another_file_is_refused(
    tmp_path: Path, tiny_spec: DetectorSpec, tiny_files: dict[str, bytes]
) -> None:
    files = tiny_files | {"bright.onnx": tiny_files["bright.onnx"] + OUTSIDE}
    folder = write_bundle(tmp_path / "outside", tiny_spec, files).folder
    with pytest.raises(BundleError, match="external data"):
        Detector.load(folder)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_device_that_fails_to_start_is_not_replaced_in_silence(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        # A device that is here would start: let the session say that it did not.
        left = both[1:]
        monkeypatch.setattr(onnxruntime.InferenceSession, "get_providers", lambda _: left)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: both)
    with pytest.raises(UsageError, match="'cuda'"):
        Detector.load(tiny_bundle, device="cuda")


QUIET = """
import sys
from faceproof.detector import Detector
from faceproof.errors import BundleError
import numpy as np
detector = Detector.load(sys.argv[1])
detector.fake_probabilities(np.zeros((3, 3, 32, 32), np.float32))
assert not {"torch", "onnx", "safetensors", "timm", "sklearn"} & set(sys.modules)
try:
    Detector.load(sys.argv[2])
except BundleError as error:
    assert "onnxruntime" in str(error)
"""


def test_nothing_is_written_and_no_torch_is_loaded(
    tmp_path: Path, tiny_spec: DetectorSpec, tiny_files: dict[str, bytes]
) -> None:
    broken = tiny_files | {
        "bright.onnx": tiny_files["bright.onnx"].replace(b"ReduceMean", b"ReduceMxxn")
    }
    noisy = tiny_files | {"bright.onnx": tiny_files["bright.onnx"] + UNUSED}
    folders = [
        str(write_bundle(tmp_path / name, tiny_spec, files).folder)
        for name, files in {"noisy": noisy, "broken": broken}.items()
    ]
    command = [sys.executable, "-W", "error", "-c", QUIET, *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_spec_reads_back_what_it_writes(tiny_spec: DetectorSpec) -> None:
    again = DetectorSpec.model_validate_json(tiny_spec.to_json(), strict=True)
    assert again == tiny_spec
    assert json.loads(tiny_spec.to_json())["schema"] == "faceproof.detector/1"
