"""What a card says of attacked faces, and that it is silent where nothing was attacked."""

import pytest

from faceproof.detector import DetectorSpec, Finding
from faceproof.evaluation.finding_names import attack_cautions, is_attack
from faceproof.reports.card import card
from faceproof.reports.card_sections import attack_section

HASH = "e" * 64


def finding(metric, condition, value, *, margin=0.02):
    return Finding(
        metric=metric,
        value=value,
        low=max(0.0, value - margin),
        high=min(1.0, value + margin),
        n=400,
        condition=condition,
        data_sha256=HASH,
    )


def attacked(accuracies):
    """Return findings with these accuracies by condition, at two operating points."""
    return [
        finding(f"{metric}@{point}", condition, value)
        for condition, value in accuracies.items()
        for point, metric in [
            ("strict", "accuracy"),
            ("balanced", "accuracy"),
            ("balanced", "recall"),
            ("balanced", "bpcer"),
        ]
    ]


HONEST = {"unattacked": 0.95, "fgsm-2": 0.6, "pgd-2x10": 0.5, "fgsm-8": 0.2, "pgd-8x10": 0.03}


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("unattacked", True),
        ("fgsm-2", True),
        ("fgsm-0.5", True),
        ("pgd-2x10", True),
        ("clean", False),
        ("jpeg-60", False),
        ("resize-0.5", False),
        ("fgsm", False),
        ("my-fgsm-2", False),
        ("fgsm-2-jpeg", False),
    ],
)
def test_attacks_are_known_by_name(name, answer):
    assert is_attack(name) is answer


def test_every_condition_stands_beside_the_unattacked_at_the_point_asked_for():
    section = attack_section(attacked(HONEST), "balanced")
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert [row.split(" | ")[0] for row in rows] == [f"| {name}" for name in HONEST]
    assert rows[1] == "| fgsm-2 | " + " | ".join(["60.00 % [58.00, 62.00], n 400"] * 3) + " |"
    assert "At balanced." in section
    assert "gradients" not in section


def test_without_attacks_there_is_no_section():
    assert attack_section([finding("accuracy@balanced", "clean", 0.9)], "balanced") == ""


def test_what_was_not_measured_is_left_open():
    section = attack_section([finding("accuracy@balanced", "fgsm-2", 0.9)], "balanced")
    assert "| fgsm-2 | 90.00 % [88.00, 92.00], n 400 | - | - |" in section


def test_many_steps_that_do_less_than_one_are_told_once_for_each_point():
    output = list(attack_cautions(attacked(HONEST | {"pgd-2x10": 0.7})))
    assert [one.partition(":")[0] for one in output] == ["accuracy@strict", "accuracy@balanced"]
    assert all("0.700 under pgd-2x10 but 0.600 under fgsm-2: many steps" in one for one in output)


@pytest.mark.parametrize("many", [0.5, 0.6, 0.62])
def test_within_the_interval_they_may_do_as_much(many):
    assert list(attack_cautions(attacked(HONEST | {"pgd-2x10": many}))) == []


def test_steps_are_compared_with_one_step_of_the_same_budget():
    actual = {"unattacked": 0.95, "fgsm-2": 0.6, "pgd-1x10": 0.8, "fgsm-8": 0.2, "pgd-4x10": 0.5}
    assert list(attack_cautions(attacked(actual))) == []


@pytest.mark.parametrize(("widest", "expected"), [(0.95, True), (0.94, True), (0.92, False)])
def test_a_wide_budget_that_does_nothing_is_told(widest, expected):
    everywhere = dict.fromkeys(HONEST, 0.95) | {"pgd-8x10": widest}
    output = [
        one for one in attack_cautions(attacked(everywhere)) if "check for zero gradients" in one
    ]
    assert bool(output) is expected


def test_findings_of_other_conditions_are_no_attacks():
    plain = [finding("accuracy@balanced", name, 0.9) for name in ("clean", "jpeg-60")]
    assert list(attack_cautions(plain)) == []


def test_the_card_has_a_section_of_its_own_and_the_other_tables_stay(tiny_spec):
    plain = [finding(f"{m}@balanced", "clean", 0.9) for m in ("accuracy", "recall", "bpcer")]
    cards = [
        card(DetectorSpec.model_validate({**dict(tiny_spec), "results": (*plain, *more)}))
        for more in ([], attacked(HONEST | {"pgd-2x10": 0.7}))
    ]
    without, actual = cards
    assert "## Under attack" not in without
    assert "Not measured: adversarial pictures." in without
    before, section, after = actual.partition("## Under attack")
    assert section
    assert without.startswith(before)
    assert "gradients are masked" in after
    assert "Not measured: adversarial pictures" not in actual
    assert "fgsm" not in after.partition("## Limits")[2]
