"""A teacher answers about the student's own inputs as the detector does in use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from faceproof.detector import (  # noqa: E402
    Detector,
    DetectorSpec,
    OnnxFile,
    WeightsFile,
    write_bundle,
)
from faceproof.errors import BundleNotFoundError, TrainingError  # noqa: E402
from faceproof.imaging.preprocessing import (  # noqa: E402
    CropSpec,
    InputSpec,
    Preprocessing,
    network_input,
)
from faceproof.training.optimising import teacher as teaching  # noqa: E402
from faceproof.training.optimising.teacher import Teacher  # noqa: E402

OTHER = InputSpec(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))


@pytest.fixture
def crops() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)


@pytest.fixture
def student(tiny_spec: DetectorSpec) -> Preprocessing:
    """A student with the teacher's crop and another normalisation."""
    return Preprocessing(crop=tiny_spec.preprocessing.crop, input=OTHER)


def log_odds(p: np.ndarray) -> np.ndarray:
    return np.log(p / (1 - p))


def test_it_gives_the_log_odds_that_the_detector_gives(
    tiny_bundle: Path, student: Preprocessing, crops: np.ndarray
) -> None:
    detector = Detector.load(tiny_bundle)
    expected = log_odds(
        detector.fake_probabilities(network_input(crops, detector.preprocessing.input))
    )
    inputs = torch.from_numpy(network_input(crops, OTHER)).requires_grad_()
    answers = Teacher(tiny_bundle, student)(inputs.contiguous(memory_format=torch.channels_last))
    assert answers.dtype == torch.float32
    assert answers.shape == (5,)
    assert not answers.requires_grad
    assert answers.numpy() == pytest.approx(expected, abs=2e-5)


def test_an_ensemble_teaches_too(
    tmp_path: Path,
    tiny_spec: DetectorSpec,
    tiny_files: dict[str, bytes],
    student: Preprocessing,
    crops: np.ndarray,
) -> None:
    (one,) = tiny_spec.members
    other = one.model_copy(
        update={
            "name": "other",
            "input": OTHER,
            "weights": WeightsFile(name="other.safetensors", sha256="0" * 64),
            "onnx": OnnxFile(name="other.onnx", sha256="0" * 64),
        }
    )
    files = tiny_files | {
        "other.safetensors": tiny_files["bright.safetensors"],
        "other.onnx": tiny_files["bright.onnx"],
    }
    spec = tiny_spec.model_copy(update={"members": (one, other)})
    folder = write_bundle(tmp_path / "both", spec, files).folder
    means = [
        network_input(crops, read).mean(axis=(1, 2, 3))
        for read in (tiny_spec.preprocessing.input, OTHER)
    ]
    expected = 1.0 * (4 * np.mean(means, axis=0) + 0.5) - 0.5
    answers = Teacher(folder, student)(torch.from_numpy(network_input(crops, OTHER)))
    assert answers.numpy() == pytest.approx(expected, abs=2e-5)


def test_half_precision_inputs_are_widened(
    tiny_bundle: Path, tiny_spec: DetectorSpec, crops: np.ndarray
) -> None:
    inputs = torch.from_numpy(network_input(crops, tiny_spec.preprocessing.input))
    teacher = Teacher(tiny_bundle, tiny_spec.preprocessing)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        answers = teacher(inputs.bfloat16())
    assert answers.dtype == torch.float32
    assert answers.numpy() == pytest.approx(teacher(inputs).numpy(), abs=0.05)


def test_it_is_opened_once_on_no_more_threads_than_torch_has(
    tiny_bundle: Path, student: Preprocessing, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[dict[str, object]] = []
    load = Detector.load

    def noted(name: str, **options: object) -> Detector:
        opened.append(options)
        return load(name, **options)

    monkeypatch.setattr(teaching.Detector, "load", noted)
    monkeypatch.setattr(teaching.torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(teaching, "usable_cores", lambda: 2)
    teacher = Teacher(tiny_bundle, student)
    for _ in range(2):
        teacher(torch.zeros(2, 3, 32, 32))
    assert opened == [{"threads": 2}]


@pytest.mark.parametrize(
    ("crop", "said"),
    [
        ({"size": 64}, "size 64 against 32"),
        ({"margin": 0.1}, "margin 0.1 against 0.0"),
        ({"method": "whole"}, "method whole against five_point"),
    ],
)
def test_another_crop_is_refused_with_what_to_set(
    tiny_bundle: Path, tiny_spec: DetectorSpec, crop: dict[str, object], said: str
) -> None:
    own = {**dict(tiny_spec.preprocessing.crop), **crop}
    student = Preprocessing(crop=CropSpec.model_validate(own))
    with pytest.raises(TrainingError, match=f"{said}.*network.preprocessing.crop"):
        Teacher(tiny_bundle, student)


def test_no_such_detector(tmp_path: Path, student: Preprocessing) -> None:
    with pytest.raises(BundleNotFoundError, match="no detector"):
        Teacher(tmp_path / "none", student)
