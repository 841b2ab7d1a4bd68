"""`findings` of a predictions table: every metric with its interval, by condition and slice.

A metric that depends on thresholds is named with its operating point, as in ``bpcer@1-in-100``. In
it, a face with a caution that withholds the verdict is unsure, as in use; metrics free of
thresholds read its probability.
Slices are ``all``, ``source=NAME`` and, for metrics of fakes only, ``generator=NAME``.

Speed is processor time, not wall time, as it depends less on the load of the machine.

The slice ``member=NAME`` has the same faces as ``all``, judged by one of the combined detectors
at thresholds chosen in the same way on the same calibration faces.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from faceproof.data.manifest import Manifest
from faceproof.detector import Detector, OperatingPoint
from faceproof.detector.spec import Finding
from faceproof.evaluation import predictions
from faceproof.evaluation.formulas import HALF, Bools, Floats, Thresholds, count_scores
from faceproof.evaluation.intervals import (
    RESAMPLES,
    bootstrap,
    intraclass_correlation,
    rate_interval,
)
from faceproof.evaluation.metrics import METRICS, Metric, count_groups
from faceproof.evaluation.predictions import Faces
from faceproof.evaluation.sample_size import find_caution, refusals
from faceproof.imaging.preprocessing import network_input
from faceproof.statistics import Interval
from faceproof.tables import choose

if TYPE_CHECKING:
    import pyarrow as pa


NOT_JUDGED = {"no_face_rate": "no_face", "error_rate": "error"}
"""Findings about rows without a verdict, and the status that each counts."""


REPORTED = (
    "roc_auc",
    "average_precision",
    "eer",
    "tpr_at_fpr_5",
    "tpr_at_fpr_1",
    "tpr_at_fpr_0_5",
    "tpr_at_fpr_0_1",
    "partial_auc_5",
    "bpcer10",
    "bpcer20",
    "bpcer100",
    "brier",
    "log_loss",
    "ece",
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "bpcer",
    "apcer",
    "worst_apcer",
    "acer",
    "unsure_rate",
    "real_unsure_rate",
    "fake_unsure_rate",
    "real_coverage",
    "fake_coverage",
)
"""The metrics of an evaluation, in their order."""

OF_A_BUNDLE = (
    "roc_auc",
    "accuracy",
    "bpcer",
    "apcer",
    "recall",
    "unsure_rate",
    "real_unsure_rate",
    "fake_unsure_rate",
    "real_coverage",
    "fake_coverage",
    "ece",
)
"""Those of `REPORTED` that a bundle records at each of its operating points, in their order."""


COMPOSITION = "pictures"
"""The metric for the number of pictures of a kind in a split."""


def composition(manifest: Manifest) -> list[Finding]:
    """Return the number of pictures by split, source and generator, as findings.

    A count is exact: its interval is the count itself.
    """
    kinds = Counter((row.source, row.generator, row.split) for row in manifest.rows if row.split)
    return [
        Finding(
            metric=COMPOSITION,
            value=count,
            low=count,
            high=count,
            n=count,
            slice=f"source={source},generator={generator},split={split}",
            data_sha256=manifest.sha256,
        )
        for (source, generator, split), count in sorted(kinds.items())
    ]


def findings(
    faces: Faces,
    points: Sequence[OperatingPoint],
    *,
    data_sha256: str,
    metrics: Iterable[str] = tuple(METRICS),
    families: Mapping[str, Sequence[str]] | None = None,
    against_reals: bool = False,
    number: int = RESAMPLES,
    seed: int = 0,
) -> list[Finding]:
    """Return the findings of ``faces`` (all statuses), in the order of their conditions.

    ``families`` pool sources (name to sources) into slices of their own. ``against_reals``
    measures the fakes of a generator against all real faces, as in `slices_with_metrics`.

    Raises:
        UnknownChoiceError: when a metric is not in `METRICS`.
    """
    found: list[Finding] = []
    for part in slices_with_metrics(faces, metrics, families=families, against_reals=against_reals):
        found += slice_findings(
            part.slice,
            part.condition,
            part.faces,
            points,
            counted=part.counted,
            data_sha256=data_sha256,
            metrics=part.metrics,
            number=number,
            seed=seed,
        )
    return found


@dataclass(frozen=True)
class _MeasuredSlice:
    """A slice under one condition, and which metrics are measured on its ``faces``."""

    slice: str
    condition: str
    faces: Faces
    counted: Faces | None
    """The pictures whose share without an answer is a finding too; None leaves that out."""
    metrics: tuple[str, ...]


def slices_with_metrics(
    faces: Faces,
    metrics: Iterable[str],
    *,
    families: Mapping[str, Sequence[str]] | None = None,
    against_reals: bool = False,
) -> Iterator[_MeasuredSlice]:
    """Yield each slice under each condition, with the ``metrics`` that it is measured by.

    The fakes of a generator have the metrics of fakes only; ``against_reals`` adds all real faces
    of the condition to them, and all metrics but those of real faces only.

    Raises:
        UnknownChoiceError: when a metric is not in `METRICS`.
    """
    table = {name: choose(METRICS, name, what="metric") for name in metrics}
    several = {name for name, metric in table.items() if metric.compares_generators}
    of_fakes = tuple(n for n, metric in table.items() if metric.needs == ("fake",))
    of_both = tuple(n for n, metric in table.items() if metric.needs != ("real",))
    of_fakes, of_both = (tuple(n for n in one if n not in several) for one in (of_fakes, of_both))
    for condition in dict.fromkeys(faces.conditions.tolist()):
        here = faces.where(faces.conditions == condition)
        for name, part in slices(here, families):
            if not name.startswith(_GENERATOR):
                yield _MeasuredSlice(name, condition, part, part, tuple(table))
            elif against_reals:
                own = here.generators == name.removeprefix(_GENERATOR)
                yield _MeasuredSlice(name, condition, here.where(~here.fake | own), part, of_both)
            else:
                yield _MeasuredSlice(name, condition, part, None, of_fakes)


def left_out(faces: Faces, metrics: Iterable[str], *, against_reals: bool = False) -> Iterator[str]:
    """Yield why a metric of a slice is left out of its `findings`: too few groups, or none.

    Raises:
        UnknownChoiceError: when a metric is not in `METRICS`.
    """
    for part in slices_with_metrics(faces, metrics, against_reals=against_reals):
        judged = part.faces.where(part.faces.statuses == "ok")
        numbers = count_groups(judged.fake, judged.groups, judged.generators)
        if not len(judged):
            yield f"{part.slice}, {part.condition}: no face was judged"
            continue
        for reason in refusals(part.metrics, numbers):
            yield f"{part.slice}, {part.condition}: {reason}"


def slice_findings(
    name: str,
    condition: str,
    faces: Faces,
    points: Sequence[OperatingPoint],
    *,
    counted: Faces | None,
    data_sha256: str,
    metrics: Iterable[str],
    number: int = RESAMPLES,
    seed: int = 0,
) -> list[Finding]:
    """Return the findings of one slice under one condition that can be computed.

    ``counted`` are the pictures whose share without an answer is a finding too, if there are any.
    """
    table = {metric: choose(METRICS, metric, what="metric") for metric in metrics}
    measured = _Slice(name, condition, faces, data_sha256)
    found: list[Finding] = []
    if counted is not None:
        same = counted is faces
        every = measured if same else _Slice(name, condition, counted, data_sha256)
        found += every.unjudged_rates()
    return [*found, *measured.measure(table, points, number=number, seed=seed)]


def slices(
    faces: Faces, families: Mapping[str, Sequence[str]] | None = None
) -> Iterator[tuple[str, Faces]]:
    """Yield the name and the faces of each slice.

    The slices are all faces, each family, each source, and the fakes of each generator.
    """
    yield "all", faces
    for name, sources in (families or {}).items():
        if (mask := np.isin(faces.sources, sources)).any():
            yield f"family={name}", faces.where(mask)
    for source in np.unique(faces.sources):
        yield f"source={source}", faces.where(faces.sources == source)
    fakes = faces.where(faces.fake)
    for generator in np.unique(fakes.generators):
        yield f"{_GENERATOR}{generator}", fakes.where(fakes.generators == generator)


def worst_generator(found: Iterable[Finding], point: str) -> Finding | None:
    """Return the highest APCER of a generator at an operating point, under any condition.

    None if no generator was measured there.
    """
    measured = [
        one
        for one in found
        if one.metric == f"apcer@{point}" and one.slice.startswith("generator=")
    ]
    return max(measured, key=lambda one: one.value, default=None)


_GENERATOR = "generator="


class _Slice:
    """The faces of one slice under one condition."""

    def __init__(self, name: str, condition: str, faces: Faces, data_sha256: str) -> None:
        self._where = {"slice": name, "condition": condition, "data_sha256": data_sha256}
        self._every = faces
        self._faces = faces.where(faces.statuses == "ok")
        self._correlation = self._group_correlation() if len(self._faces) else 1.0
        judged = self._faces
        self._numbers = count_groups(judged.fake, judged.groups, judged.generators)

    def _group_correlation(self) -> float:
        classes = np.char.add(self._faces.sources, np.where(self._faces.fake, "\x1ff", "\x1fr"))
        return intraclass_correlation(self._faces.probabilities, self._faces.groups, classes)

    def unjudged_rates(self) -> Iterator[Finding]:
        """Yield the rates of pictures without a verdict."""
        for name, status in NOT_JUDGED.items():
            hits = self._every.statuses == status
            yield self._make_finding(
                name, float(hits.mean()), self._rate_interval(hits, self._every), len(hits)
            )

    def measure(
        self, table: dict[str, Metric], points: Sequence[OperatingPoint], *, number: int, seed: int
    ) -> Iterator[Finding]:
        """Yield each metric that can be computed, once or at each operating point."""
        allowed = {name: metric for name, metric in table.items() if self._can_measure(metric)}
        free = {name: metric for name, metric in allowed.items() if not metric.at_thresholds}
        bound = {name: metric for name, metric in allowed.items() if metric.at_thresholds}
        scores = self._faces.probabilities
        yield from self._findings_at(free, scores, HALF, "", number=number, seed=seed)
        for point in points:
            at = self._faces.scores_at(point)
            yield from self._findings_at(bound, *at, f"@{point.name}", number=number, seed=seed)

    def _can_measure(self, metric: Metric) -> bool:
        return len(self._faces) > 0 and metric.refusal(self._numbers) is None

    def _findings_at(
        self,
        metrics: dict[str, Metric],
        scores: Floats,
        at: Thresholds,
        suffix: str,
        *,
        number: int,
        seed: int,
    ) -> Iterator[Finding]:
        if not metrics:
            return
        drawn = self._bootstrap_intervals(
            [name for name in metrics if metrics[name].outcome is None], scores, at, number, seed
        )
        counts = count_scores(self._faces.fake, scores, generators=self._faces.generators)
        for name, metric in metrics.items():
            counted = self._counted_faces(metric)
            over = self._faces.where(counted)
            if metric.outcome is None:
                interval = drawn[name]
            else:
                interval = self._rate_interval(metric.outcome(over.fake, scores[counted], at), over)
            value = float(metric.formula(counts, at)[0])
            caution = find_caution(metric, self._numbers)
            yield self._make_finding(f"{name}{suffix}", value, interval, len(over), caution)

    def _counted_faces(self, metric: Metric) -> Bools:
        """Return which faces the metric counts over, bool [N]."""
        wanted = metric.needs or ("real", "fake")
        return np.isin(np.where(self._faces.fake, "fake", "real"), wanted)

    def _bootstrap_intervals(
        self, names: list[str], scores: Floats, at: Thresholds, number: int, seed: int
    ) -> dict[str, Interval]:
        return bootstrap(
            self._faces.fake,
            scores,
            self._faces.groups,
            at,
            names=names,
            generators=self._faces.generators,
            correlation=self._correlation,
            number=number,
            seed=seed,
        )

    def _rate_interval(self, hits: Bools, of: Faces) -> Interval:
        return rate_interval(hits, of.groups, correlation=self._correlation)

    def _make_finding(
        self, metric: str, value: float, interval: Interval, n: int, caution: str | None = None
    ) -> Finding:
        """Return the finding; widen the interval if it excludes the value."""
        low, high = min(interval.low, value), max(interval.high, value)
        return Finding(
            metric=metric, value=value, low=low, high=high, n=n, caution=caution, **self._where
        )


#: With nine repeats, the second lowest and second highest enclose the median in 96 % of cases.
REPEATS, _OUTER = 9, 1
FACES = 8


@dataclass(frozen=True)
class Speed:
    """Processor time per face in milliseconds: median of the repeats and its interval."""

    median: float
    low: float
    high: float
    faces: int
    """Number of faces measured."""


def measure_cpu_ms(
    detectors: Sequence[Detector], *, repeats: int = REPEATS, faces: int = FACES
) -> list[Speed]:
    """Return the speed of each detector, from noise inputs to logits.

    The detectors alternate, so that load on the machine affects all of them. Each has one warm-up
    run.
    """
    inputs = [_noise_inputs(detector, faces) for detector in detectors]
    spent = np.array(
        [
            [_time_detector(one, noise) for one, noise in zip(detectors, inputs, strict=True)]
            for _ in range(1 + repeats)
        ]
    )[1:]
    return [_summarise_times(column, faces) for column in np.sort(1000 * spent / faces, axis=0).T]


def _noise_inputs(
    detector: Detector, faces: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    side = detector.preprocessing.crop.size
    crops = np.random.default_rng(0).integers(0, 256, (faces, side, side, 3), dtype=np.uint8)
    return network_input(crops, detector.preprocessing.input)


def _time_detector(
    detector: Detector, inputs: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> float:
    start = time.process_time()
    detector.logits(inputs)
    return time.process_time() - start


def _summarise_times(
    rising: np.ndarray[tuple[int, ...], np.dtype[np.float64]], faces: int
) -> Speed:
    """Return the median of ascending values [repeats], and the second and second-last value."""
    outer = min(_OUTER, (len(rising) - 1) // 2)
    return Speed(
        median=float(np.median(rising)),
        low=float(rising[outer]),
        high=float(rising[-1 - outer]),
        faces=faces * len(rising),
    )


MEMBER = "member="
"""Prefix of the slices of members."""

CPU_MS = "cpu_ms"
"""The metric for milliseconds of processor time per face."""

_BESIDE = ("roc_auc", "tpr_at_fpr_1", "bpcer", "recall")
"""The metrics of each member; the last two are at an operating point."""


def member_findings(slice_: str, answers: pa.Table, point: OperatingPoint) -> Iterator[Finding]:
    """Yield the metrics `_BESIDE` of one detector's predictions, for each condition."""
    data_sha256 = predictions.origin_of(answers).data_sha256
    every = predictions.all_faces(answers)
    for condition in dict.fromkeys(every.conditions.tolist()):
        faces = every.where(every.conditions == condition)
        found = slice_findings(
            slice_,
            condition,
            faces,
            [point],
            counted=faces,
            data_sha256=data_sha256,
            metrics=_BESIDE,
        )
        yield from (one for one in found if one.metric.partition("@")[0] in _BESIDE)


def speed_finding(slice_: str, speed: Speed, *, condition: str, data_sha256: str) -> Finding:
    """Return a measured speed as a finding, in milliseconds with two decimals."""
    return Finding(
        metric=CPU_MS,
        value=round(speed.median, 2),
        low=round(speed.low, 2),
        high=round(speed.high, 2),
        n=speed.faces,
        slice=slice_,
        condition=condition,
        data_sha256=data_sha256,
    )
