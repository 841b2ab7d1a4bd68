"""The shortcut probe: how well features other than the face predict the label, and which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from faceproof.data.shortcuts.features import FAMILIES, FLOOR
from faceproof.data.shortcuts.intervals import Flags, Floats, Integers, auc_interval
from faceproof.data.shortcuts.result import GUILTY_FROM, FamilyResult, GuiltyFeature, ProbeResult
from faceproof.errors import DataError
from faceproof.statistics import roc_auc

FOLDS = 5
_FEWEST_PICTURES = 20
FEWEST_GROUPS = 2


def number_groups(groups: Sequence[str] | npt.NDArray[np.generic]) -> Integers:
    """Return the groups as numbers from 0 without gaps, int64 [N].

    >>> number_groups(["b", "a", "b"])
    array([1, 0, 1])
    """
    return np.asarray(np.unique(np.asarray(groups), return_inverse=True)[1], np.int64)


def sample(fake: Flags, *, most: int, seed: int) -> Integers:
    """Return the indices of at most ``most`` pictures, half of each class, in their order.

    They are drawn at random, so that the shares of sources and groups are those of all pictures.

    >>> sample(np.array([True] * 5 + [False]), most=4, seed=0).size
    3
    """
    order = np.random.default_rng(seed).permutation(len(fake))
    taken = [order[fake[order] == kind][: most // 2] for kind in (False, True)]
    return np.sort(np.concatenate(taken))


def fold_of(fake: Flags, groups: Integers, *, seed: int) -> Integers:
    """Return the number of the fold in which each picture is held out, int64 [N].

    No group is divided, and the classes are distributed evenly over the folds. There are five
    folds, or as many as the class with fewer groups has groups.

    Raises:
        DataError: too few pictures or groups of a class.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    fewest = min(_count_groups(fake, groups, kind) for kind in (False, True))
    for count in range(min(FOLDS, fewest), 1, -1):
        divide = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        fold = np.zeros(len(fake), np.int64)
        for number, (_, held_out) in enumerate(divide.split(fake[:, None], fake, groups)):
            fold[held_out] = number
        if all(np.unique(fake[fold != number]).size == 2 for number in range(count)):
            return fold
    raise DataError(
        "the groups cannot be divided with both classes in every fold: too few to tell;"
        " add pictures of other people, videos or originals"
    )


def _count_groups(fake: Flags, groups: Integers, kind: bool) -> int:  # noqa: FBT001
    """Return how many groups a class has.

    Raises:
        DataError: too few groups or too few pictures.
    """
    pictures, count = int((fake == kind).sum()), np.unique(groups[fake == kind]).size
    name = "fake" if kind else "real"
    if pictures < _FEWEST_PICTURES or count < FEWEST_GROUPS:
        raise DataError(
            f"{pictures} {name} pictures in {count} groups are too few to tell:"
            f" the shortcut probe needs {_FEWEST_PICTURES} of each class in {FEWEST_GROUPS} groups"
        )
    return count


_REPEATS = 3
#: Classes with shares of the pictures this near to one half need no weights.
_EVEN_WITHIN = 0.02


def _make_classifier(pictures: int, *, seed: int, weighted: bool = True) -> Any:
    """Return the unfitted classifier for a training part of this many pictures.

    It has small trees, equal class weights and a fixed number of rounds: it tests whether there is
    a signal, and does not maximise accuracy. Without ``weighted`` all pictures count the same,
    which is much faster.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=50,
        max_bins=63,
        max_leaf_nodes=8,
        min_samples_leaf=min(max(pictures // 40, 2), 20),
        class_weight="balanced" if weighted else None,
        early_stopping=False,
        random_state=seed,
    )


def fit(table: Floats, fake: Flags, fold: Integers, *, seed: int) -> list[Any]:
    """Return for each fold a classifier fitted on all the others; ``table`` is float64 [N, F]."""
    models = []
    weighted = abs(float(fake.mean()) - 0.5) > _EVEN_WITHIN
    for number in range(int(fold.max()) + 1):
        kept = fold != number
        model = _make_classifier(int(kept.sum()), seed=seed, weighted=weighted)
        models.append(model.fit(_fill_empty_columns(table[kept]), fake[kept]))
    return models


def _fill_empty_columns(table: Floats) -> Floats:
    """Return the table with zeros in columns of only NaN, which cannot be binned."""
    return np.where(np.isnan(table).all(axis=0), 0.0, table)


def held_out_scores(models: list[Any], table: Floats, fold: Integers) -> Floats:
    """Return the score of each picture by the classifier not trained on its fold, float64 [N]."""
    scores = np.empty(len(table))
    for number, model in enumerate(models):
        held_out = fold == number
        scores[held_out] = model.predict_proba(table[held_out])[:, 1]
    return scores


def out_of_fold_scores(table: Floats, fake: Flags, fold: Integers, *, seed: int) -> Floats:
    """Return a score of each picture in [0, 1], fitted on the other folds, float64 [N]."""
    return held_out_scores(fit(table, fake, fold, seed=seed), table, fold)


def importance(
    models: list[Any], table: Floats, fake: Flags, fold: Integers, *, column: int, seed: int
) -> float:
    """Return the loss of AUC when a column is shuffled within each held-out fold.

    Source: Breiman 2001, Machine Learning 45:5, section 10.
    """
    rng = np.random.default_rng(seed)
    lost = []
    for _ in range(_REPEATS):
        shuffled = table.copy()
        for number in range(len(models)):
            places = np.flatnonzero(fold == number)
            shuffled[places, column] = table[rng.permutation(places), column]
        lost.append(roc_auc(fake, held_out_scores(models, shuffled, fold)))
    whole = roc_auc(fake, held_out_scores(models, table, fold))
    return whole - float(np.mean(lost))


@contextmanager
def limit_to_one_thread() -> Iterator[None]:
    """Limit scikit-learn's OpenMP to one thread: as fast on few rows, and leaves cores free."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1):
        yield


_WORDS = {name: text for names in (*FAMILIES.values(), FLOOR) for name, text in names.items()}
_BYTES = " in bytes"
# Below this difference the share of pictures with a value does not separate the classes.
_SHARE = 0.05


def describe(name: str, fakes: Floats, reals: Floats) -> str:
    """Return the difference of a feature between classes: shares, medians, or middle halves.

    >>> describe("bytes", np.array([11e3, 12e3, 13e3]), np.array([20e3, 21e3, 22e3]))
    'file size is lower in fakes: median 12 kB against 21 kB'
    >>> describe("square", np.array([1.0, 1.0]), np.array([0.0, 1.0]))
    'square: 100 % of the fakes, 50 % of the reals'
    """
    words = _WORDS.get(name, name)
    has = [float(np.isfinite(values).mean()) for values in (fakes, reals)]
    if abs(has[0] - has[1]) > _SHARE:
        return f"{words.rstrip('?')} is known: {_format_shares(has)}"
    of_fakes, of_reals = (values[np.isfinite(values)] for values in (fakes, reals))
    if words.endswith("?"):
        return f"{words[:-1]}: {_format_shares([float(of_fakes.mean()), float(of_reals.mean())])}"
    return _compare_medians(words, of_fakes, of_reals)


def _format_shares(shares: list[float]) -> str:
    return f"{shares[0]:.0%} of the fakes, {shares[1]:.0%} of the reals".replace("%", " %")


def _compare_medians(words: str, fakes: Floats, reals: Floats) -> str:
    """Return which class has the lower median, if each is outside the other's middle fifth.

    Otherwise the shares of the value that differs most, or the middle halves of both classes.
    """
    name, unit = words.removesuffix(_BYTES), "bytes" if words.endswith(_BYTES) else ""
    middle = [float(np.median(values)) for values in (fakes, reals)]
    if _lies_apart(middle[0], reals) and _lies_apart(middle[1], fakes):
        side = "lower" if middle[0] < middle[1] else "higher"
        texts = [_format_number(value, unit) for value in middle]
        return f"{name} is {side} in fakes: median {texts[0]} against {texts[1]}"
    if telling := _most_different_value(fakes, reals):
        return f"{name} is {_format_number(telling[0], unit)}: {_format_shares(telling[1:])}"
    halves = [_format_half(values, unit) for values in (fakes, reals)]
    return f"{name} is spread differently: middle half {halves[0]} in fakes, {halves[1]} in reals"


def _most_different_value(fakes: Floats, reals: Floats) -> list[float]:
    """Return the value whose share differs most and its shares, empty if none differs enough."""
    values, place = np.unique(np.concatenate([fakes, reals]), return_inverse=True)
    split = np.split(place, [len(fakes)])
    shares = np.array([np.bincount(part, minlength=len(values)) / len(part) for part in split])
    most = int(np.argmax(np.abs(shares[0] - shares[1])))
    if abs(shares[0, most] - shares[1, most]) <= _SHARE:
        return []
    return [float(values[most]), float(shares[0, most]), float(shares[1, most])]


def _lies_apart(value: float, others: Floats) -> bool:
    low, high = np.quantile(others, [0.4, 0.6])
    return not low <= value <= high


def _format_half(values: Floats, unit: str) -> str:
    low, high = np.quantile(values, [0.25, 0.75])
    return f"{_format_number(float(low), unit)} to {_format_number(float(high), unit)}"


def _format_number(value: float, unit: str) -> str:
    """Return a number with three digits, bytes in kB and MB."""
    if unit:
        for size, name in ((1e6, "MB"), (1e3, "kB")):
            if abs(value) >= size:
                return f"{float(f'{value / size:.3g}'):g} {name}"
        return f"{value:.0f} bytes"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


#: More pictures than this hardly narrow the interval and slow the probe.
MOST = 4000


@dataclass(frozen=True, eq=False)
class _ProbeSet:
    """Input of the probe: classes, groups and folds of the pictures, all of length N."""

    fake: Flags
    groups: Integers
    fold: Integers
    seed: int

    def score(self, scores: Floats) -> dict[str, float]:
        """Return AUC and interval of scores as the fields of a record."""
        return auc_interval(self.fake, scores, self.groups, mutual=1.0)._asdict()

    def score_alone(self, table: Floats) -> dict[str, float]:
        """Return AUC and interval of a prediction from only these columns."""
        return self.score(out_of_fold_scores(table, self.fake, self.fold, seed=self.seed))


def probe(
    table: Floats,
    names: Sequence[str],
    is_fake: Sequence[bool] | Flags,
    groups: Sequence[str] | npt.NDArray[np.generic],
    *,
    floor: Floats | None = None,
    most: int = MOST,
    seed: int = 0,
) -> ProbeResult:
    """Return how well a table of features, float64 [N, F] with NaN, predicts the label.

    ``names`` are those of its columns, from `FAMILIES`; ``floor`` is float64 [N, 5], in the order
    of `FLOOR`. At most ``most`` pictures are used.

    Raises:
        DataError: too few pictures or groups of a class for a result.
    """
    fake, numbers = np.asarray(is_fake, np.bool_), number_groups(groups)
    taken = sample(fake, most=most, seed=seed)
    fake, numbers = fake[taken], number_groups(numbers[taken])
    data = _ProbeSet(fake, numbers, fold_of(fake, numbers, seed=seed), seed)
    with limit_to_one_thread():
        return _run_probe(
            data, _varying_columns(table[taken], names), None if floor is None else floor[taken]
        )


def _run_probe(data: _ProbeSet, columns: dict[str, Floats], floor: Floats | None) -> ProbeResult:
    table = np.column_stack([*columns.values()] or [np.zeros(len(data.fake))])
    models = fit(table, data.fake, data.fold, seed=data.seed)
    families = sorted(_score_families(data, columns), key=lambda family: -family.auc)
    guilty = [
        found for family in families for found in _guilty_features(data, columns, family, models)
    ]
    return ProbeResult(
        **data.score(held_out_scores(models, table, data.fold)),
        n_real=int((~data.fake).sum()),
        n_fake=int(data.fake.sum()),
        groups=int(data.groups.max()) + 1,
        folds=int(data.fold.max()) + 1,
        seed=data.seed,
        families=tuple(families),
        guilty=tuple(sorted(guilty, key=lambda found: -found.auc)),
        floor=None if floor is None else _score_family(data, "floor", floor),
    )


def _varying_columns(table: Floats, names: Sequence[str]) -> dict[str, Floats]:
    """Return the columns that are not constant over all pictures, by name."""
    filled = np.nan_to_num(table, nan=np.inf)
    varies = (filled != filled[:1]).any(axis=0)
    return {name: table[:, i] for i, name in enumerate(names) if varies[i]}


def _score_families(data: _ProbeSet, columns: dict[str, Floats]) -> Iterator[FamilyResult]:
    """Yield the prediction of each family on its own; constant families are skipped."""
    for name, features in FAMILIES.items():
        own = [columns[feature] for feature in features if feature in columns]
        if own:
            yield _score_family(data, name, np.column_stack(own))


def _score_family(data: _ProbeSet, name: str, table: Floats) -> FamilyResult:
    return FamilyResult(name=name, features=table.shape[1], **data.score_alone(table))


def _guilty_features(
    data: _ProbeSet, columns: dict[str, Floats], family: FamilyResult, models: list[Any]
) -> Iterator[GuiltyFeature]:
    """Yield the features of a guilty family that predict on their own, or else the family."""
    if family.low <= GUILTY_FROM:
        return
    alone = {
        name: data.score_alone(columns[name][:, None])
        for name in FAMILIES[family.name]
        if name in columns
    }
    found = {name: auc for name, auc in alone.items() if auc["low"] > GUILTY_FROM}
    if not found:
        yield _family_entry(family)
    table = np.column_stack([*columns.values()])
    for name, auc in found.items():
        place = list(columns).index(name)
        lost = importance(models, table, data.fake, data.fold, column=place, seed=data.seed)
        fakes, reals = (columns[name][kind] for kind in (data.fake, ~data.fake))
        says = describe(name, fakes, reals)
        yield GuiltyFeature(feature=name, family=family.name, importance=lost, says=says, **auc)


def _family_entry(family: FamilyResult) -> GuiltyFeature:
    """Return the entry of a family whose features predict only together."""
    return GuiltyFeature(
        **family.model_dump(include={"auc", "low", "high"}),
        feature="",
        family=family.name,
        importance=0.0,
        says=f"the {family.features} features of {family.name} predict only together",
    )
