"""What must hold of metrics for any faces."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from faceproof.evaluation.formulas import Thresholds
from faceproof.evaluation.metrics import METRICS, count_verdicts
from support.metric_values import metric_values as measure

# Hundredths: ties are common, and a monotone change cannot merge two of them.
PERCENT = st.integers(0, 100)
FACES = (
    st.lists(st.tuples(st.booleans(), PERCENT), min_size=2, max_size=60)
    .filter(lambda faces: len({fake for fake, _ in faces}) == 2)
    .map(lambda faces: (np.array([f for f, _ in faces]), np.array([s for _, s in faces]) / 100))
)
POINTS = st.tuples(PERCENT, PERCENT).map(lambda pair: Thresholds(*np.sort(pair) / 100))
UNHURRIED = settings(deadline=None)  # a busy machine is no fault of a metric
RANKING = [
    name for name, metric in METRICS.items() if not metric.at_thresholds and metric.reads == "order"
]


@UNHURRIED
@given(FACES, st.sampled_from([np.sqrt, np.square, lambda p: 1 / (1 + np.exp(3 - 9 * p))]))
def test_ranking_metrics_do_not_see_a_monotone_change(faces, change):
    fake, scores = faces
    before = measure(fake, scores, names=RANKING)
    after = measure(fake, change(scores), names=RANKING)
    np.testing.assert_allclose([*before.values()], [*after.values()], atol=1e-12)


@UNHURRIED
@given(FACES)
def test_swapped_labels_give_the_rest_of_the_area(faces):
    fake, scores = faces
    one = measure(fake, scores, names=["roc_auc"])["roc_auc"]
    other = measure(~fake, scores, names=["roc_auc"])["roc_auc"]
    mirrored = measure(~fake, 1 - scores, names=["roc_auc"])["roc_auc"]
    np.testing.assert_allclose([1 - other, mirrored], one, atol=1e-12)


@UNHURRIED
@given(FACES)
def test_the_area_is_the_share_of_pairs_in_order(faces):
    fake, scores = faces
    gap = scores[fake][:, None] - scores[~fake][None, :]
    pairs = (gap > 0).mean() + (gap == 0).mean() / 2
    np.testing.assert_allclose(measure(fake, scores, names=["roc_auc"])["roc_auc"], pairs)


@UNHURRIED
@given(FACES, POINTS, st.randoms(use_true_random=False))
def test_the_order_of_the_faces_does_not_matter(faces, at, random):
    fake, scores = faces
    order = random.sample(range(len(fake)), len(fake))
    before, after = measure(fake, scores, at), measure(fake[order], scores[order], at)
    np.testing.assert_allclose([*before.values()], [*after.values()], atol=1e-12)


@UNHURRIED
@given(FACES, POINTS)
def test_every_metric_but_log_loss_lies_between_0_and_1(faces, at):
    values = measure(*faces, at)
    assert values.pop("log_loss") >= 0
    assert all(-1e-12 <= value <= 1 + 1e-12 for value in values.values())


@UNHURRIED
@given(FACES, POINTS)
def test_verdicts_of_a_class_add_up(faces, at):
    fake, scores = faces
    values, counts = measure(fake, scores, at), count_verdicts(fake, scores, at)
    assert counts.sum() == len(fake)
    reals, fakes = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose([values["real_unsure_rate"], values["bpcer"]], reals[1:])
    np.testing.assert_allclose(
        [values["apcer"], values["fake_unsure_rate"], values["recall"]], fakes, atol=1e-12
    )


@UNHURRIED
@given(FACES, POINTS, POINTS)
def test_higher_thresholds_never_raise_false_alarms_nor_lower_misses(faces, one, other):
    lower = Thresholds(*np.minimum(one, other))
    higher = Thresholds(*np.maximum(one, other))
    before, after = measure(*faces, lower), measure(*faces, higher)
    assert after["bpcer"] <= before["bpcer"]
    assert after["recall"] <= before["recall"]
    assert after["apcer"] >= before["apcer"]


@UNHURRIED
@given(FACES, st.sampled_from(sorted(METRICS)))
def test_each_face_twice_changes_nothing(faces, name):
    fake, scores = faces
    before = measure(fake, scores, names=[name])[name]
    after = measure(np.tile(fake, 2), np.tile(scores, 2), names=[name])[name]
    np.testing.assert_allclose(after, before, atol=1e-12)
