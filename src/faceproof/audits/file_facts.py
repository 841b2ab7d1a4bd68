"""What the file and the frame of a picture say about its score and its label.

Rank correlations are within a class: over classes, whatever predicts the label also follows the
score of a good detector. Within a class, sources differ in their files and in their scores, so
each is given over the class, and within its sources and generators as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceproof.audits.context import AuditContext, draw_rows
from faceproof.data.shortcuts.features import FAMILIES, FEATURES
from faceproof.data.shortcuts.intervals import stratified_auc, student_t_factor
from faceproof.data.shortcuts.pictures import ProbeItem, measure_pictures
from faceproof.data.shortcuts.probe import (
    fold_of,
    limit_to_one_thread,
    number_groups,
    out_of_fold_scores,
    probe,
)
from faceproof.data.shortcuts.result import ProbeResult
from faceproof.errors import DataError
from faceproof.evaluation.formulas import Bools, Floats
from faceproof.evaluation.predictions import labelled_rows
from faceproof.statistics import Interval

EACH = 1000
"""Pictures of each class whose files are measured."""

STRATA = 10
_FEWEST = 20
"""Pictures of a class, and distinct groups, below which a correlation is not given."""

_WORDS = {name: text for names in FAMILIES.values() for name, text in names.items()}
FACTS = {
    name: _WORDS[name].removesuffix("?")
    for name in (
        *("bytes", "bytes_per_pixel", "width", "height", "is_jpeg", "is_png", "is_webp"),
        *("quality", "metadata_bytes", "laplacian", "high_frequency", "noise", "blockiness"),
        *("black_border", "white_border", "constant_corners", "luma", "saturation"),
    )
} | {"face_px": "width of the face in px"}
"""What is correlated with the score, and its words."""


@dataclass(frozen=True)
class FileFacts:
    """The measured files of judged pictures, all of length N."""

    fake: Bools
    groups: NDArray[np.str_]
    parts: NDArray[np.str_]
    """The source and generator of each picture."""
    logits: Floats
    table: Floats
    """float64 [N, F]: `FEATURES` of the files, NaN where one does not apply."""
    face_px: Floats

    def __len__(self) -> int:
        return len(self.fake)

    def column(self, name: str) -> Floats:
        """Return a fact of each file, float64 [N] with NaN."""
        return self.face_px if name == "face_px" else self.table[:, FEATURES.index(name)]


def measure_files(context: AuditContext) -> FileFacts:
    """Return the facts of at most `EACH` files of each class of the clean sample.

    Pictures with several labelled faces are left out, as a file has one label only.
    """
    columns = ("path", "label", "group", "source", "generator", "logit", "box_width")
    table = labelled_rows(context.predictions("clean")).select(columns).to_pylist()
    labelled = Counter(row["path"] for row in table)
    judged = {row["path"]: row for row in table if row["logit"] is not None}
    known = [
        row for row in context.sample("clean") if row.path in judged and labelled[row.path] == 1
    ]
    most = context.settings.most
    rows = draw_rows(
        known,
        None if most is None else EACH,
        cell=lambda row: (row.label,),
        seed=context.settings.seed,
    )
    items = [
        ProbeItem(context.selection.root / row.path, row.is_fake, row.group or row.path)
        for row in rows
    ]
    measured = measure_pictures(items, workers=1)
    place = {id(item): row for item, row in zip(items, rows, strict=True)}
    kept = [place[id(item)] for item in measured.items]
    found = [judged[row.path] for row in kept]
    return FileFacts(
        fake=np.array([row.is_fake for row in kept], dtype=bool),
        groups=np.array([row.group or row.path for row in kept], np.str_),
        parts=np.array([f"{row.source}\x1f{row.generator}" for row in kept], np.str_),
        logits=np.array([one["logit"] for one in found], np.float64),
        table=measured.table,
        face_px=np.array([one["box_width"] for one in found], np.float64),
    )


@dataclass(frozen=True)
class Correlation:
    """A rank correlation with its 95 % interval by group."""

    value: float
    interval: Interval

    @property
    def cells(self) -> tuple[float, float, float]:
        """The correlation and its interval, as three cells of a table."""
        return self.value, *self.interval


@dataclass(frozen=True)
class FactCorrelation:
    """How a fact of the files follows the score within a class."""

    fact: str
    label: str
    pictures: int
    groups: int
    whole: Correlation
    within: Correlation | None
    """Within each source and generator of the class; None where it does not vary there."""


def correlate(facts: FileFacts) -> Iterator[FactCorrelation]:
    """Yield the correlation of each fact that varies with the logit, in each class."""
    for name in FACTS:
        values = facts.column(name)
        for label, of in (("real", ~facts.fake), ("fake", facts.fake)):
            here = of & ~np.isnan(values)
            groups = facts.groups[here]
            if here.sum() < _FEWEST or len(np.unique(groups)) < _FEWEST:
                continue
            pair = (values[here], facts.logits[here], groups)
            whole = rank_correlation(*pair, np.zeros(len(groups), np.int64))
            if whole is not None:
                within = rank_correlation(*pair, number_groups(facts.parts[here]))
                number = len(np.unique(groups))
                yield FactCorrelation(name, label, len(groups), number, whole, within)


def rank_correlation(
    values: Floats, scores: Floats, groups: NDArray[np.str_], strata: NDArray[np.int64]
) -> Correlation | None:
    """Return Spearman's correlation within strata; None where one of the two does not vary.

    Ranks are taken and centred in each stratum, and correlated over all of them. The interval is
    on Fisher's scale, with the variance between groups of the correlation's influence.

    Source: K.-Y. Liang and S. Zeger 1986, Biometrika 73:13 (variance between clusters).

    >>> names = np.array(["a", "b", "c", "d"])
    >>> rank_correlation(np.arange(4.0), np.arange(4.0) ** 3, names, np.zeros(4, int)).value
    1.0
    """
    x, y = _centred_ranks(values, strata), _centred_ranks(scores, strata)
    spread = np.array([np.sqrt((x**2).mean()), np.sqrt((y**2).mean())])
    if (spread < 1e-12).any():
        return None
    x, y = x / spread[0], y / spread[1]
    value = float(np.clip((x * y).mean(), -1, 1))
    influence = x * y - value * (x**2 + y**2) / 2
    sums = np.bincount(number_groups(groups), weights=influence)
    error = np.sqrt(len(sums) / max(len(sums) - 1, 1) * (sums**2).sum()) / len(x)
    held = min(abs(value), 1 - 1e-9)
    half = student_t_factor(max(len(sums) - 2, 1)) * error / (1 - held**2)
    middle = np.arctanh(np.copysign(held, value))
    low, high = np.tanh([middle - half, middle + half])
    return Correlation(value, Interval(min(float(low), value), max(float(high), value)))


def _centred_ranks(values: Floats, strata: NDArray[np.int64]) -> Floats:
    """Return mid-ranks in each stratum, in units of its size and with mean 0."""
    ranks = np.zeros(len(values))
    for one in np.unique(strata):
        here = strata == one
        _, place, repeats = np.unique(values[here], return_inverse=True, return_counts=True)
        middle = np.cumsum(repeats) - (repeats - 1) / 2
        ranks[here] = (middle[place] - (here.sum() + 1) / 2) / here.sum()
    return ranks


@dataclass(frozen=True)
class Stratum:
    """Pictures whose files look about as fake; or, without a number, all pairs within strata."""

    number: int | None
    real: int
    fake: int
    probe: tuple[float, float, float] | None
    detector: tuple[float, float, float] | None
    """ROC-AUC and its interval over pairs of this stratum; None without both classes."""
    strongest: tuple[str, float] | None = None
    """Within all strata: the fact of the files that separates the classes most, and its AUC."""


@dataclass(frozen=True)
class ProbedFiles:
    """How well the files predict the labels, and what the detector adds."""

    result: ProbeResult
    strata: tuple[Stratum, ...]
    """The strata by rising score of the probe, then all pairs within strata."""


def probe_files(facts: FileFacts, *, seed: int) -> ProbedFiles | str:
    """Return what the shortcut probe finds in these files, or why it cannot be run.

    The strata are tenths of the pictures by the score of the probe that was not trained on them.
    """
    groups = number_groups(facts.groups)
    try:
        result = probe(facts.table, FEATURES, facts.fake, groups, most=len(facts), seed=seed)
        fold = fold_of(facts.fake, groups, seed=seed)
    except (DataError, ValueError) as error:
        return str(error)
    with limit_to_one_thread():
        scores = out_of_fold_scores(facts.table, facts.fake, fold, seed=seed)
    order = np.argsort(scores, kind="stable")
    number = np.empty(len(facts), np.int64)
    number[order] = np.arange(len(facts)) * STRATA // len(facts)
    return ProbedFiles(result, tuple(_measure_strata(facts, groups, scores, number)))


def _measure_strata(
    facts: FileFacts, groups: NDArray[np.int64], scores: Floats, number: NDArray[np.int64]
) -> Iterator[Stratum]:
    wholes: Sequence[tuple[int | None, Bools]] = [
        *((one, number == one) for one in range(STRATA)),
        (None, np.ones(len(facts), dtype=bool)),
    ]
    for one, here in wholes:
        fake, strata = facts.fake[here], number[here]
        own = number_groups(groups[here])
        yield Stratum(
            one,
            real=int((~fake).sum()),
            fake=int(fake.sum()),
            probe=stratified_auc(fake, scores[here], own, strata),
            detector=stratified_auc(fake, facts.logits[here], own, strata),
            strongest=_strongest_fact(facts, groups, number) if one is None else None,
        )


def _strongest_fact(
    facts: FileFacts, groups: NDArray[np.int64], strata: NDArray[np.int64]
) -> tuple[str, float] | None:
    """Return the feature that separates the classes most within strata, and its ROC-AUC.

    It is the yardstick of the detector there: strata of a probe that is not perfect leave a part
    of what the files say. A feature that does not apply counts as lower than any value.
    """
    found = []
    for name, values in zip(FEATURES, facts.table.T, strict=True):
        known = np.where(np.isnan(values), -np.inf, values)
        if (auc := stratified_auc(facts.fake, known, groups, strata)) is not None:
            found.append((max(auc.auc, 1 - auc.auc), name))
    return (max(found)[1], max(found)[0]) if found else None
