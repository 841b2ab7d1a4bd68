"""`study`: sanity tests of a detector's heat maps over many faces, as findings.

`faceproof.detector.heatmaps` tests the map of a single picture.

A map that does not change when the weights are randomised shows edges of the picture, not evidence.

Source: J. Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, arXiv:1810.03292,
cascading randomisation and rank correlation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from faceproof.data.manifest import Manifest, Row
from faceproof.detector import Detector, Finding
from faceproof.detector.detector import renormalise
from faceproof.detector.heatmaps import Explanations, run_deletion_test
from faceproof.detector.scorers import (
    Inputs,
    Logits,
    Maps,
    OnnxScorer,
    RunOptions,
    member_onnx,
)
from faceproof.errors import UsageError
from faceproof.evaluation.finding_names import (
    BEATS_RANDOM,
    CORRELATION,
    HOTTEST,
    RANDOM,
    RELIABLE,
    other_map_slice,
    shuffled_slice,
)
from faceproof.evaluation.formulas import Bools
from faceproof.evaluation.intervals import (
    RESAMPLES,
    intraclass_correlation,
    rate_interval,
    resamples,
)
from faceproof.imaging.decode import load
from faceproof.imaging.faces import FaceFinder, YuNet
from faceproof.imaging.preprocessing import Preprocessing, prepare
from faceproof.statistics import Interval, normal_errors
from faceproof.tables import require

Names = npt.NDArray[np.str_]


@dataclass(frozen=True)
class StudiedFaces:
    """Network inputs float32 [N, 3, S, S], with their labels and groups.

    ``without_face`` counts the sampled pictures without a face, which are excluded.
    """

    inputs: npt.NDArray[np.float32]
    fake: Bools
    groups: Names
    data_sha256: str
    without_face: int = 0

    def __len__(self) -> int:
        return len(self.inputs)

    def first(self, number: int) -> StudiedFaces:
        """Return only the first ``number`` faces."""
        return replace(
            self,
            inputs=self.inputs[:number],
            fake=self.fake[:number],
            groups=self.groups[:number],
        )


def select_faces(
    manifest: Manifest,
    preprocessing: Preprocessing,
    *,
    root: Path,
    number: int,
    split: str = "test",
    purpose: str = "final-report",
    seed: int = 0,
    finder: FaceFinder | None = None,
) -> StudiedFaces:
    """Return the largest face of each of ``number`` pictures, drawn from a split by ``seed``.

    Raises:
        SplitUseError: ``split`` may not be read for this ``purpose``.
        UsageError: no face was found.
    """
    rows = sample(manifest.take(split, purpose=purpose), number, seed=seed)
    finder = finder or YuNet()
    found = [_read_largest_face(root / row.path, preprocessing, finder) for row in rows]
    kept = [(row, face) for row, face in zip(rows, found, strict=True) if face is not None]
    if not kept:
        raise UsageError(
            f"no face found in {len(rows)} pictures of the split {split!r}; choose another split"
        )
    return StudiedFaces(
        inputs=np.stack([face for _, face in kept]),
        fake=np.array([row.is_fake for row, _ in kept]),
        groups=np.array([row.group for row, _ in kept]),
        data_sha256=manifest.sha256,
        without_face=len(rows) - len(kept),
    )


def sample(rows: Sequence[Row], number: int, *, seed: int) -> list[Row]:
    """Return ``number`` rows in the order of a seeded shuffle; all if there are fewer."""
    order = np.random.default_rng(seed).permutation(len(rows))[:number]
    return [rows[place] for place in order]


def _read_largest_face(
    path: Path, preprocessing: Preprocessing, finder: FaceFinder
) -> npt.NDArray[np.float32] | None:
    """Return the network input of a picture's largest face; None without a face."""
    pixels = load(path).pixels
    faces = finder.find(pixels)
    return prepare(pixels, faces[0].landmarks, preprocessing) if faces else None


def mean_interval(
    values: ArrayLike, fake: ArrayLike, groups: ArrayLike, *, seed: int = 0
) -> Interval:
    """Return the normal interval of the mean of ``values`` [N], from resampled groups.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13; clusters
    after Field and Welsh 2007, JRSS B 69:369.
    """
    numbers = np.asarray(values, np.float64)
    drawn = [
        (weights @ numbers) / weights.sum(axis=1)
        for weights in resamples(fake, groups, number=RESAMPLES, seed=seed)
    ]
    half = normal_errors() * float(np.concatenate(drawn).std(ddof=1))
    mean = float(numbers.mean())
    return Interval(mean - half, mean + half)


Floats = npt.NDArray[np.float64]

_STAGE_PARTS = 3
"""Number of parts of a weight's dotted name that name its stage: head.dense.weight."""


def randomise_stages(data: bytes, *, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield each stage's name, from the logit down, and the ONNX file shuffled up to that stage.

    The values of each tensor are permuted at random, so that their distribution is unchanged.

    Raises:
        MissingExtraError: onnx is not installed.
    """
    require("onnx")
    import onnx

    model, rng = onnx.load_from_string(data), np.random.default_rng(seed)
    for stage, tensors in _stages(model.graph):
        for tensor in tensors:
            _shuffle(tensor, rng)
        yield stage, bytes(model.SerializeToString())


def rank_correlation(ours: Maps, theirs: Maps) -> Floats:
    """Return Spearman's correlation of each pair of maps [N, h, w], float64 [N] in [-1, 1].

    The correlation is 0 if one of the two maps is constant.

    >>> ours, theirs = np.array([[[1.0, 2], [3, 9]]]), np.array([[[0.1, 0.2], [0.4, 0.3]]])
    >>> rank_correlation(ours, theirs).round(2).tolist()
    [0.8]
    """
    one, other = (_centred_ranks(maps.reshape(len(maps), -1)) for maps in (ours, theirs))
    size = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    return np.asarray(
        np.divide((one * other).sum(axis=1), size, np.zeros(len(one)), where=size > 0)
    )


def _stages(graph: Any) -> list[tuple[str, list[Any]]]:
    """Return the weights of each stage, the last stage first."""
    stages: dict[str, list[Any]] = {}
    for tensor in graph.initializer:
        parts = tensor.name.removesuffix(".half").split(".")[:-1]
        stages.setdefault(".".join(parts[:_STAGE_PARTS]), []).append(tensor)
    return [*reversed(stages.items())]


def _shuffle(tensor: Any, rng: np.random.Generator) -> None:
    from onnx import numpy_helper

    numbers = numpy_helper.to_array(tensor)
    mixed = rng.permutation(numbers.ravel()).reshape(numbers.shape)
    tensor.CopyFrom(numpy_helper.from_array(mixed, tensor.name))


def _centred_ranks(rows: Floats) -> Floats:
    """Return the ranks of each row's numbers minus their mean; ties share the mean rank."""
    below = (rows[:, :, None] > rows[:, None, :]).sum(axis=2)
    equal = (rows[:, :, None] == rows[:, None, :]).sum(axis=2)
    ranks = below + (equal - 1) / 2
    return np.asarray(ranks - ranks.mean(axis=1, keepdims=True))


_Progress = Callable[[str], None]


def study(
    detector: Detector,
    faces: StudiedFaces,
    *,
    seeds: int = 1,
    shuffled_faces: int = 100,
    progress: _Progress = lambda _: None,
) -> list[Finding]:
    """Return the findings of the sanity tests of a detector's heat maps on ``faces``.

    Deletion: how often, and by how much, deleting the hottest fifth changes the logit more than
    deleting a random fifth. Controls: the same test with maps of other pictures. Randomisation:
    rank correlation of the maps of the first ``shuffled_faces`` before and after the weights are
    shuffled. It is the mean over ``seeds`` shuffles, for each network of the detector.

    Raises:
        NoHeatMapError: a network has none.
        MissingExtraError: onnx is not installed.
    """
    progress("deletion")
    own = detector.explain(faces.inputs)
    found = [*_deletion_findings(own, faces)]
    progress("control: the map of another face")
    found += _control_findings(
        _FixedMaps(detector, np.roll(own.values, 1, axis=0)), faces, other_map_slice()
    )
    for place, member in enumerate(detector.spec.members):
        progress(f"randomisation of {member.name}")
        found += _randomisation_findings(detector, faces.first(shuffled_faces), place, seeds=seeds)
    return found


@dataclass(frozen=True)
class _FixedMaps:
    """A detector whose maps are those of other pictures."""

    detector: Detector
    maps: Maps

    def logits(self, inputs: Inputs) -> Logits:
        """Return the detector's own logits."""
        return self.detector.logits(inputs)

    def map_evidence(self, inputs: Inputs) -> tuple[Logits, Maps]:
        """Return the detector's own logits, and the given maps."""
        return self.detector.logits(inputs), self.maps


def _deletion_findings(found: Explanations, faces: StudiedFaces) -> Iterator[Finding]:
    """Yield the findings of the deletion test for all, real and fake faces."""
    slices = {"all": np.ones(len(faces), bool), "label=real": ~faces.fake, "label=fake": faces.fake}
    hits = {RELIABLE: found.reliable, BEATS_RANDOM: found.hottest_deleted < found.random_deleted}
    falls = {HOTTEST: found.hottest_deleted, RANDOM: found.random_deleted}
    for name, chosen in slices.items():
        if not chosen.any():
            continue
        for metric, outcome in hits.items():
            yield _rate_finding(metric, outcome, faces, chosen, name)
        for metric, values in falls.items():
            yield _mean_finding(metric, values, faces, chosen, name)


def _control_findings(borrowed: _FixedMaps, faces: StudiedFaces, slice_: str) -> Iterator[Finding]:
    """Yield how often maps of other pictures pass the deletion test."""
    every = np.ones(len(faces), bool)
    found = run_deletion_test(borrowed, faces.inputs)
    yield _rate_finding(RELIABLE, found.reliable, faces, every, slice_)
    beats = found.hottest_deleted < found.random_deleted
    yield _rate_finding(BEATS_RANDOM, beats, faces, every, slice_)


def _randomisation_findings(
    detector: Detector, faces: StudiedFaces, place: int, *, seeds: int
) -> Iterator[Finding]:
    """Yield one network's map correlation by stage, then how often the final maps pass."""
    member, ours = detector.spec.members[place], detector.preprocessing.input
    inputs = renormalise(faces.inputs, ours, detector.spec.preprocessing_of(member).input)
    data = member_onnx(detector.bundle, member)
    trained = _compute_maps(data, inputs)
    every = np.ones(len(faces), bool)
    likeness: dict[str, list[Logits]] = {}
    maps = trained
    for seed in range(seeds):
        for stage, mixed in randomise_stages(data, seed=seed):
            maps = _compute_maps(mixed, inputs)
            likeness.setdefault(stage, []).append(rank_correlation(trained, maps))
    for stage, each in likeness.items():
        mean = np.mean(each, axis=0)
        yield _mean_finding(CORRELATION, mean, faces, every, shuffled_slice(member.name, stage))
    yield from _control_findings(_FixedMaps(detector, maps), faces, shuffled_slice(member.name))


def _compute_maps(data: bytes, inputs: Inputs, *, batch: int = 8) -> Maps:
    scorer = OnnxScorer(data, name="the shuffled network", options=RunOptions())
    starts = range(0, len(inputs), batch)
    return np.concatenate([scorer.explain(inputs[at : at + batch])[1] for at in starts])


def _rate_finding(
    metric: str, hits: ArrayLike, faces: StudiedFaces, chosen: ArrayLike, slice_: str
) -> Finding:
    """Return the share of the chosen faces that are hits, with its interval over groups."""
    which = np.asarray(chosen, bool)
    hit, groups = np.asarray(hits, bool)[which], faces.groups[which]
    correlation = intraclass_correlation(hit.astype(float), groups, faces.fake[which])
    interval = rate_interval(hit, groups, correlation=correlation)
    return _make_finding(metric, hit, interval, faces.data_sha256, slice_)


def _mean_finding(
    metric: str, values: ArrayLike, faces: StudiedFaces, chosen: ArrayLike, slice_: str
) -> Finding:
    """Return the mean over the chosen faces, with its interval over groups."""
    which = np.asarray(chosen, bool)
    numbers = np.asarray(values, np.float64)[which]
    interval = mean_interval(numbers, faces.fake[which], faces.groups[which])
    return _make_finding(metric, numbers, interval, faces.data_sha256, slice_)


def _make_finding(
    metric: str, each: ArrayLike, interval: Interval, data_sha256: str, slice_: str
) -> Finding:
    """Return the finding of the mean of ``each`` [n]; its interval holds it."""
    numbers = np.asarray(each, np.float64)
    value, n = float(numbers.mean()), len(numbers)
    low, high = min(interval.low, value), max(interval.high, value)
    where = {"slice": slice_, "data_sha256": data_sha256}
    return Finding(metric=metric, value=value, low=low, high=high, n=n, **where)
