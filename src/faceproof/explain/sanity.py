"""The study of a detector's heat maps: deletion, its controls, and randomisation, as findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from faceproof.detector import Detector, Finding
from faceproof.detector.heatmaps import Explained, put_to_test
from faceproof.detector.inputs import renormalised
from faceproof.detector.scorers import Inputs, Logits, Maps, OnnxScorer, RunOptions
from faceproof.evaluation.heatmaps import (
    BEATS_RANDOM,
    CORRELATION,
    HOTTEST,
    RANDOM,
    RELIABLE,
    another,
    shuffled,
)
from faceproof.evaluation.intervals import Interval, intraclass, rate_interval
from faceproof.explain.faces import StudiedFaces
from faceproof.explain.means import mean_interval
from faceproof.explain.randomised import cascade, rank_correlation

Told = Callable[[str], None]


def study(
    detector: Detector,
    faces: StudiedFaces,
    *,
    seeds: int = 1,
    shuffled_faces: int = 100,
    progress: Told = lambda _: None,
) -> list[Finding]:
    """Return what the sanity tests of a detector's heat maps find on ``faces``.

    Deletion: how often, and by how much, the hottest fifth beats fifths elsewhere. Its controls:
    the same test of maps that are not the picture's own. Randomisation: how like the maps of the
    first ``shuffled_faces`` stay when the weights are shuffled, mean over ``seeds`` shuffles, for
    each network of the detector.

    Raises:
        NoHeatMapError: a network has none.
        MissingExtraError: onnx is not installed.
    """
    progress("deletion")
    own = detector.explained(faces.inputs)
    found = [*_deletion(own, faces)]
    progress("control: the map of another face")
    found += _control(_Borrowed(detector, np.roll(own.values, 1, axis=0)), faces, another())
    for place, member in enumerate(detector.spec.members):
        progress(f"randomisation of {member.name}")
        found += _randomisation(detector, faces.first(shuffled_faces), place, seeds=seeds)
    return found


@dataclass(frozen=True)
class _Borrowed:
    """A detector whose maps are not those of the pictures at hand."""

    detector: Detector
    maps: Maps

    def logits(self, inputs: Inputs) -> Logits:
        """Return the detector's own logits."""
        return self.detector.logits(inputs)

    def mapped(self, inputs: Inputs) -> tuple[Logits, Maps]:
        """Return its own logits, and the maps that it was given."""
        return self.detector.logits(inputs), self.maps


def _deletion(found: Explained, faces: StudiedFaces) -> Iterator[Finding]:
    """Yield the findings of the deletion test for all faces, the real and the fake ones."""
    slices = {"all": np.ones(len(faces), bool), "label=real": ~faces.fake, "label=fake": faces.fake}
    hits = {RELIABLE: found.reliable, BEATS_RANDOM: found.hottest_deleted < found.random_deleted}
    falls = {HOTTEST: found.hottest_deleted, RANDOM: found.random_deleted}
    for name, chosen in slices.items():
        if not chosen.any():
            continue
        for metric, outcome in hits.items():
            yield _rate(metric, outcome, faces, chosen, name)
        for metric, values in falls.items():
            yield _mean(metric, values, faces, chosen, name)


def _control(borrowed: _Borrowed, faces: StudiedFaces, slice_: str) -> Iterator[Finding]:
    """Yield how often maps pass the test that are not the pictures' own."""
    every = np.ones(len(faces), bool)
    found = put_to_test(borrowed, faces.inputs)
    yield _rate(RELIABLE, found.reliable, faces, every, slice_)
    beats = found.hottest_deleted < found.random_deleted
    yield _rate(BEATS_RANDOM, beats, faces, every, slice_)


def _randomisation(
    detector: Detector, faces: StudiedFaces, place: int, *, seeds: int
) -> Iterator[Finding]:
    """Yield how like one network's maps stay, stage by stage; last, whether the final ones pass."""
    member, ours = detector.spec.members[place], detector.preprocessing.input
    inputs = renormalised(faces.inputs, ours, detector.spec.preprocessing_of(member).input)
    data = detector.bundle.read_file(member.onnx)
    trained = _maps(data, inputs)
    every = np.ones(len(faces), bool)
    likeness: dict[str, list[Logits]] = {}
    maps = trained
    for seed in range(seeds):
        for stage, mixed in cascade(data, seed=seed):
            maps = _maps(mixed, inputs)
            likeness.setdefault(stage, []).append(rank_correlation(trained, maps))
    for stage, each in likeness.items():
        mean = np.mean(each, axis=0)
        yield _mean(CORRELATION, mean, faces, every, shuffled(member.name, stage))
    yield from _control(_Borrowed(detector, maps), faces, shuffled(member.name))


def _maps(data: bytes, inputs: Inputs, *, batch: int = 8) -> Maps:
    scorer = OnnxScorer(data, name="the shuffled network", options=RunOptions())
    starts = range(0, len(inputs), batch)
    return np.concatenate([scorer.explained(inputs[at : at + batch])[1] for at in starts])


def _rate(
    metric: str, hits: ArrayLike, faces: StudiedFaces, chosen: ArrayLike, slice_: str
) -> Finding:
    """Return the share of the chosen faces that are hits, with its interval over groups."""
    which = np.asarray(chosen, bool)
    hit, groups = np.asarray(hits, bool)[which], faces.groups[which]
    correlation = intraclass(hit.astype(float), groups, faces.fake[which])
    interval = rate_interval(hit, groups, correlation=correlation)
    return _finding(metric, hit, interval, faces.data_sha256, slice_)


def _mean(
    metric: str, values: ArrayLike, faces: StudiedFaces, chosen: ArrayLike, slice_: str
) -> Finding:
    """Return the mean over the chosen faces, with its interval over groups."""
    which = np.asarray(chosen, bool)
    numbers = np.asarray(values, np.float64)[which]
    interval = mean_interval(numbers, faces.fake[which], faces.groups[which])
    return _finding(metric, numbers, interval, faces.data_sha256, slice_)


def _finding(
    metric: str, each: ArrayLike, interval: Interval, data_sha256: str, slice_: str
) -> Finding:
    """Return the finding of the mean of ``each`` [n]; its interval holds it."""
    numbers = np.asarray(each, np.float64)
    value, n = float(numbers.mean()), len(numbers)
    low, high = min(interval.low, value), max(interval.high, value)
    where = {"slice": slice_, "data_sha256": data_sha256}
    return Finding(metric=metric, value=value, low=low, high=high, n=n, **where)
