"""Gradient boosting that never scores a picture whose group it was fitted on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from faceproof.data.shortcuts.intervals import Flags, Floats, Integers, roc_auc

_REPEATS = 3
#: Classes this near to half of the pictures each need no weights.
_EVEN_WITHIN = 0.02


def classifier(pictures: int, *, seed: int, weighted: bool = True) -> Any:
    """Return the unfitted classifier for a training part of so many pictures.

    Small trees, both classes of the same weight, the same number of rounds whatever the data: it
    asks whether there is something to be learned, not how well it can be learned at best.
    Without ``weighted`` each picture counts the same, which is a good deal faster.
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
        model = classifier(int(kept.sum()), seed=seed, weighted=weighted)
        models.append(model.fit(_without_empty(table[kept]), fake[kept]))
    return models


def _without_empty(table: Floats) -> Floats:
    """Return the table with zeros in columns of NaN alone, in which no bins can be found."""
    return np.where(np.isnan(table).all(axis=0), 0.0, table)


def held_out_scores(models: list[Any], table: Floats, fold: Integers) -> Floats:
    """Return the score of each picture by the classifier that did not see its fold, float64 [N]."""
    scores = np.empty(len(table))
    for number, model in enumerate(models):
        held_out = fold == number
        scores[held_out] = model.predict_proba(table[held_out])[:, 1]
    return scores


def out_of_fold(table: Floats, fake: Flags, fold: Integers, *, seed: int) -> Floats:
    """Return a score of each picture in [0, 1], fitted on the other folds, float64 [N]."""
    return held_out_scores(fit(table, fake, fold, seed=seed), table, fold)


def importance(
    models: list[Any], table: Floats, fake: Flags, fold: Integers, *, column: int, seed: int
) -> float:
    """Return how much AUC is lost where a column is shuffled within each held-out fold.

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
def one_thread() -> Iterator[None]:
    """Keep scikit-learn's OpenMP to one thread: as fast on so few rows, and polite to others."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1):
        yield
