"""The first screen: what it states, from what, and what it states where nothing was measured."""

from __future__ import annotations

import pytest

from faceproof.detector.spec import Finding
from faceproof.evaluation.predictions import make_table, origin_of
from faceproof.reports.headline import share_right, statements, untested
from support.audit_contexts import prediction
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
    assert answers["false-alarms"].startswith(f"{100 * alarms.value:.1f} % (")
    assert answers["worst-generator"].startswith(f"<gan>: {100 * missed.value:.1f} % (")
    assert (
        answers["not-judged"] == "3 of 60 faces were not judged and count in no figure: no face 3."
    )
    assert "hardest to tell apart when <worn>: ROC-AUC 0.844 (" in answers["worst-condition"]
    assert "[" not in " ".join(answers.values()), "intervals are written in one way"
    assert answers["worst-group"] == "Not measured: the audit fairness was not run."


def of_generators(**called):
    """Return the evaluation of 60 fakes of each generator: called real, unsure and fake."""
    rows = [prediction(n, "real", 0.1) for n in range(60)]
    for name, counts in called.items():
        for p, count in zip((0.1, 0.5, 0.9), counts, strict=True):
            rows += [prediction(len(rows) + n, "fake", p, generator=name) for n in range(count)]
    return evaluated(make_table(rows, origin_of(predictions())))


def test_generators_mostly_unsure_are_told_from_missed_ones():
    found = told(of_generators(caught=(0, 2, 58), open=(5, 45, 10), missed=(45, 5, 10)))
    assert found["good-for"] == (
        "At least 8 in 10 fakes are called fake: caught. "
        "Fewer than half are called fake, and most others unsure: open. "
        "Fewer than half are called fake, and most others real: missed."
    )
    assert found["worst-generator"].startswith("missed: 75.0 % (")
    assert ") of 60 fakes are called real, 16.7 % (" in found["worst-generator"]
    assert ") fake, and 8.3 % (" in found["worst-generator"]


def test_one_generator_is_not_called_the_worst_of_one():
    titles = {one.name: one.title for one in statements(of_generators(one=(5, 5, 50)), ())}
    assert titles["worst-generator"] == "The only generator"


def test_the_cautions_of_the_figures_stand_beside_the_answers():
    found = {one.name: one for one in statements(evaluated(predictions()), ())}
    assert "only 29 groups of fake faces" in found["worst-generator"].caution


def test_the_first_screen_begins_with_what_the_detector_is_good_for():
    found = statements(evaluated(predictions()), (audited("robustness"), audited("fairness")))
    assert [one.name for one in found] == [
        *("good-for", "false-alarms", "worst-generator", "worst-group", "worst-condition"),
        *("worth", "not-judged"),
    ]


def test_cautions_that_differ_in_a_number_are_told_once():
    found = {one.name: one for one in statements(evaluated(predictions()), ())}
    assert found["false-alarms"].caution == "only 10 groups of real faces; 30 or more are advised"


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
