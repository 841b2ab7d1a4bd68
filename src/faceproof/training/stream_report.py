"""The shortcut report of a training stream: what predicts the label besides the face.

It is made before the first step, from the samples as the network would see them, with the shares
of training. A stream whose face width, quality setting or file size predicts the label is refused:
the network would learn that instead of the forgery.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import numpy.typing as npt

from faceproof.data.shortcuts.intervals import auc_interval
from faceproof.data.shortcuts.probe import (
    fold_of,
    limit_to_one_thread,
    number_groups,
    out_of_fold_scores,
)
from faceproof.errors import DataError, TrainingError
from faceproof.records import Record
from faceproof.training.stream import StreamFacts, TrainingStream

SAMPLES = 3000
#: The highest out-of-fold ROC-AUC of a feature that a stream may have.
_MOST_AUC = 0.55

_REFUSED = ("width", "quality", "bytes_per_pixel")
_NAMES = {
    "width": "drawn face width",
    "quality": "quality of the last save",
    "bytes_per_pixel": "bytes of the last save, for each pixel",
    "sharpness": "sharpness of the crop",
    "sharpness_own_width": "sharpness of the crop, sources with widths of their own",
}


class _StreamFeature(Record):
    """How well one feature predicts the label: out-of-fold ROC-AUC with its 95 % interval."""

    name: str
    auc: float
    low: float
    high: float
    n: int


class StreamReport(Record):
    """The features of a stream, and the AUC above which it is refused."""

    features: tuple[_StreamFeature, ...]
    most_auc: float = _MOST_AUC

    @property
    def refused(self) -> tuple[_StreamFeature, ...]:
        """The features that predict the label better than a stream may."""
        return tuple(
            one for one in self.features if one.name in _REFUSED and one.auc > self.most_auc
        )

    def lines(self) -> Iterator[str]:
        """Yield one line for each feature."""
        for one in self.features:
            mark = " (refused)" if one in self.refused else ""
            yield (
                f"{_NAMES[one.name]}: AUC {one.auc:.3f} [{one.low:.3f}, {one.high:.3f}], "
                f"n {one.n:,}{mark}"
            )


def report_stream(
    stream: TrainingStream,
    *,
    own_width: Collection[str] = (),
    samples: int = SAMPLES,
    seed: int = 0,
) -> StreamReport:
    """Return how well each feature of the first ``samples`` samples predicts the label.

    ``own_width`` names the sources whose sharpness is reported by itself as well.

    Raises:
        DataError: there are too few samples or groups to tell.
    """
    facts = [stream.facts_of(number) for number in range(samples)]
    found = [
        _feature(name, [getattr(one, name) for one in facts], facts, seed)
        for name in (*_REFUSED, "sharpness")
    ]
    matched = [one for one in facts if one.source in own_width]
    if matched:
        values = [one.sharpness for one in matched]
        found.append(_feature("sharpness_own_width", values, matched, seed))
    return StreamReport(features=tuple(found))


def refuse_shortcuts(report: StreamReport) -> None:
    """Refuse a stream in which a feature other than the face predicts the label.

    Raises:
        TrainingError: naming the feature, its AUC, the limit and the way on.
    """
    for one in report.refused:
        raise TrainingError(
            f"the {_NAMES[one.name]} predicts the label of the training stream: AUC {one.auc:.3f}, "
            f"limit {report.most_auc:g}. Match it between the classes (resolution.own_width, "
            "augment.save, data.shares), or set data.allow_shortcuts = true to train all the same"
        )


def _feature(name: str, values: list[float], facts: list[StreamFacts], seed: int) -> _StreamFeature:
    fake = np.array([one.is_fake for one in facts], np.bool_)
    groups = number_groups([one.group or str(number) for number, one in enumerate(facts)])
    table: npt.NDArray[np.float64] = np.asarray(values, np.float64)[:, None]
    try:
        fold = fold_of(fake, groups, seed=seed)
    except DataError as error:
        raise DataError(f"the stream's shortcut report on {_NAMES[name]}: {error}") from error
    with limit_to_one_thread():
        scores = out_of_fold_scores(table, fake, fold, seed=seed)
    auc = auc_interval(fake, scores, groups, mutual=1.0)
    return _StreamFeature(name=name, auc=auc.auc, low=auc.low, high=auc.high, n=len(facts))
