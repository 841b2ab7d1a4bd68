"""The audit *shortcuts*: whether the score follows the face, or the file and the background.

Counterfactuals answer for the detector: one thing is changed and the face is not, or the reverse.
Correlations and the shortcut probe answer for the data: what a detector could have learned from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceproof.audits.context import Audit, AuditContext, AuditOutcome
from faceproof.audits.counterfactuals import (
    LOSSLESS,
    SAVED,
    SWAPS,
    UNCHANGED,
    VARIANTS,
    Counterfactuals,
    score_counterfactuals,
)
from faceproof.audits.file_facts import (
    FACTS,
    STRATA,
    FactCorrelation,
    ProbedFiles,
    correlate,
    measure_files,
    probe_files,
)
from faceproof.audits.rates import (
    Rate,
    measure_auc,
    measure_rate,
    small_cell_words,
    small_cells_caution,
)
from faceproof.detector.spec import OperatingPoint
from faceproof.evaluation.audit_result import AuditPlot, AuditTable, Cell, Series
from faceproof.evaluation.formulas import Bools, Floats
from faceproof.messages import count_noun
from faceproof.reports.words import condition_words
from faceproof.statistics import Interval, normal_errors

_WORDS = {
    UNCHANGED: "unchanged",
    "png": "saved as PNG",
    "bmp": "saved as BMP",
    "webp-lossless": "saved as lossless WebP",
    "background-grey": "only the face, on grey",
    "background-blurred": "before its background, blurred",
    "background-of-real": "before the background of a real picture",
    "background-of-fake": "before the background of a fake",
    "face-grey": "face hidden by grey",
    "face-blurred": "face blurred beyond recognition",
}
_COLUMNS = (
    *("variant", "words", "face", "judged", "groups", "flips", "flips_low", "flips_high"),
    *("reversed", "lost", "move", "move_low", "move_high", "move_size_median", "move_size_95"),
    *("real_called_fake", "real_called_fake_low", "real_called_fake_high"),
    *("fake_called_fake", "fake_called_fake_low", "fake_called_fake_high"),
    *("real_probability", "fake_probability", "roc_auc", "roc_auc_low", "roc_auc_high", "caution"),
)
_CAPTION = (
    "The same faces changed in one respect. face: found again in the saved copy, or kept where it "
    "was; flips: verdicts that differ from those on the unchanged pictures; reversed: between real "
    "and fake; lost: faces not found in the copy; move: mean change of the logit, and median and "
    "95th percentile of its size; probabilities: mean. Intervals are 95 %, by group."
)
_SWAPS = (
    *(
        "of",
        "logit_difference",
        "logit_difference_low",
        "logit_difference_high",
        "pairs",
        "caution",
    ),
)
_SWAPS_CAPTION = (
    "Every face before the background of a real and of a fake picture. background: mean logit "
    "before that of a fake minus that of a real one, of the same face; face: of fakes minus real "
    "faces, averaged over both backgrounds; unchanged: of fakes minus real ones as they are. A "
    "detector of faces has a background near 0."
)
_CORRELATIONS = (
    *("fact", "words", "class", "pictures", "groups", "rank_correlation", "rank_correlation_low"),
    *("rank_correlation_high", "within_sources", "within_sources_low", "within_sources_high"),
    "caution",
)
_CORRELATIONS_CAPTION = (
    "Spearman's correlation of the logit with a fact of the file, within a class: over all its "
    "pictures, and within each of its sources and generators. This does not prove a cause, since a "
    "generator has both its own files and its own traces. Intervals are 95 %, by group."
)
_PROBE = ("family", "features", "auc", "auc_low", "auc_high")
_PROBE_CAPTION = (
    "How well files and frames predict the labels, without a face: the shortcut probe, all "
    "features and each family (docs/explanation/shortcut-probe.md); framing was not measured."
)
_STRATA = (
    *("stratum", "real", "fake", "probe_auc", "probe_auc_low", "probe_auc_high"),
    *("detector_auc", "detector_auc_low", "detector_auc_high", "strongest_fact", "fact_auc"),
)
_STRATA_CAPTION = (
    "Tenths of the pictures by how fake their files look to the probe, the least first; within "
    "all: pairs of a real face and a fake of the same tenth. There the files say little of the "
    "label, but not nothing, as the probe is not perfect: strongest_fact is the one that keeps "
    "most there, and fact_auc what a detector of it would keep."
)


def run(context: AuditContext) -> AuditOutcome:
    """Return counterfactuals, correlations, and the detector beside the shortcut probe."""
    found = score_counterfactuals(context)
    if not len(found.fake):
        answer = "Not measured: no face was judged."
        return AuditOutcome(answer, measured=False)
    changed = [_measure(context, found, name) for name in (UNCHANGED, *VARIANTS)]
    effects = list(_effects(found))
    facts = measure_files(context)
    correlations = list(correlate(facts))
    probed = probe_files(facts, seed=context.settings.seed)
    tables = [
        AuditTable(
            name="counterfactuals",
            caption=_CAPTION,
            columns=_COLUMNS,
            rows=tuple(one.row for one in changed),
        )
    ]
    if effects:
        rows = tuple(one.row for one in effects)
        tables.append(AuditTable(name="swaps", caption=_SWAPS_CAPTION, columns=_SWAPS, rows=rows))
    if correlations:
        tables.append(_correlation_table(correlations))
    if isinstance(probed, ProbedFiles):
        tables += _probe_tables(probed)
    by_name = {one.name: one for one in changed}
    return AuditOutcome(
        answer=_answer(by_name),
        details=tuple(_details(by_name, effects, correlations, probed)),
        tables=tuple(tables),
        plots=tuple(_plots(changed, correlations)),
        cautions=tuple(_cautions(found, len(facts), probed)),
    )


@dataclass(frozen=True)
class _Changed:
    """What became of the faces under one variant."""

    name: str
    flips: Rate
    reversals: Rate
    lost: Rate
    move: tuple[float, float, float] | None
    sizes: Floats
    called_fake: tuple[Rate, Rate]
    """Of the real faces, and of the fakes."""
    probabilities: tuple[float | None, float | None]
    auc: Rate

    @property
    def words(self) -> str:
        return _WORDS.get(self.name) or condition_words(self.name)

    @property
    def row(self) -> tuple[Cell, ...]:
        sizes = (
            (float(np.median(self.sizes)), float(np.quantile(self.sizes, 0.95)))
            if len(self.sizes)
            else (None, None)
        )
        called = (cell for one in self.called_fake for cell in one.cells)
        return (
            *(self.name, self.words, "found again" if self.name in SAVED else "kept"),
            *(self.flips.n, self.flips.groups, *self.flips.cells, self.reversals.value),
            *(self.lost.value, *(self.move or (None, None, None)), *sizes, *called),
            *(*self.probabilities, *self.auc.cells, small_cell_words(self.flips.groups)),
        )


def _measure(context: AuditContext, found: Counterfactuals, name: str) -> _Changed:
    """Return what became of the faces under a variant, against the unchanged ones."""
    before, after = (found.probabilities(context, one) for one in (UNCHANGED, name))
    judged, groups = ~np.isnan(after), found.groups
    first, then = (_verdicts(one[judged], context.point) for one in (before, after))
    moves = found.logits[name][judged] - found.logits[UNCHANGED][judged]
    kinds = [judged & kind for kind in (~found.fake, found.fake)]
    caught = after >= context.point.fake_from
    means = [float(after[kind].mean()) if kind.any() else None for kind in kinds]
    return _Changed(
        name=name,
        flips=measure_rate(first != then, groups[judged]),
        reversals=measure_rate(np.abs(first - then) == 2, groups[judged]),
        lost=measure_rate(~judged, groups),
        move=mean_interval(moves, groups[judged]),
        sizes=np.abs(moves),
        called_fake=(
            measure_rate(caught[kinds[0]], groups[kinds[0]]),
            measure_rate(caught[kinds[1]], groups[kinds[1]]),
        ),
        probabilities=(means[0], means[1]),
        auc=measure_auc(found.fake, after, groups),
    )


def _verdicts(probabilities: Floats, point: OperatingPoint) -> NDArray[np.int64]:
    """Return 0 for real, 1 for unsure, 2 for fake, int64 [N]."""
    called = (probabilities >= point.real_below).astype(np.int64)
    return called + (probabilities >= point.fake_from)


def mean_interval(values: Floats, groups: NDArray[np.str_]) -> tuple[float, float, float] | None:
    """Return a mean and its 95 % interval from the variance between groups; None without values.

    Source: K.-Y. Liang and S. Zeger 1986, Biometrika 73:13.

    >>> mean_interval(np.array([1.0, 1.0]), np.array(["a", "b"]))
    (1.0, 1.0, 1.0)
    """
    if not len(values):
        return None
    mean = float(values.mean())
    half = normal_errors() * _mean_error(values, groups)
    return mean, mean - half, mean + half


def _mean_error(values: Floats, groups: NDArray[np.str_]) -> float:
    """Return the standard error of a mean over groups; that of one group is its spread."""
    _, place = np.unique(groups, return_inverse=True)
    sums = np.bincount(place, weights=values - values.mean())
    if len(sums) < 2:
        return float(values.std())
    return math.sqrt(len(sums) / (len(sums) - 1) * float((sums**2).sum())) / len(values)


@dataclass(frozen=True)
class _Effect:
    """A difference of mean logits that the face or its background makes."""

    of: str
    value: float
    interval: Interval
    pairs: int
    groups: int

    @property
    def row(self) -> tuple[Cell, ...]:
        return (self.of, self.value, *self.interval, self.pairs, small_cell_words(self.groups))

    @property
    def words(self) -> str:
        return f"{self.value:+.2f} ({self.interval.low:+.2f} to {self.interval.high:+.2f})"


def _effects(found: Counterfactuals) -> Iterator[_Effect]:
    """Yield the effects of background and face, empty without both classes."""
    real, fake = (found.logits[name] for name in SWAPS)
    both = ~np.isnan(real) & ~np.isnan(fake)
    labels, groups = found.fake[both], found.groups[both]
    if not labels.any() or labels.all():
        return
    background = mean_interval((fake - real)[both], groups)
    if background is not None:
        number = len(np.unique(groups))
        yield _Effect("background", background[0], Interval(*background[1:]), len(labels), number)
    yield _class_difference("face", ((fake + real) / 2)[both], labels, groups)
    yield _class_difference("unchanged", found.logits[UNCHANGED], found.fake, found.groups)


def _class_difference(of: str, logits: Floats, fake: Bools, groups: NDArray[np.str_]) -> _Effect:
    """Return the mean logit of fakes minus that of real faces."""
    value = float(logits[fake].mean() - logits[~fake].mean())
    errors = [_mean_error(logits[kind], groups[kind]) for kind in (fake, ~fake)]
    half = normal_errors() * math.hypot(*errors)
    number = min(len(np.unique(groups[kind])) for kind in (fake, ~fake))
    return _Effect(of, value, Interval(value - half, value + half), len(logits), number)


def _correlation_table(correlations: list[FactCorrelation]) -> AuditTable:
    return AuditTable(
        name="correlations",
        caption=_CORRELATIONS_CAPTION,
        columns=_CORRELATIONS,
        rows=tuple(
            (
                *(one.fact, FACTS[one.fact], one.label, one.pictures, one.groups),
                *one.whole.cells,
                *(one.within.cells if one.within else (None, None, None)),
                small_cell_words(one.groups),
            )
            for one in correlations
        ),
    )


def _probe_tables(probed: ProbedFiles) -> tuple[AuditTable, AuditTable]:
    result, none = probed.result, (None, None, None)
    families = tuple(
        (one.name, one.features, one.auc, one.low, one.high) for one in result.families
    )
    strata = tuple(
        (
            "within all" if one.number is None else f"{one.number + 1} of {STRATA}",
            *(one.real, one.fake, *(one.probe or none), *(one.detector or none)),
            *(one.strongest or (None, None)),
        )
        for one in probed.strata
    )
    every = ("all", sum(one.features for one in result.families), result.auc)
    return (
        AuditTable(
            name="probe",
            caption=_PROBE_CAPTION,
            columns=_PROBE,
            rows=((*every, result.low, result.high), *families),
        ),
        AuditTable(name="strata", caption=_STRATA_CAPTION, columns=_STRATA, rows=strata),
    )


def _cautions(found: Counterfactuals, files: int, probed: ProbedFiles | str) -> Iterator[str]:
    """Yield what was sampled, what a changed picture proves, what is missing, and small cells."""
    yield (
        f"Counterfactuals are of {count_noun(int((~found.fake).sum()), 'real face')} and "
        f"{count_noun(int(found.fake.sum()), 'fake')}, correlations and probe of "
        f"{count_noun(files, 'file')}. A face on grey or with a seam is a picture as "
        "no detector has seen: compare the classes with each other, not a rate with 0."
    )
    for kind, of in (("real", ~found.fake), ("fake", found.fake)):
        if not of.any():
            yield f"No {kind} face was judged: ROC-AUC and swapped backgrounds are not measured."
    if isinstance(probed, str):
        yield f"The shortcut probe was not run: {probed}."
    yield from small_cells_caution(
        (kind, len(np.unique(found.groups[of])))
        for kind, of in (("real faces", ~found.fake), ("fakes", found.fake))
        if of.any()
    )


def _answer(changed: dict[str, _Changed]) -> str:
    """Return what is left when the face is hidden, or nothing else is, in a sentence."""
    hidden, only = changed["face-grey"], changed["background-grey"]
    plain = _worst(changed, LOSSLESS)
    left = (
        f"With the face hidden {hidden.flips.words} of verdicts change"
        if hidden.auc.value is None
        else f"With the face hidden ROC-AUC is {_number(hidden.auc)}, of unchanged pictures "
        f"{_number(changed[UNCHANGED].auc)}, where 0.5 is chance"
    )
    return (
        f"{left}; without the background {only.flips.words} of verdicts change, and in another "
        f"file of the same pixels {plain.flips.words}."
    )


def _worst(changed: dict[str, _Changed], names: Iterable[str]) -> _Changed:
    return max((changed[name] for name in names), key=lambda one: one.flips.value or 0.0)


def _details(
    changed: dict[str, _Changed],
    effects: list[_Effect],
    correlations: list[FactCorrelation],
    probed: ProbedFiles | str,
) -> Iterator[str]:
    """Yield what moves the score: files, backgrounds, and facts of the files."""
    lossy, only = (
        _worst(changed, [name for name in SAVED if name not in LOSSLESS]),
        "background-grey",
    )
    yield f"Saved again, at worst {lossy.flips.words} of verdicts change, when {lossy.words}."
    if changed[only].auc.value is not None:
        yield f"Without the background ROC-AUC is {_number(changed[only].auc)}."
    if effects:
        background, face, _ = effects
        yield (
            f"The background of a fake instead of a real picture moves the logit by "
            f"{background.words}, the face by {face.words}."
        )
    yield from _correlation_words(correlations)
    yield from _probe_words(probed)


def _number(auc: Rate) -> str:
    if auc.value is None or auc.low is None or auc.high is None:
        return "not measured"
    return f"{auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})"


def _correlation_words(correlations: list[FactCorrelation]) -> Iterator[str]:
    """Yield the strongest correlation within sources, if there is one."""
    known = [(one, one.within) for one in correlations if one.within is not None]
    if not known:
        return
    most, within = max(known, key=lambda pair: abs(pair[1].value))
    low, high = within.interval
    yield (
        f"Within a class and its sources, the score follows {FACTS[most.fact]} most: rank "
        f"correlation {within.value:+.2f} ({low:+.2f} to {high:+.2f}) in {most.label} pictures."
    )


def _probe_words(probed: ProbedFiles | str) -> Iterator[str]:
    """Yield how well files predict the labels, and the detector's AUC where they do not."""
    if isinstance(probed, str):
        return
    result, alike = probed.result, probed.strata[-1]
    yield (
        f"The files alone predict the labels with ROC-AUC {result.auc:.3f} ({result.low:.3f} to "
        f"{result.high:.3f})."
    )
    if alike.detector is not None and alike.strongest is not None:
        value, low, high = alike.detector
        yield (
            f"Among pictures whose files look alike, ROC-AUC of the detector is {value:.3f} "
            f"({low:.3f} to {high:.3f}), and of the strongest fact {alike.strongest[1]:.3f}."
        )


def _plots(changed: list[_Changed], correlations: list[FactCorrelation]) -> Iterator[AuditPlot]:
    yield AuditPlot(
        name="called-fake",
        kind="bar",
        title="Faces called fake when one thing is changed",
        x="change",
        y="share called fake",
        series=tuple(
            _rate_series(name, changed, at) for at, name in enumerate(("real faces", "fakes"))
        ),
    )
    shown = [(one, one.within) for one in correlations if one.within is not None]
    if shown:
        yield AuditPlot(
            name="correlations",
            kind="bar",
            title="How the score follows the file, within a class and its sources",
            x="fact of the file",
            y="rank correlation with the logit",
            series=tuple(
                Series(
                    name=label,
                    x=tuple(one.fact for one, _ in own),
                    y=tuple(within.value for _, within in own),
                    low=tuple(within.interval.low for _, within in own),
                    high=tuple(within.interval.high for _, within in own),
                )
                for label in ("real", "fake")
                if (own := [pair for pair in shown if pair[0].label == label])
            ),
        )


def _rate_series(name: str, changed: list[_Changed], at: int) -> Series:
    rates = [one.called_fake[at] for one in changed]
    return Series(
        name=name,
        x=tuple(one.name for one in changed),
        y=tuple(one.value for one in rates),
        low=tuple(one.low for one in rates),
        high=tuple(one.high for one in rates),
    )


SHORTCUTS = Audit(
    "Does the score follow the face, or the file, its quality and the background?",
    ("clean",),
    run,
)
