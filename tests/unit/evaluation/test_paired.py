"""Two detectors on the same faces: rows are matched, changes are right, intervals cover."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from faceproof.errors import DataError
from faceproof.evaluation.formulas import Thresholds
from faceproof.evaluation.metrics import measure
from faceproof.evaluation.paired import (
    Change,
    PairThresholds,
    find_changes,
    pair_predictions,
    rate_change,
)
from faceproof.evaluation.predictions import Origin, Prediction, make_table

POINTS = PairThresholds(Thresholds(0.4, 0.6), Thresholds(0.2, 0.5))
KINDS = (("none", "home"), ("none", "street"), ("gan", "made"), ("diffusion", "made"))


def answers(scores, *, detector="a", data="d", conditions=("clean",), lost=(), group=None):
    """Return a predictions table: face i is of kind i mod 4; all conditions score alike."""
    origin = Origin(detector_sha256=detector * 64, data_sha256=data * 64, purpose="choose")
    rows = []
    for condition in conditions:
        for i, score in enumerate(scores):
            generator, source = KINDS[i % 4]
            status = "no_face" if i in lost else "ok"
            rows.append(
                Prediction(
                    path=f"{i}.png",
                    source=source,
                    generator=generator,
                    label="real" if generator == "none" else "fake",
                    split="validation",
                    group=f"g{i if group is None else group[i]}",
                    condition=condition,
                    logit=None if i in lost else float(score),
                    fake_probability=None if i in lost else float(score),
                    status=status,
                )
            )
    return make_table(rows, origin)


def one(found, metric, slice_="all", condition="clean") -> Change:
    (match,) = [c for c in found if (c.metric, c.slice, c.condition) == (metric, slice_, condition)]
    return match


@pytest.fixture
def scores():
    rng = np.random.default_rng(1)
    fake = np.arange(160) % 4 >= 2
    old = rng.beta(2, 4, 160) + 0.35 * fake
    return old.clip(0, 1), (old + rng.normal(0.05, 0.1, 160)).clip(0, 1)


def test_every_figure_is_that_of_its_detector_at_its_own_thresholds(scores):
    old, new = scores
    found = find_changes(
        pair_predictions(answers(old), answers(new, detector="b")), POINTS, number=100
    )
    fake, real = np.arange(160) % 4 >= 2, np.arange(160) % 4 < 2
    for metric in ("recall", "bpcer", "roc_auc"):
        change = one(found, metric)
        assert change.old == measure(fake, old, POINTS.old, names=[metric])[metric]
        assert change.new == measure(fake, new, POINTS.new, names=[metric])[metric]
    gan = np.arange(160) % 4 == 2
    change = one(found, "roc_auc", "generator=gan")
    assert (change.n, change.groups) == (120, 120)
    assert change.new == measure(fake[gan | real], new[gan | real], names=["roc_auc"])["roc_auc"]
    assert one(found, "recall", "generator=gan").new == (new[gan] >= 0.5).mean()
    assert one(found, "bpcer", "source=street").old == (old[1::4] >= 0.6).mean()
    for change in found:
        assert change.change == pytest.approx(change.new - change.old)
        assert change.low <= change.change <= change.high


def test_what_is_compared():
    found = find_changes(
        pair_predictions(answers(np.full(8, 0.5)), answers(np.full(8, 0.5))), POINTS, number=50
    )
    assert [(change.slice, change.metric, change.n) for change in found] == [
        ("all", "roc_auc", 8),
        ("all", "recall", 4),
        ("all", "bpcer", 4),
        ("source=home", "bpcer", 2),
        ("source=street", "bpcer", 2),
        ("generator=diffusion", "recall", 2),
        ("generator=diffusion", "roc_auc", 6),
        ("generator=gan", "recall", 2),
        ("generator=gan", "roc_auc", 6),
    ]


def test_each_condition_is_compared_with_itself(scores):
    old, new = scores
    degraded = {"conditions": ("clean", "jpeg-60")}
    found = find_changes(
        pair_predictions(answers(old, **degraded), answers(new, **degraded)), POINTS, number=50
    )
    assert one(found, "recall").new == one(found, "recall", condition="jpeg-60").new
    assert {change.n for change in found if change.slice == "all"} == {160, 80}


def test_rows_are_matched_by_picture_and_not_by_place(scores):
    old, new = scores
    shuffled = answers(new).take(np.random.default_rng(0).permutation(160))
    first = find_changes(pair_predictions(answers(old), answers(new)), POINTS, number=50)
    assert find_changes(pair_predictions(answers(old), shuffled), POINTS, number=50) == first


def test_faces_that_one_did_not_judge_are_counted_and_left_out(scores):
    old, new = scores
    pair = pair_predictions(answers(old, lost=(0, 1)), answers(new, lost=(1, 2)))
    assert pair.not_judged == 3
    assert len(pair.old) == len(pair.new) == 157
    assert np.isfinite(pair.old.probabilities).all()
    assert np.isfinite(pair.new.probabilities).all()


def test_without_one_class_the_rest_is_compared():
    fakes = answers(np.linspace(0, 1, 16)).take([2, 3, 6, 7])
    assert {c.metric for c in find_changes(pair_predictions(fakes, fakes), POINTS, number=50)} == {
        "recall"
    }


def test_other_data_is_refused(scores):
    with pytest.raises(DataError, match="have different data"):
        pair_predictions(answers(scores[0]), answers(scores[1], data="e"))


def test_other_pictures_are_refused(scores):
    with pytest.raises(DataError, match=r"differ in 4 pictures or conditions, such as .'156\.png'"):
        pair_predictions(answers(scores[0]), answers(scores[1][:156]))


def test_pairs_tell_more_than_two_separate_figures():
    """Both detectors miss the same hard third: only the change itself is uncertain."""
    hard = np.arange(300) % 3 > 0
    new = hard.copy()
    new[:12] = True
    interval = rate_change(hard, new, np.arange(300))
    assert interval.high - interval.low < 0.04  # two separate intervals are each 0.1 wide
    assert interval.low < new.mean() - hard.mean() < interval.high


def test_groups_and_not_faces_are_counted():
    rng = np.random.default_rng(2)
    old = np.repeat(rng.random(30) < 0.7, 10)
    new = np.repeat(rng.random(30) < 0.7, 10)
    alone = rate_change(old, new, np.arange(300))
    together = rate_change(old, new, np.repeat(np.arange(30), 10))
    assert together.high - together.low > 2 * (alone.high - alone.low)


@pytest.mark.parametrize(("lost", "won", "n"), [(0.02, 0.02, 60), (0.1, 0.02, 60), (0.2, 0.1, 200)])
def test_the_interval_covers_the_true_change(lost, won, n):
    rng, hits = np.random.default_rng(5), 0
    for _ in range(200):
        draw = rng.random(n)
        old, new = draw >= 0.3, draw >= 0.3
        old, new = old | (draw < lost), new | ((draw >= lost) & (draw < lost + won))
        low, high = rate_change(old, new, np.arange(n))
        hits += low <= won - lost <= high
    assert hits >= 182  # a coverage of 0.95 falls below this once in 100


def test_no_change_among_few_faces_is_not_certainty():
    perfect = np.tile([0.0, 0.0, 1.0, 1.0], 10)
    found = find_changes(pair_predictions(answers(perfect), answers(perfect)), POINTS, number=50)
    for change in found:
        assert change.change == 0
        assert change.low < -0.04 < 0.04 < change.high


def test_the_same_seed_gives_the_same_intervals(scores):
    pair = pair_predictions(answers(scores[0]), answers(scores[1]))
    assert find_changes(pair, POINTS, number=100) == find_changes(pair, POINTS, number=100)
    assert find_changes(pair, POINTS, number=100) != find_changes(pair, POINTS, number=100, seed=1)
