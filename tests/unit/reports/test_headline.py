"""The first screen: what it states, from what, and what it states where nothing was measured."""

from __future__ import annotations

import pytest

from faceproof.detector.spec import Finding
from faceproof.reports.headline import share_right, statements, untested
from support.evaluations import audited, evaluated, predictions


def rate(value: float, low: float, high: float) -> Finding:
    return Finding(metric="x", value=value, low=low, high=high, n=9, data_sha256="0" * 64)


@pytest.mark.parametrize(
    ("share", "wanted"), [(0.5, (0.9, 0.8, 0.95)), (0.01, (1 / 12, 0.4 / 10.3, 0.19))]
)
def test_a_verdict_is_worth_less_where_fakes_are_rare(share, wanted):
    found = share_right(rate(0.9, 0.4, 0.95), rate(0.1, 0.05, 0.1), share)
    right = 0.9 * share / (0.9 * share + 0.1 * (1 - share))
    worse = 0.4 * share / (0.4 * share + 0.1 * (1 - share))
    better = 0.95 * share / (0.95 * share + 0.05 * (1 - share))
    assert found == pytest.approx((right, worse, better))
    assert found == pytest.approx(wanted, abs=0.03)


def test_nothing_called_fake_is_worth_nothing():
    assert share_right(rate(0, 0, 0.1), rate(0, 0, 0.1), 0.5) is None


def told(evaluation, *audits) -> dict[str, str]:
    return {one.name: one.text for one in statements(evaluation, audits)}


def test_the_answers_are_those_of_the_findings():
    found = evaluated(predictions())
    answers = told(found)
    alarms, missed = found.find("bpcer"), found.find("apcer", "generator=<gan>")
    assert answers["false-alarms"].startswith(f"{100 * alarms.value:.1f} % [")
    assert answers["worst-generator"].startswith(f"<gan>: {100 * missed.value:.1f} % [")
    assert (
        answers["not-judged"] == "3 of 60 faces were not judged and count in no figure: no_face 3."
    )
    assert answers["worst-condition"].startswith(("<worn>: ROC-AUC", "clean: ROC-AUC"))
    assert answers["worst-group"] == "Not measured: the audit fairness was not run."


def test_the_cautions_of_the_figures_stand_beside_the_answers():
    found = {one.name: one for one in statements(evaluated(predictions()), ())}
    assert "only 28 groups of real faces" in found["false-alarms"].caution


def test_audits_answer_for_groups_and_conditions():
    audits = (audited("robustness"), audited("fairness"))
    found = {one.name: one for one in statements(None, audits)}
    assert found["worst-group"].text == "12.5 % flip in fairness."
    assert found["worst-condition"].text == "12.5 % flip in robustness."
    assert found["worst-group"].caution == "Only fairness."
    assert found["worst-condition"].caution == "Only robustness."
    assert statements(None, (audited("fairness", own_cautions=()),))[0].caution is None


@pytest.mark.parametrize("labels", [("real",), ("fake",)])
def test_a_missing_class_is_stated(labels):
    answers = told(evaluated(predictions(labels=labels)))
    missing = {"real": "no fake was judged", "fake": "no real face was judged"}[labels[0]]
    assert any(missing in text for text in answers.values())


def test_what_was_not_tested_shrinks_with_each_audit():
    found = evaluated(predictions())
    before = untested(found, (), ["lamp", "<gan>"])
    assert any("age, gender or ethnicity" in line for line in before)
    assert (
        "Fakes of lamp: the detector was trained on them, but no figure here is of them." in before
    )
    after = untested(found, (audited("fairness"),), ["lamp", "<gan>"])
    assert len(after) == len(before) - 1
    assert not any("age, gender or ethnicity" in line for line in after)
    assert untested(found, (audited("fairness", measured=False),), ["lamp", "<gan>"]) == before
