"""`draw_plots`: the plots of an evaluation as data, from its predictions.

Each plot is a pure function of the judged faces of a condition. Of several conditions, the curves
are in one plot, and the other plots are of the first condition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from faceproof.evaluation.audit_result import AuditPlot, Series
from faceproof.evaluation.evaluation_record import Confusion, Evaluation
from faceproof.evaluation.formulas import (
    Floats,
    count_scores,
    precision_recall_curve,
    reliability,
    roc_curve,
)
from faceproof.evaluation.predictions import Faces, judged_faces
from faceproof.reports.report import Axis, Mark, ReportPlot, thin_places

if TYPE_CHECKING:
    import pyarrow as pa

    from faceproof.detector.spec import OperatingPoint


MOST_POINTS = 300
"""Points of a curve at most; the first and the last are always among them."""

MOST_SERIES = 7
"""Series of a plot at most: as many as there are colours that differ for all eyes."""

BINS = 20
"""Bins of the histogram of fake probabilities."""

_OTHERS = "other generators"
_REAL, _FAKE = "real faces", "fakes"
_CALLED = ("real", "unsure", "fake")


def draw_plots(evaluation: Evaluation, predictions: pa.Table) -> tuple[ReportPlot, ...]:
    """Return the plots of an evaluation that its faces allow."""
    faces = judged_faces(predictions)
    parts = {
        condition: part
        for condition in evaluation.conditions
        if len(part := faces.where(faces.conditions == condition))
    }
    if not parts:
        return ()
    condition, first = next(iter(parts.items()))
    curves = dict([(name, part) for name, part in parts.items() if _has_both(part)][:MOST_SERIES])
    confusion = next((one for one in evaluation.confusion if one.condition == condition), None)
    found = [*_curves(curves)] if curves else []
    if confusion:
        found.append(confusion_plot(confusion, evaluation.operating_point.name))
    found += [histogram_plot(first), reliability_plot(first)]
    found.append(threshold_plot(first, evaluation.operating_point))
    if _has_both(first):
        found.append(coverage_risk_plot(first))
    return tuple(found)


def _has_both(faces: Faces) -> bool:
    return bool(faces.fake.any() and not faces.fake.all())


def _curves(parts: Mapping[str, Faces]) -> Iterator[ReportPlot]:
    yield roc_plot(parts)
    yield precision_recall_plot(parts)
    yield det_plot(parts)


def roc_plot(parts: Mapping[str, Faces]) -> ReportPlot:
    """Return the ROC curve of the faces of each condition, with false alarms on a log axis."""
    least = _least_rate(parts, fake=False)
    series = []
    for condition, faces in parts.items():
        curve = roc_curve(faces.fake, faces.probabilities)
        kept = _corners(curve.false_positive_rate, curve.true_positive_rate)
        series.append(_series(condition, *kept, most=MOST_POINTS))
    faces = next(iter(parts.values()))
    caught = [f"{_percent(_highest_recall(faces, share))} at {100 * share:g} %" for share in _FPR]
    return ReportPlot(
        name="roc",
        kind="step",
        title="ROC curve",
        description=f"Share of fakes called fake, by false alarms: {', '.join(caught)}.",
        caption="The axis of false alarms is logarithmic, since few are bearable. Its left edge "
        "is half of one real face, and means that there was none.",
        x=Axis(title="real faces called fake", scale="log", low=least, high=1),
        y=Axis(title="fakes called fake", low=0, high=1),
        series=tuple(series),
        guides=(_chance_line(least),),
    )


_FPR = (0.01, 0.1)


def _chance_line(least: float) -> Series:
    rates = np.geomspace(least, 1, 40)
    return Series(name="chance", x=tuple(rates.tolist()), y=tuple(rates.tolist()))


def _highest_recall(faces: Faces, share: float) -> float:
    curve = roc_curve(faces.fake, faces.probabilities)
    return float(curve.true_positive_rate[curve.false_positive_rate <= share].max())


def _least_rate(parts: Mapping[str, Faces], *, fake: bool) -> float:
    """Return half of one face of a class as a share of the class, the least of all conditions."""
    counts = [int((faces.fake == fake).sum()) for faces in parts.values()]
    return 1 / (2 * max(counts))


def precision_recall_plot(parts: Mapping[str, Faces]) -> ReportPlot:
    """Return precision against recall of the faces of each condition."""
    series = []
    for condition, faces in parts.items():
        curve = precision_recall_curve(faces.fake, faces.probabilities)
        series.append(_series(condition, curve.recall, curve.precision, most=MOST_POINTS))
    faces = next(iter(parts.values()))
    curve = precision_recall_curve(faces.fake, faces.probabilities)
    chance = float(faces.fake.mean())
    half = float(curve.precision[np.argmax(curve.recall >= 0.5)])
    return ReportPlot(
        name="precision-recall",
        kind="line",
        title="Precision and recall",
        description=f"When half of the fakes are caught, {_percent(half)} of the faces called fake "
        f"are fake; {_percent(chance)} of all judged faces are.",
        caption="Precision holds for this mix of classes only. Dashed: the share of fakes.",
        x=Axis(title="recall", low=0, high=1),
        y=Axis(title="precision", low=0, high=1),
        series=tuple(series),
        guides=(Series(name="share of fakes", x=(0.0, 1.0), y=(chance, chance)),),
    )


def det_plot(parts: Mapping[str, Faces]) -> ReportPlot:
    """Return misses against false alarms of each condition, both on the scale of normal deviates.

    Source: Martin et al. 1997, "The DET curve in assessment of detection task performance",
    Eurospeech.
    """
    least = min(_least_rate(parts, fake=False), _least_rate(parts, fake=True))
    low = max(least, 1e-5)
    series = []
    for condition, faces in parts.items():
        curve = roc_curve(faces.fake, faces.probabilities)
        kept = _corners(curve.false_positive_rate, 1 - curve.true_positive_rate)
        series.append(_series(condition, *kept, most=MOST_POINTS))
    faces = next(iter(parts.values()))
    misses = [
        f"{_percent(1 - _highest_recall(faces, share))} at {100 * share:g} %" for share in _FPR
    ]
    return ReportPlot(
        name="det",
        kind="line",
        title="Detection error trade-off (DET)",
        description=f"Share of fakes not called fake, by false alarms: {', '.join(misses)}.",
        caption="Both axes are those of normal deviates; lower left is better. Rates of 0 are "
        "drawn at the edge.",
        x=Axis(title="real faces called fake", scale="probit", low=low, high=1 - low),
        y=Axis(title="fakes not called fake", scale="probit", low=low, high=1 - low),
        series=tuple(series),
    )


def confusion_plot(found: Confusion, point: str) -> ReportPlot:
    """Return the confusion matrix: a series for each class, the verdicts along it."""
    rows = (("real", found.real), ("fake", found.fake))
    words = [
        f"{count:,} {label} called {called}"
        for label, counts in rows
        for called, count in zip(_CALLED, counts, strict=True)
    ]
    return ReportPlot(
        name="confusion",
        kind="matrix",
        title="Confusion matrix",
        description=f"{', '.join(words)}.",
        caption=f"Judged faces by class and verdict at {point}, {found.condition}. The colour is "
        "the share of the class.",
        x=Axis(title="verdict", scale="name"),
        y=Axis(title="faces"),
        series=tuple(
            Series(name=label, x=_CALLED, y=tuple(map(float, counts))) for label, counts in rows
        ),
    )


def histogram_plot(faces: Faces) -> ReportPlot:
    """Return the share of the faces of each class and generator in each bin of probability."""
    edges = np.arange(BINS + 1) / BINS
    names = _histogram_names(faces)
    series = []
    for name in dict.fromkeys(names.tolist()):
        values = faces.probabilities[names == name]
        shares = np.histogram(values, bins=edges)[0] / len(values)
        ends = (*shares.tolist(), float(shares[-1]))
        series.append(Series(name=name, x=tuple(edges.tolist()), y=ends))
    series.sort(key=lambda one: (one.name != _REAL, one.name == _OTHERS, one.name))
    halves = [
        f"{name}: {_percent(float((faces.probabilities[kind] >= 0.5).mean()))}"
        for name, kind in ((_REAL, ~faces.fake), (_FAKE, faces.fake))
        if kind.any()
    ]
    return ReportPlot(
        name="histogram",
        kind="step",
        title="Fake probabilities by class and generator",
        description=f"Share of faces with a fake probability of at least 0.5: {', '.join(halves)}.",
        caption=f"Each curve is the share of its own faces in {BINS} bins.",
        x=Axis(title="fake probability", low=0, high=1),
        y=Axis(title="share of the faces", low=0),
        series=tuple(series),
    )


def _histogram_names(faces: Faces) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    """Return the name of each face's curve: real, its generator, or the rest of the generators."""
    counts = Counter(faces.generators[faces.fake].tolist())
    most = MOST_SERIES - 1
    kept = [name for name, _ in counts.most_common(most if len(counts) <= most else most - 1)]
    pairs = zip(faces.fake.tolist(), faces.generators.tolist(), strict=True)
    return np.array(
        [(name if name in kept else _OTHERS) if fake else _REAL for fake, name in pairs], object
    )


def reliability_plot(faces: Faces) -> ReportPlot:
    """Return the share of fakes against the mean probability, in bins of equal mass."""
    bins = reliability(faces.fake, faces.probabilities)
    points = list(zip(bins.mean_probability.tolist(), bins.share_fake.tolist(), strict=True))
    return ReportPlot(
        name="reliability",
        kind="line",
        title="Reliability",
        description="Mean fake probability, and the share of fakes there: "
        f"{', '.join(f'{mean:.2f}: {share:.2f}' for mean, share in points)}.",
        caption=f"{len(points)} bins of equal mass, each of about {round(bins.counts.mean()):,} "
        "faces. On the dashed line the probabilities are calibrated for this mix of classes.",
        x=Axis(title="fake probability", low=0, high=1),
        y=Axis(title="share of fakes", low=0, high=1),
        series=(
            Series(
                name="measured",
                x=tuple(x for x, _ in points),
                y=tuple(share for _, share in points),
            ),
        ),
        guides=(Series(name="calibrated", x=(0.0, 1.0), y=(0.0, 1.0)),),
    )


def threshold_plot(faces: Faces, point: OperatingPoint) -> ReportPlot:
    """Return both error rates at each threshold, and the thresholds of the operating point.

    Real faces from the threshold on are called fake; fakes below it are called real.
    """
    thresholds = np.arange(101) / 100
    series, words = [], []
    for name, kind in (("real faces called fake", ~faces.fake), ("fakes called real", faces.fake)):
        values = np.sort(faces.probabilities[kind])
        if not len(values):
            continue
        below = np.searchsorted(values, thresholds, side="left") / len(values)
        rates = below if name.startswith("fakes") else 1 - below
        series.append(Series(name=name, x=tuple(thresholds.tolist()), y=tuple(rates.tolist())))
        words.append(f"{_percent(float(rates[50]))} of {name}")
    marks = [Mark(x=point.fake_from, name=f"fake from {point.fake_from:.4g}")]
    if point.real_below < point.fake_from:
        marks.insert(0, Mark(x=point.real_below, name=f"real below {point.real_below:.4g}"))
    return ReportPlot(
        name="thresholds",
        kind="line",
        title="Error rates by threshold",
        description=f"At the threshold 0.5: {', '.join(words)}.",
        caption=f"Vertical lines: the thresholds of {point.name}; between them a face is unsure.",
        x=Axis(title="threshold", low=0, high=1),
        y=Axis(title="share of the class", low=0, high=1),
        series=tuple(series),
        marks=tuple(marks),
    )


def coverage_risk_plot(faces: Faces) -> ReportPlot:
    """Return the share of wrong answers among the surest faces, by their share of all faces.

    Sureness is the distance of the probability from 0.5; the answer is the nearer class. Faces of
    one sureness are answered together.

    Source: El-Yaniv and Wiener 2010, JMLR 11:1605.
    """
    sure = np.abs(faces.probabilities - 0.5)
    wrong = (faces.probabilities >= 0.5) != faces.fake
    counts = count_scores(wrong, sure)
    wrongs = counts.fake_above[0, 1:]
    answered = wrongs + counts.real_above[0, 1:]
    coverage, risk = answered / len(faces), wrongs / answered
    half = float(risk[np.argmax(coverage >= 0.5)])
    return ReportPlot(
        name="coverage-risk",
        kind="line",
        title="Errors if only the surest faces are answered",
        description=f"Of the surest half of the faces {_percent(half)} are answered wrongly, of "
        f"all {_percent(float(risk[-1]))}.",
        caption="The answer is the class that the probability is nearer to. A curve that falls to "
        "the left means that the probabilities know where the detector errs.",
        x=Axis(title="share of faces answered (coverage)", low=0, high=1),
        y=Axis(title="share of wrong answers (risk)", low=0),
        series=(_series("measured", coverage, risk, most=MOST_POINTS),),
    )


def audit_plot(audit: str, plot: AuditPlot) -> ReportPlot:
    """Return a plot of an audit as one of the report."""
    named = any(isinstance(x, str) for one in plot.series for x in one.x)
    values = [y for one in plot.series for y in (*one.y, *one.low, *one.high) if y is not None]
    shares = all(0 <= value <= 1 for value in values)
    return ReportPlot(
        name=slug(f"{audit}-{plot.name}"),
        kind=plot.kind,
        title=plot.title,
        description=_extremes(plot),
        x=Axis(title=plot.x, scale="name" if named else "linear"),
        y=Axis(title=plot.y, low=0 if shares else None),
        series=plot.series,
    )


def slug(name: str) -> str:
    """Return a name of lower-case letters, digits and hyphens.

    >>> slug("stability-Flips by_way")
    'stability-flips-by-way'
    """
    kept = "".join(one if one.isascii() and one.isalnum() else "-" for one in name.lower())
    return kept.strip("-") or "plot"


def _extremes(plot: AuditPlot) -> str:
    """Return the lowest and the highest point of each series as a sentence."""
    words = []
    for one in plot.series:
        points = [(y, x) for x, y in zip(one.x, one.y, strict=True) if y is not None]
        if points:
            low, high = (pick(points, key=lambda point: point[0]) for pick in (min, max))
            ends = (f"{y:.3g} at {x if isinstance(x, str) else f'{x:.4g}'}" for y, x in (low, high))
            words.append(f"{one.name or plot.y}: from {' to '.join(ends)}")
    return f"{plot.y.capitalize()}. {'; '.join(words) or 'Nothing was measured'}."


def _corners(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return the points of a curve without those in the middle of a straight run."""
    if len(x) < 3:
        return x, y
    dx, dy = np.diff(x), np.diff(y)
    same = ((dx[:-1] == 0) & (dx[1:] == 0)) | ((dy[:-1] == 0) & (dy[1:] == 0))
    kept = np.concatenate([[True], ~same, [True]])
    return x[kept], y[kept]


def _series(name: str, x: Floats, y: Floats, *, most: int) -> Series:
    kept = thin_places(len(x), most)
    return Series(
        name=name,
        x=tuple(round(float(x[at]), 6) for at in kept),
        y=tuple(round(float(y[at]), 6) for at in kept),
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
