"""Detector: from network inputs to calibrated probabilities of fake."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from faceproof.detector.bundle import SPEC_FILE, Bundle
from faceproof.detector.calibration import calibrate
from faceproof.detector.heatmaps import Explanations, average_maps, run_deletion_test
from faceproof.detector.scorers import (
    AUTO,
    SCORERS,
    Inputs,
    Logits,
    Maps,
    RunOptions,
    Scorer,
    no_heatmap_error,
    select_scorer,
)
from faceproof.detector.spec import DetectorSpec, OperatingPoint
from faceproof.errors import BundleError, BundleNotFoundError, UsageError
from faceproof.imaging.preprocessing import CropSpec, InputSpec, Preprocessing


def renormalise(inputs: Inputs, was: InputSpec, now: InputSpec) -> Inputs:
    """Return inputs normalised by ``was`` as normalised by ``now``, float32 [N, 3, S, S].

    Each channel is x * (old std / new std) + (old mean - new mean) / new std, with both factors in
    float64. The rounding error of float32 is less than 1e-6 of the range of inputs.

    >>> grey = np.full((1, 3, 1, 1), 0.5, np.float32)  # of 0..1, with mean 0 and deviation 1
    >>> plain = InputSpec(mean=(0, 0, 0), std=(1, 1, 1))
    >>> signed = InputSpec(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    >>> renormalise(grey, plain, signed).ravel().tolist()
    [0.0, 0.0, 0.0]
    """
    if was == now:
        return inputs
    old_mean, old_std = np.array(was.mean), np.array(was.std)
    new_mean, new_std = np.array(now.mean), np.array(now.std)
    factor = (old_std / new_std).astype(np.float32)[:, None, None]
    shift = ((old_mean - new_mean) / new_std).astype(np.float32)[:, None, None]
    return np.asarray(inputs * factor + shift, np.float32)


def crop_difference(ours: CropSpec, theirs: CropSpec) -> str:
    """Return the differences between two crops as text, empty if they are equal.

    >>> crop_difference(CropSpec(size=160), CropSpec(size=224, margin=0.1))
    'size 160 against 224, margin 0.0 against 0.1'
    """
    return ", ".join(_differences(ours, theirs))


def _differences(ours: CropSpec, theirs: CropSpec) -> Iterator[str]:
    for name in CropSpec.model_fields:
        one, other = getattr(ours, name), getattr(theirs, name)
        if one != other:
            yield f"{name} {one} against {other}"


EMBEDDED = Path(__file__).parent
# On a CPU large batches are not faster and use more memory: a DenseNet121 needs 250 MB at 8
# pictures and 530 MB at 32, with the same time for each. Other devices need large batches.
_BATCH_ON_CPU, _BATCH_ELSEWHERE = 8, 64


class Detector:
    """Networks, calibration and operating points of one bundle, ready for inference.

    >>> from faceproof import Detector
    >>> detector = Detector.load("default")
    >>> list(detector.spec.operating_points)[:2], detector.operating_point().name
    (['1-in-20', '1-in-100'], '1-in-100')
    >>> side = detector.preprocessing.crop.size
    >>> detector.fake_probabilities(np.zeros((2, 3, side, side), np.float32)).shape
    (2,)
    """

    def __init__(
        self,
        bundle: Bundle,
        scorers: Sequence[Scorer],
        *,
        batch: int = _BATCH_ON_CPU,
        scorer: str | None = None,
        device: str | None = None,
    ) -> None:
        """Take a bundle and its running networks; ``scorer`` and ``device`` name what runs them."""
        self.bundle = bundle
        self.scorer, self.device = scorer, device
        self._scorers = tuple(scorers)
        self._batch = batch
        weights = np.array([member.weight for member in bundle.spec.members])
        self._shares = weights / weights.sum()
        self._reads = tuple(bundle.spec.preprocessing_of(m).input for m in bundle.spec.members)

    @classmethod
    def load(
        cls,
        name_or_path: str | Path = "default",
        *,
        scorer: str = AUTO,
        device: str = "cpu",
        threads: int = 1,
    ) -> Detector:
        """Return the detector in a folder, or the embedded one of this name; all files verified.

        ``scorer`` is the library that runs the networks, an entry of `SCORERS`; ``auto`` is the
        first that is installed and can use the ``device``. Probabilities of two scorers differ by
        less than 1e-4.

        Raises:
            BundleError: the bundle is missing, or cannot be trusted.
            UnknownChoiceError: no such scorer or device.
            UsageError: the scorer cannot use the device, or its extra is missing.
        """
        chosen = select_scorer(scorer, device)
        options = RunOptions(device=device, threads=threads)
        bundle = Bundle.read(locate(name_or_path))
        bundle.verify()
        opened = [SCORERS[chosen].open(bundle, member, options) for member in bundle.spec.members]
        batch = _BATCH_ON_CPU if device == "cpu" else _BATCH_ELSEWHERE
        return cls(bundle, opened, batch=batch, scorer=chosen, device=device)

    def __repr__(self) -> str:
        return repr(self.spec).replace("<DetectorSpec ", "<Detector ", 1)

    @property
    def spec(self) -> DetectorSpec:
        """The content of detector.json."""
        return self.bundle.spec

    @property
    def sha256(self) -> str:
        """The SHA-256 of detector.json, which contains the SHA-256 of every other file."""
        return self.bundle.sha256

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing from a picture to the inputs of `logits`."""
        return self.spec.preprocessing

    def operating_point(self, name: str | None = None) -> OperatingPoint:
        """Return the named operating point, or the default one."""
        return self.spec.operating_point(name)

    def logits(self, inputs: Inputs) -> Logits:
        """Return the weighted mean of the members' logits, float64 [N], for float32 [N, 3, S, S].

        Raises:
            UsageError: the inputs are not those of the detector's preprocessing.
            BundleError: a network returned NaN or infinity.
        """
        return np.concatenate([np.empty(0), *map(self._batch_logits, self._batches(inputs))])

    def fake_probabilities(self, inputs: Inputs) -> Logits:
        """Return the calibrated probabilities of fake, float64 [N] in [0, 1]."""
        return calibrate(self.logits(inputs), self.spec.calibration)

    def map_evidence(self, inputs: Inputs) -> tuple[Logits, Maps]:
        """Return the logits of `logits`, and untested heat maps, float64 [N, h, w].

        Raises:
            NoHeatMapError: one of the networks has none.
            UsageError, BundleError: as `logits` does.
        """
        answers = [self._map_batch(batch) for batch in self._batches(inputs)]
        if not answers:
            return np.empty(0), np.empty((0, 1, 1))
        logits, maps = zip(*answers, strict=True)
        return np.concatenate(logits), np.concatenate(maps)

    def explain(self, inputs: Inputs) -> Explanations:
        """Return the same logits with heat maps, each tested by deleting its hottest part.

        Raises:
            NoHeatMapError, UsageError, BundleError: as `map_evidence` does.
        """
        return run_deletion_test(self, inputs)

    def refuse_without_maps(self) -> None:
        """Raise if a network has no heat maps.

        Raises:
            NoHeatMapError: naming the first network without.
        """
        for member in self.spec.members:
            if not member.onnx.heatmap:
                raise no_heatmap_error(member.onnx.name)

    def _batches(self, inputs: Inputs) -> list[Inputs]:
        ready = self._check_inputs(inputs)
        return [ready[at : at + self._batch] for at in range(0, len(ready), self._batch)]

    def _each_normalised(self, inputs: Inputs) -> Iterator[tuple[Scorer, Inputs]]:
        """Yield each network with the inputs in its own normalisation."""
        for scorer, own in zip(self._scorers, self._reads, strict=True):
            yield scorer, renormalise(inputs, self.preprocessing.input, own)

    def _batch_logits(self, inputs: Inputs) -> Logits:
        return self._weighted_mean([scorer(own) for scorer, own in self._each_normalised(inputs)])

    def _map_batch(self, inputs: Inputs) -> tuple[Logits, Maps]:
        answers = [scorer.explain(own) for scorer, own in self._each_normalised(inputs)]
        logits, maps = zip(*answers, strict=True)
        return self._weighted_mean(logits), self._require_finite(average_maps(maps, self._shares))

    def _weighted_mean(self, logits: Sequence[Logits]) -> Logits:
        return np.asarray(self._shares @ self._require_finite(np.stack(logits)), np.float64)

    def _require_finite(self, answers: Logits) -> Logits:
        if not np.isfinite(answers).all():
            raise BundleError(f"detector {self.spec.name!r} returned NaN or infinity")
        return answers

    def _check_inputs(self, inputs: Inputs) -> Inputs:
        side = self.preprocessing.crop.size
        array = np.ascontiguousarray(inputs)
        if array.dtype != np.float32 or array.ndim != 4 or array.shape[1:] != (3, side, side):
            raise UsageError(
                f"a detector reads float32 [N, 3, {side}, {side}] from imaging.prepare, "
                f"not {array.dtype} {list(array.shape)}"
            )
        return array


def detectors() -> tuple[str, ...]:
    """Return the names of the embedded detectors."""
    return tuple(sorted(path.parent.name for path in EMBEDDED.glob(f"*/{SPEC_FILE}")))


def locate(name_or_path: str | Path) -> Path:
    """Return the folder of an embedded detector's name, or the path unchanged.

    Raises:
        BundleNotFoundError: neither a folder nor an embedded detector.
    """
    if str(name_or_path) in detectors():
        return EMBEDDED / str(name_or_path)
    path = Path(name_or_path)
    with contextlib.suppress(OSError):  # a name too long, or a folder without permission
        if path.is_dir():
            return path
    raise BundleNotFoundError(
        f"no detector {str(name_or_path)!r}: neither a folder nor an embedded detector "
        f"({', '.join(detectors()) or 'this installation has none'})"
    )
