"""Rates and gaps of groups of people against fairlearn; left out where it is not installed."""

import numpy as np
import pytest

pytest.importorskip("fairlearn")

from faceproof.audits.fairness import run
from faceproof.evaluation.group_gaps import metric_gap, rate_gap
from support.audit_contexts import make_context, prediction

pytestmark = pytest.mark.train


def drawn(seed, n=1500):
    """Return labels, scores and groups of people with different errors."""
    rng = np.random.default_rng(seed)
    people = rng.choice(["a", "b", "c"], size=n, p=[0.5, 0.3, 0.2])
    fake = rng.uniform(size=n) < 0.5
    shift = np.select([people == "a", people == "b"], [0.0, 0.5], 1.0)
    scores = 1 / (1 + np.exp(-(1.5 * rng.normal(size=n) + fake - 0.5 + shift)))
    return fake, scores, people


@pytest.mark.parametrize("seed", range(3))
def test_the_gap_of_a_rate_is_fairlearns(seed):
    from fairlearn.metrics import MetricFrame, false_negative_rate, false_positive_rate

    fake, scores, people = drawn(seed)
    called = scores >= 0.6
    for metric, kind, hits in (
        (false_positive_rate, ~fake, called),
        (false_negative_rate, fake, ~called),
    ):
        theirs = MetricFrame(
            metrics=metric,
            y_true=fake,
            y_pred=called,
            sensitive_features=people,
        )
        ours = rate_gap(hits[kind], people[kind], np.arange(kind.sum()), number=20, seed=seed)
        assert ours.difference == pytest.approx(theirs.difference(method="between_groups"))
        assert ours.ratio == pytest.approx(theirs.ratio(method="between_groups"))
        assert theirs.by_group[ours.highest] == theirs.group_max()
        assert theirs.by_group[ours.lowest] == theirs.group_min()


def test_the_interval_of_a_gap_is_close_to_fairlearns():
    from fairlearn.metrics import MetricFrame, selection_rate

    _, scores, people = drawn(1)
    called = scores >= 0.6
    theirs = MetricFrame(
        metrics=selection_rate,
        y_true=called,
        y_pred=called,
        sensitive_features=people,
        n_boot=100,
        ci_quantiles=[0.025, 0.975],
        random_state=0,
    )
    ours = rate_gap(called, people, np.arange(len(called)))
    for mine, end in zip(
        ours.difference_interval, theirs.difference_ci(method="between_groups"), strict=True
    ):
        assert mine == pytest.approx(end, abs=0.04), "both draw faces again, and draw others"
    for mine, end in zip(
        ours.ratio_interval, theirs.ratio_ci(method="between_groups"), strict=True
    ):
        assert mine == pytest.approx(end, abs=0.08)


def test_the_gap_of_roc_auc_is_fairlearns():
    from fairlearn.metrics import MetricFrame
    from sklearn.metrics import roc_auc_score

    fake, scores, people = drawn(5)
    theirs = MetricFrame(
        metrics=roc_auc_score, y_true=fake, y_pred=scores, sensitive_features=people
    )
    ours = metric_gap("roc_auc", fake, scores, people, np.arange(len(fake)), number=20)
    assert ours.difference == pytest.approx(theirs.difference(method="between_groups"))
    assert ours.ratio == pytest.approx(theirs.ratio(method="between_groups"))


def test_the_audit_has_the_rates_and_gaps_of_fairlearn(tiny_bundle):
    from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate

    rng = np.random.default_rng(7)
    scores = rng.uniform(0.05, 0.95, 400)
    gender, race = rng.choice(["f", "m"], 400), rng.choice(["x", "y"], 400)
    context = make_context(
        tiny_bundle,
        {
            "people": [
                prediction(n, "real", float(p), attributes={"gender": g, "race": r})
                for n, (p, g, r) in enumerate(zip(scores, gender, race, strict=True))
            ]
        },
    )
    found = {table.name: table.frame().to_dicts() for table in run(context).tables}
    called = {
        "wrong": scores >= context.point.fake_from,
        "unsure": (scores >= context.point.real_below) & (scores < context.point.fake_from),
    }
    for column, figure in (("wrong", "false_alarms"), ("unsure", "unsure")):
        for by, of in (("gender", gender), ("race", race), ("gender+race", [gender, race])):
            theirs = MetricFrame(
                metrics={"wrong": false_positive_rate, "unsure": selection_rate}[column],
                y_true=np.zeros(400, dtype=bool),
                y_pred=called[column],
                sensitive_features=np.column_stack(of) if by == "gender+race" else of,
            )
            names = by.split("+")
            for values, rate in theirs.by_group.items():
                parts = values if isinstance(values, tuple) else (values,)
                group = ", ".join(f"{k}={v}" for k, v in zip(names, parts, strict=True))
                (ours,) = [row for row in found["groups"] if row["group"] == group]
                assert ours[column] == pytest.approx(rate), group
            (gap,) = [row for row in found["gaps"] if (row["by"], row["figure"]) == (by, figure)]
            assert gap["difference"] == pytest.approx(theirs.difference(method="between_groups"))
            assert gap["ratio"] == pytest.approx(theirs.ratio(method="between_groups"))
