"""The audit *calibration*: whether probabilities are right and operating points keep promises.

Calibration error depends on the share of fakes. That of a slice with one class only would compare
its mean probability with 0 or 1, which says nothing of calibration, and is not reported.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from faceproof.audits.context import Audit, AuditContext, AuditOutcome
from faceproof.audits.rates import (
    Rate,
    join_some,
    measure_rate,
    small_cell_words,
    small_cells_caution,
)
from faceproof.detector.spec import Finding, OperatingPoint
from faceproof.evaluation.audit_result import AuditPlot, AuditTable, Cell, Series
from faceproof.evaluation.findings import slice_findings
from faceproof.evaluation.formulas import Bools
from faceproof.evaluation.intervals import clopper_pearson_upper, effective_size
from faceproof.evaluation.predictions import FAKE, REAL, Faces, Texts
from faceproof.messages import count_noun

_METRICS = ("ece", "brier", "log_loss")
_CERTAIN = (0.85, 0.95)
"""Probabilities that count as "90 %"."""

WITHIN, ABOVE, UNKNOWN = "within budget", "above budget", "too few faces to tell"
NO_FACES = "no faces"

_BINS = (
    *("from", "below", "faces", "groups", "mean_probability"),
    *("share_fake", "share_fake_low", "share_fake_high", "caution"),
)
_SLICES = (
    *("slice", "condition", "real", "fake", "groups", "ece", "ece_low", "ece_high"),
    *("brier", "brier_low", "brier_high", "log_loss", "log_loss_low", "log_loss_high", "caution"),
)
_PROMISES = (
    *("operating_point", "error", "slice", "budget", "faces", "groups"),
    *("rate", "rate_low", "rate_high", "upper_bound", "outcome", "caution"),
)
_PROMISES_CAPTION = (
    "bpcer: real faces called fake; apcer: fakes called real; upper_bound: exact, one-sided, 95 %. "
    "within budget: the bound is; above budget: the whole interval is; otherwise the faces are too "
    "few to tell. Whether a budget holds for each part is in the promise of the operating point."
)


def run(context: AuditContext) -> AuditOutcome:
    """Return probabilities against shares of fakes, calibration errors, and promises kept."""
    every = context.faces("clean")
    judged = every.where(every.statuses == "ok")
    promises = list(_promises(context.detector.spec.operating_points.values(), judged))
    slices = list(_slices(context, every))
    findings = tuple(one for part in slices for one in part.findings)
    tables = (
        AuditTable(
            name="bins",
            caption="Faces by fake probability, and the share of fakes among them.",
            columns=_BINS,
            rows=tuple(_bin_rows(judged)),
        ),
        AuditTable(
            name="slices",
            caption="Calibration error (ECE, equal mass), Brier score and log loss in nats.",
            columns=_SLICES,
            rows=tuple(part.row for part in slices),
        ),
        AuditTable(
            name="promises",
            caption=_PROMISES_CAPTION,
            columns=_PROMISES,
            rows=tuple(one.row for one in promises),
        ),
    )
    cautions = _cautions(judged, slices)
    if not judged.fake.any() or judged.fake.all():
        kind = "fake" if not judged.fake.any() else "real"
        return AuditOutcome(
            f"Not measured: no {kind} face was judged, and calibration needs both.",
            tables,
            cautions=cautions,
            measured=False,
            details=tuple(_promise_words(promises)),
        )
    return AuditOutcome(
        _answer(judged, promises),
        tables,
        (_plot(judged),),
        cautions,
        findings,
        details=(_error_words(slices), *_promise_words(promises)),
    )


def _bins(judged: Faces) -> Iterator[tuple[float, float, Faces]]:
    """Yield the ends of each tenth of the probabilities, and its faces."""
    place = np.minimum((judged.probabilities * 10).astype(np.int64), 9)
    for tenth in range(10):
        yield tenth / 10, (tenth + 1) / 10, judged.where(place == tenth)


def _bin_rows(judged: Faces) -> Iterator[tuple[Cell, ...]]:
    for low, high, part in _bins(judged):
        share = measure_rate(part.fake, part.groups)
        mean = float(part.probabilities.mean()) if len(part) else None
        yield (
            *(low, high, share.n, share.groups, mean, *share.cells),
            small_cell_words(share.groups),
        )


@dataclass(frozen=True)
class _CalibratedSlice:
    """Calibration of one slice under one condition."""

    slice: str
    condition: str
    faces: Faces
    findings: tuple[Finding, ...]

    @property
    def groups(self) -> int:
        return len(np.unique(self.faces.groups))

    @property
    def name(self) -> str:
        return self.slice if self.condition == "clean" else self.condition

    @property
    def row(self) -> tuple[Cell, ...]:
        found = {one.metric: one for one in self.findings}
        cells: list[Cell] = []
        for name in _METRICS:
            one = found.get(name)
            cells += (one.value, one.low, one.high) if one else (None, None, None)
        fake = int(self.faces.fake.sum())
        caution = small_cell_words(self.groups) if found else "one class only: not measured"
        real = len(self.faces) - fake
        return (self.slice, self.condition, real, fake, self.groups, *cells, caution)


def _slices(context: AuditContext, every: Faces) -> Iterator[_CalibratedSlice]:
    """Yield all faces and each source as they are, then all faces of each degradation."""
    yield _measure(context, "all", "clean", every)
    for source in np.unique(every.sources):
        yield _measure(context, f"source={source}", "clean", every.where(every.sources == source))
    degraded = context.faces("degraded")
    for condition in dict.fromkeys(degraded.conditions.tolist()):
        if condition != "clean":
            part = degraded.where(degraded.conditions == condition)
            yield _measure(context, "all", condition, part)


def _measure(context: AuditContext, name: str, condition: str, faces: Faces) -> _CalibratedSlice:
    """Return the calibration of a slice; without findings where it has one class only."""
    judged = faces.where(faces.statuses == "ok")
    both = judged.fake.any() and not judged.fake.all()
    found = (
        slice_findings(
            name,
            condition,
            faces,
            [],
            counted=None,
            data_sha256=context.selection.sha256,
            metrics=_METRICS,
            seed=context.settings.seed,
        )
        if both
        else []
    )
    return _CalibratedSlice(name, condition, judged, tuple(found))


@dataclass(frozen=True)
class _Promise:
    """A budget of an operating point, and what was measured on the faces of a slice."""

    point: str
    error: str
    slice: str
    budget: float
    rate: Rate
    bound: float | None

    @property
    def outcome(self) -> str:
        """Whether the error is within its budget; a rate without faces has no outcome."""
        if self.bound is None or self.rate.low is None:
            return NO_FACES
        if self.bound <= self.budget:
            return WITHIN
        return ABOVE if self.rate.low > self.budget else UNKNOWN

    @property
    def row(self) -> tuple[Cell, ...]:
        return (
            *(self.point, self.error, self.slice, self.budget, self.rate.n, self.rate.groups),
            *(*self.rate.cells, self.bound, self.outcome, small_cell_words(self.rate.groups)),
        )


def _promises(points: Iterable[OperatingPoint], judged: Faces) -> Iterator[_Promise]:
    """Yield the promises of each point: over all faces, and by source or by generator."""
    reals, fakes = judged.where(~judged.fake), judged.where(judged.fake)
    for point in points:
        if point.bpcer_budget is not None:
            for name, part in _parts(reals, "source", reals.sources):
                hits = part.verdicts(point) == FAKE
                rate, bound = _bounded_rate(hits, part.groups)
                yield _Promise(point.name, "bpcer", name, point.bpcer_budget, rate, bound)
        if point.apcer_budget is not None:
            for name, part in _parts(fakes, "generator", fakes.generators):
                hits = part.verdicts(point) == REAL
                rate, bound = _bounded_rate(hits, part.groups)
                yield _Promise(point.name, "apcer", name, point.apcer_budget, rate, bound)


def _parts(faces: Faces, kind: str, names: Texts) -> Iterator[tuple[str, Faces]]:
    yield "all", faces
    for name in np.unique(names):
        yield f"{kind}={name}", faces.where(names == name)


def _bounded_rate(hits: Bools, groups: Texts) -> tuple[Rate, float | None]:
    """Return a rate, and its exact upper bound at the effective number of faces."""
    rate = measure_rate(hits, groups)
    if rate.value is None:
        return rate, None
    size = effective_size(hits, groups)
    return rate, clopper_pearson_upper(
        math.ceil(rate.value * size - 1e-9), max(1, math.floor(size))
    )


def _promise_words(promises: Sequence[_Promise]) -> Iterator[str]:
    """Yield what became of each budget over all faces, and which parts are above theirs."""
    for one in promises:
        if one.slice == "all":
            measured = f", {one.rate.words} of {one.rate.n:,}" if one.rate.n else ""
            yield (
                f"{one.point}, {_ERRORS[one.error]} at most {100 * one.budget:g} %: "
                f"{one.outcome}{measured}."
            )
    above = [
        f"{one.point} for {one.slice}"
        for one in promises
        if one.slice != "all" and one.outcome == ABOVE
    ]
    if above:
        yield f"Above budget in parts: {join_some(above)}."


def _budget_words(promises: Sequence[_Promise]) -> str:
    """Return how many budgets over all faces hold, as the end of a sentence."""
    outcomes = [one.outcome for one in promises if one.slice == "all"]
    if not outcomes:
        return "the operating points promise no error rate"
    counts = [
        f"{number} {'is' if number == 1 else 'are'} {words}"
        for outcome, words in (
            (WITHIN, "kept"),
            (ABOVE, "exceeded"),
            (UNKNOWN, "not settled by so few faces"),
            (NO_FACES, "without a face"),
        )
        if (number := outcomes.count(outcome))
    ]
    return f"of {count_noun(len(outcomes), 'error budget')}, {' and '.join(counts)}"


_ERRORS = {"bpcer": "real faces called fake", "apcer": "fakes called real"}


def _cautions(judged: Faces, slices: Sequence[_CalibratedSlice]) -> tuple[str, ...]:
    """Return what calibration depends on, what was left out, and small cells."""
    share = f"{100 * float(judged.fake.mean()):.0f} %" if len(judged) else "none"
    mix = (
        f"Calibration holds for a mix with as many fakes as this sample ({share}); where fakes "
        "are rarer, a probability is worth less."
    )
    one_class = [part.name for part in slices if not part.findings]
    left_out = (
        (
            f"No calibration error for {count_noun(len(one_class), 'slice')} with one class only: "
            f"{join_some(one_class)}.",
        )
        if one_class
        else ()
    )
    measured = [(part.name, part.groups) for part in slices if part.findings]
    return (mix, *left_out, *small_cells_caution(measured))


def _answer(judged: Faces, promises: Sequence[_Promise]) -> str:
    """Return whether 90 % means 90 %, and how many budgets are kept, in a sentence."""
    low, high = _CERTAIN
    near = judged.where((judged.probabilities >= low) & (judged.probabilities < high))
    share = measure_rate(near.fake, near.groups)
    ninety = (
        f"Of {count_noun(share.n, 'face')} given {100 * low:.0f} to {100 * high:.0f} %, "
        f"{share.words} were fake"
        if share.n
        else f"No face was given {100 * low:.0f} to {100 * high:.0f} %"
    )
    return f"{ninety}, and {_budget_words(promises)}."


def _error_words(slices: Sequence[_CalibratedSlice]) -> str:
    """Return the calibration error of unchanged faces, and where it is worst."""
    errors = [one for part in slices for one in part.findings if one.metric == "ece"]
    worst = max(errors, key=lambda one: one.value)
    where = worst.condition if worst.condition != "clean" else worst.slice
    more = "" if worst is errors[0] else f", and at worst {_ece_words(worst)}, for {where}"
    return f"The calibration error (ECE) is {_ece_words(errors[0])} on unchanged faces{more}."


def _ece_words(found: Finding) -> str:
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _plot(judged: Faces) -> AuditPlot:
    """Return the share of fakes against the mean probability of each tenth."""
    held = [part for _, _, part in _bins(judged) if len(part)]
    shares = [measure_rate(part.fake, part.groups) for part in held]
    return AuditPlot(
        name="reliability",
        kind="line",
        title="Share of fakes against the stated probability",
        x="mean fake probability",
        y="share of fakes",
        series=(
            Series(
                name="measured",
                x=tuple(float(part.probabilities.mean()) for part in held),
                y=tuple(one.value for one in shares),
                low=tuple(one.low for one in shares),
                high=tuple(one.high for one in shares),
            ),
            Series(name="perfect", x=(0.0, 1.0), y=(0.0, 1.0)),
        ),
    )


CALIBRATION = Audit(
    "Does 90 % mean 90 %, and do the operating points keep their promises?",
    ("clean", "degraded"),
    run,
)
