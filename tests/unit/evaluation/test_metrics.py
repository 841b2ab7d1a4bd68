"""Metrics on numbers small enough to check by hand."""

import numpy as np
import pytest

from faceproof.errors import UnknownChoiceError, UsageError
from faceproof.evaluation.formulas import Thresholds, count_scores
from faceproof.evaluation.metrics import METRICS, count_groups, count_verdicts, measure
from support.metric_values import metric_values

REALS, FAKES = [0.05, 0.1, 0.4, 0.7], [0.3, 0.6, 0.8, 0.9, 0.95]
LABELS = [False] * 4 + [True] * 5
SCORES = REALS + FAKES
AT = Thresholds(real_below=0.35, fake_from=0.65)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("roc_auc", (4 + 4 + 4 + 3 + 2) / 20),
        ("average_precision", (1 + 1 + 1 + 4 / 5 + 5 / 7) / 5),
        ("accuracy", 6 / 9),
        ("balanced_accuracy", (3 / 4 + 3 / 5) / 2),
        ("precision", 3 / 4),
        ("recall", 3 / 5),
        ("f1", 6 / 9),
        ("bpcer", 1 / 4),
        ("apcer", 1 / 5),
        ("unsure_rate", 2 / 9),
        ("real_unsure_rate", 1 / 4),
        ("fake_unsure_rate", 1 / 5),
        ("real_coverage", 3 / 4),
        ("fake_coverage", 4 / 5),
        ("eer", 1 / 4),
        ("tpr_at_fpr_5", 3 / 5),
        ("tpr_at_fpr_1", 3 / 5),
        ("tpr_at_fpr_0_5", 3 / 5),
        ("tpr_at_fpr_0_1", 3 / 5),
        ("partial_auc_5", (1 + (3 / 5 * 0.05 - 0.05**2 / 2) / (0.05 - 0.05**2 / 2)) / 2),
        ("worst_apcer", 1 / 5),
        ("acer", (1 / 5 + 1 / 4) / 2),
        ("bpcer10", 2 / 4),
        ("bpcer20", 2 / 4),
        ("bpcer100", 2 / 4),
        ("brier", (sum(p**2 for p in REALS) + sum((1 - p) ** 2 for p in FAKES)) / 9),
        ("log_loss", -(np.log1p(-np.array(REALS)).sum() + np.log(FAKES).sum()) / 9),
    ],
)
def test_by_hand(name, value):
    assert metric_values(LABELS, SCORES, AT, names=[name])[name] == pytest.approx(value, abs=1e-12)


GENERATORS = ["none"] * 4 + ["gan", "swap", "gan", "swap", "swap"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("worst_apcer", 1 / 2),  # gan misses 0.3 of 0.3 and 0.8
        ("acer", (1 / 2 + 1 / 4) / 2),
        ("apcer", 1 / 5),
        ("bpcer10", 2 / 4),  # the threshold is gan's 0.3, though swap would allow 0.6
    ],
)
def test_the_worst_generator_by_hand(name, value):
    found = metric_values(LABELS, SCORES, AT, names=[name], generators=GENERATORS)
    assert found[name] == pytest.approx(value)


def test_bpcer_at_a_fixed_apcer_lets_each_generator_miss_its_share():
    """10 % of 20 fakes are two: the third lowest score of the harder generator is the threshold."""
    reals = [0.15, 0.25, 0.32, 0.9]
    hard, easy = [0.1, 0.2, 0.3, *[0.8] * 17], [0.4, 0.5, 0.6, *[0.8] * 17]
    labels, scores = [False] * 4 + [True] * 40, [*reals, *hard, *easy]
    generators = ["none"] * 4 + ["hard"] * 20 + ["easy"] * 20
    value = measure(labels, scores, names=["bpcer10", "bpcer20"], generators=generators)
    assert value == {"bpcer10": 2 / 4, "bpcer20": 3 / 4}
    together = measure(labels, scores, names=["bpcer10"])["bpcer10"]
    assert together == 1 / 4  # all fakes as one may miss four, three of which are the hard one's


def test_too_few_groups_for_a_share_are_refused():
    few = np.repeat([False, True], 200)
    with pytest.raises(UsageError, match="tpr_at_fpr_0_1 needs at least 1,000 groups of real"):
        measure(few, np.linspace(0, 1, 400), names=["tpr_at_fpr_0_1"])
    assert measure(few, np.linspace(0, 1, 400), names=["tpr_at_fpr_0_5"])["tpr_at_fpr_0_5"] == 1


def test_five_pictures_of_a_generator_are_too_few_for_bpcer_at_an_apcer():
    fake = np.repeat([False, True], [50, 105])
    generators = np.repeat(["none", "common", "rare"], [50, 100, 5])
    with pytest.raises(UsageError, match="bpcer20 needs at least 20 groups of fakes of generator"):
        measure(fake, fake * 1.0, names=["bpcer20"], generators=generators)
    reason = METRICS["bpcer20"].refusal(count_groups(fake, None, generators))
    assert reason.endswith("fakes of generator rare, but there are 5")


def test_groups_and_not_faces_are_enough_or_not():
    fake = np.repeat([False, True], 400)
    videos = np.arange(800) // 10
    assert METRICS["tpr_at_fpr_1"].refusal(count_groups(fake)) is None
    assert "there are 40" in METRICS["tpr_at_fpr_1"].refusal(count_groups(fake, videos))


def test_the_calibration_error_of_faces_each_in_a_bin_of_its_own():
    gaps = [*REALS, *(1 - p for p in FAKES)]
    assert measure(LABELS, SCORES, names=["ece"])["ece"] == pytest.approx(np.mean(gaps))


def test_the_calibration_error_is_small_for_honest_and_large_for_bold_probabilities():
    rng = np.random.default_rng(0)
    honest = rng.uniform(size=20_000)
    fake = rng.uniform(size=20_000) < honest
    bold = np.clip((honest - 0.5) * 3 + 0.5, 0, 1)
    assert measure(fake, honest, names=["ece"])["ece"] < 0.012
    assert measure(fake, bold, names=["ece"])["ece"] > 0.1


def test_both_thresholds_belong_to_the_verdict_above():
    """As in `decide`: fake from the upper threshold on, real below the lower."""
    assert count_verdicts([0, 1, 1], [0.35, 0.65, 0.3499], AT).tolist() == [[0, 1, 0], [1, 0, 1]]
    assert measure([0, 1], [0.35, 0.65], AT, names=["unsure_rate"]) == {"unsure_rate": 0.5}


def test_a_perfect_detector():
    values = metric_values([0, 0, 1, 1], [0.0, 0.0, 1.0, 1.0])
    for name, metric in METRICS.items():
        expected = 1.0 if metric.higher_is_better else 0.0
        assert values[name] == pytest.approx(expected, abs=1e-12), name


def test_one_score_for_all_is_a_coin():
    values = metric_values([0, 1, 0, 1], [0.5] * 4)
    assert values["roc_auc"] == 0.5
    assert values["eer"] == 0.5
    assert values["tpr_at_fpr_1"] == 0.0
    assert values["partial_auc_5"] == pytest.approx(0.5)
    assert values["bpcer10"] == 1.0
    assert values["ece"] == 0.0


def test_no_face_called_fake_gives_no_precision_and_no_warning():
    values = measure([0, 1], [0.1, 0.2], names=["precision", "f1", "recall"])
    assert values == {"precision": 0.0, "f1": 0.0, "recall": 0.0}


def test_confusion_has_a_column_for_unsure():
    assert count_verdicts(LABELS, SCORES, AT).tolist() == [[2, 1, 1], [1, 1, 3]]


@pytest.mark.parametrize("name", METRICS)
def test_a_missing_class_is_named(name):
    for kind, labels in (("real", [True, True]), ("fake", [False, False])):
        if kind in METRICS[name].needs:
            with pytest.raises(UsageError, match=f"{name} needs {kind} faces"):
                measure(labels, [0.2, 0.4], names=[name])
        else:
            assert measure(labels, [0.2, 0.4], names=[name])[name] >= 0


@pytest.mark.parametrize("name", METRICS)
def test_an_outcome_averages_to_its_rate(name):
    metric, fake, scores = METRICS[name], np.array(LABELS), np.array(SCORES)
    if metric.outcome is None:
        return
    kinds = {"real": ~fake, "fake": fake}
    over = kinds[metric.needs[0]] if metric.needs else np.ones_like(fake)
    hits = metric.outcome(fake[over], scores[over], AT)
    assert hits.mean() == pytest.approx(measure(LABELS, SCORES, AT, names=[name])[name])


@pytest.mark.parametrize("name", METRICS)
def test_many_weightings_at_once_are_each_on_its_own(name):
    rng = np.random.default_rng(1)
    scores = np.round(rng.uniform(size=60), 1)
    fake, weights = rng.uniform(size=60) < 0.5, rng.integers(0, 4, size=(7, 60))
    together = METRICS[name].formula(count_scores(fake, scores, weights), AT)
    assert together.shape == (7,)
    for one, row in zip(together, weights, strict=True):
        repeated = metric_values(np.repeat(fake, row), np.repeat(scores, row), AT, names=[name])
        assert one == pytest.approx(repeated[name], abs=1e-12)


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(UsageError, match="one length"):
        count_scores([True], [0.1, 0.2])
    with pytest.raises(UsageError, match="one length"):
        count_scores([True], [0.1], [1.0, 1.0])
    with pytest.raises(UsageError, match="not a finite number"):
        count_scores([True, False], [0.1, np.nan])
    with pytest.raises(UsageError, match="no judged face"):
        count_scores([], [])
    with pytest.raises(UnknownChoiceError, match="'roc_auc'"):
        measure([0, 1], [0.1, 0.2], names=["rocauc"])
