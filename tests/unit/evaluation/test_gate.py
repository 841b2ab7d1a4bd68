"""The gate: what it lets through, what it refuses, and what it says of itself."""

from __future__ import annotations

import numpy as np
import pytest

from faceproof.detector import ChosenOn, OperatingPoint
from faceproof.evaluation.gate import FEEDBACK, Gate, GateRule, classify_change, decide
from faceproof.evaluation.paired import Change, Pair
from faceproof.evaluation.predictions import Faces

KINDS = (("none", "home"), ("none", "street"), ("gan", "made"), ("new", "made"))
EACH = 2000


def point(name="1-in-100", fake_from=0.5) -> OperatingPoint:
    chosen_on = ChosenOn(data_sha256="c" * 64, n=100)
    return OperatingPoint(
        name=name, real_below=0.4, fake_from=fake_from, promise="p", chosen_on=chosen_on
    )


def faces(probabilities, each=EACH) -> Faces:
    """Return ``each`` faces of each kind."""
    kinds = [kind for kind in KINDS for _ in range(each)]
    generators = np.array([generator for generator, _ in kinds])
    n = len(kinds)
    return Faces(
        fake=generators != "none",
        logits=probabilities,
        probabilities=probabilities,
        sources=np.array([source for _, source in kinds]),
        generators=generators,
        groups=np.arange(n).astype(str),
        conditions=np.full(n, "clean"),
        splits=np.full(n, "validation"),
        statuses=np.full(n, "ok"),
        withheld=np.zeros(n, dtype=bool),
    )


def perfect(each=EACH):
    return np.repeat([0.0, 0.0, 1.0, 1.0], each)


def decided(change=(), *, each=EACH, rule=None, generators=("gan",), old=None) -> Gate:
    """Return what the gate says where the new detector errs on the first n faces of these kinds."""
    before = perfect(each) if old is None else old
    after = perfect(each)
    for kind, wrong in dict(change).items():
        start = [source if g == "none" else g for g, source in KINDS].index(kind) * each
        after[start : start + wrong] = 1 - after[start : start + wrong]
    return decide(
        Pair(faces(before, each), faces(after, each), 0),
        point(),
        point(),
        rule or GateRule(),
        old_generators=generators,
        data_sha256="d" * 64,
        split="validation",
        number=100,
    )


def test_what_holds_is_accepted():
    found = decided()
    assert found.accepted
    assert {one.outcome for one in found.guarded} == {"held"}
    assert {one.change.slice for one in found.guarded} == {
        "source=home",
        "source=street",
        "generator=gan",
    }


@pytest.mark.parametrize("kind", ["home", "street", "gan"])
def test_a_loss_of_more_than_the_margin_is_refused_whatever_else_holds(kind):
    found = decided({kind: 45})
    assert not found.accepted
    (lost,) = found.with_outcome("lost")
    assert lost.slice.endswith(f"={kind}")
    assert lost.losses[0] == pytest.approx(0.0225)


def test_the_margin_itself_is_allowed():
    assert decided({"home": 40}).accepted
    assert not decided({"home": 41}).accepted


def test_what_the_new_generator_loses_refuses_nothing_but_is_said():
    found = decided({"new": 500})
    assert found.accepted
    assert "generator=new" in {change.slice for change in found.others}
    assert any("new: recall of the new fakes did not rise" in line for line in found.cautions)


def test_a_new_generator_that_is_caught_better_is_no_caution():
    before = perfect()
    before[-500:] = 0.0
    assert decided(old=before).cautions == ()


def test_a_gain_is_no_loss():
    before = 1 - perfect()
    found = decided(old=before)
    assert found.accepted
    assert all(one.change.losses[0] == -1 for one in found.guarded)


def test_too_few_faces_cannot_tell_and_strict_refuses_that():
    lax, strict = decided(each=100), decided(each=100, rule=GateRule(strict=True))
    assert {one.outcome for one in lax.guarded} == {"cannot tell"}
    assert lax.accepted
    assert not strict.accepted


def test_one_face_of_a_few_decides_nothing_but_many_of_them_do():
    assert {one.outcome for one in decided({"gan": 1}, each=20).guarded} == {"cannot tell"}
    assert [c.slice for c in decided({"gan": 12}, each=20).with_outcome("lost")] == [
        "generator=gan"
    ]


def test_another_margin():
    assert decided({"gan": 150}, rule=GateRule(margin=0.1)).accepted
    assert not decided({"gan": 15}, rule=GateRule(margin=0.005)).accepted


def test_an_old_generator_without_a_judged_face_is_named():
    found = decided(generators=("gan", "swap"))
    assert [line for line in found.cautions if line.startswith("swap: none of its fakes")]
    assert not any("no old generator" in line for line in found.cautions)


def test_with_no_old_generator_nobody_knows():
    assert any("no old generator was measured" in line for line in decided(generators=()).cautions)


def test_each_detector_is_judged_at_its_own_thresholds():
    half = np.full(4 * EACH, 0.55)
    half[: 2 * EACH] = 0.0
    found = decide(
        Pair(faces(half), faces(half), 3),
        point(fake_from=0.5),
        point(fake_from=0.6),
        GateRule(),
        old_generators=("gan",),
        data_sha256="d" * 64,
        split="validation",
        number=50,
    )
    (lost,) = found.with_outcome("lost")
    assert (lost.old, lost.new) == (1.0, 0.0)
    assert any(line.startswith("3 pictures were not judged") for line in found.cautions)


def test_the_greatest_loss_comes_first_and_the_record_survives_a_file(tmp_path):
    found = decided({"home": 45, "gan": 200})
    assert [change.slice for change in found.with_outcome("lost")] == [
        "generator=gan",
        "source=home",
    ]
    found.write(tmp_path / "gate.json")
    assert Gate.read(tmp_path / "gate.json") == found


@pytest.mark.parametrize(
    ("change", "low", "high", "n", "expected"),
    [
        (-0.03, -0.05, -0.01, 1000, "lost"),
        (-0.01, -0.03, 0.01, 1000, "cannot tell"),
        (-0.01, -0.02, 0.0, 1000, "held"),
        (-0.03, -0.05, -0.01, 49, "cannot tell"),
        (-0.03, -0.05, -0.01, 50, "lost"),
        (-0.2, -0.3, -0.1, 10, "lost"),
    ],
)
def test_the_rule(change, low, high, n, expected):
    made = Change(
        metric="recall", n=n, groups=n, old=1, new=1 + change, change=change, low=low, high=high
    )
    assert classify_change(made, 0.02) == expected
    worse = {"metric": "bpcer", "change": -change, "low": -high, "high": -low}
    assert classify_change(made.model_copy(update=worse), 0.02) == expected


def with_feedback(before, after, fakes, *, rule=None) -> Gate:
    """Return what the gate says where all else holds; probabilities and bool [n] of feedback."""
    actual, n = np.array(fakes), len(fakes)

    def side(values) -> Faces:
        return Faces(
            fake=actual,
            logits=np.array(values),
            probabilities=np.array(values),
            sources=np.full(n, "feedback"),
            generators=np.where(actual, "unknown", "none"),
            groups=np.arange(n).astype(str),
            conditions=np.full(n, "clean"),
            splits=np.full(n, ""),
            statuses=np.full(n, "ok"),
            withheld=np.zeros(n, dtype=bool),
        )

    same = faces(perfect(50), 50)
    return decide(
        Pair(same, same, 0),
        point(),
        point(),
        rule or GateRule(),
        old_generators=("gan",),
        data_sha256="d" * 64,
        split="validation",
        feedback=Pair(side(before), side(after), 0),
        cautions=("mind this",),
        number=20,
    )


class TestFeedback:
    def slices(self, found: Gate) -> dict[str, str]:
        return {
            one.change.metric: one.outcome for one in found.guarded if one.change.slice == FEEDBACK
        }

    def test_both_classes_stand_in_a_slice_of_their_own(self):
        found = with_feedback([1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [False, False, True])
        assert self.slices(found) == {"bpcer": "held", "recall": "held"}
        recall, bpcer = (one.change for one in found.guarded if one.change.slice == FEEDBACK)
        assert (recall.n, recall.old, recall.new) == (1, 0.0, 1.0)
        assert (bpcer.n, bpcer.old, bpcer.new) == (2, 1.0, 0.5)
        assert found.accepted
        assert found.cautions[0] == "mind this"

    def test_one_more_of_few_is_lost_though_one_face_would_decide_nothing_elsewhere(self):
        found = with_feedback([0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [False, False, True])
        assert self.slices(found) == {"bpcer": "lost", "recall": "held"}
        assert not found.accepted

    def test_one_class_does_not_make_up_for_the_other(self):
        found = with_feedback([1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [False, False, True])
        assert self.slices(found) == {"bpcer": "held", "recall": "lost"}
        assert not found.accepted

    def test_as_many_put_right_as_made_wrong_is_held(self):
        found = with_feedback([1.0, 0.0], [0.0, 1.0], [False, False])
        assert self.slices(found) == {"bpcer": "held"}

    @pytest.mark.parametrize(("margin", "accepted"), [(0.0, False), (0.24, False), (0.25, True)])
    def test_the_margin_is_that_of_feedback(self, margin, accepted):
        rule = GateRule(margin=0.9, feedback_margin=margin)
        found = with_feedback([0.0] * 4, [1.0, 0.0, 0.0, 0.0], [False] * 4, rule=rule)
        assert found.accepted is accepted

    def test_strict_does_not_refuse_few(self):
        found = with_feedback([0.0], [0.0], [False], rule=GateRule(margin=0.9, strict=True))
        assert self.slices(found) == {"bpcer": "held"}
