"""A detector trained against attacks is tried with them, and its card says how it did."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from faceproof.detector import Bundle  # noqa: E402
from faceproof.training.train import train  # noqa: E402

AGAINST = ("adversarial.share=0.5", "adversarial.attack=fgsm", "adversarial.budget=1")


def test_the_card_has_the_faces_attacked_beside_the_same_unattacked(mini, tmp_path):
    output: list[str] = []
    bundle = train(mini(*AGAINST), tmp_path / "run", progress=output.append)
    assert any(line.startswith("attacks on at most") for line in output)
    assert any("attacked accuracy" in line for line in output), "validation says it as well"
    found = Bundle.read(bundle.folder).spec.results
    rates = {one.condition: one for one in found if one.metric.startswith("accuracy@")}
    attacked = {"unattacked", "fgsm-1", "pgd-1x10", "fgsm-4", "pgd-4x10"}
    assert attacked | {"clean"} == set(rates)
    assert len({rates[name].n for name in attacked}) == 1, "the very same faces"
    assert rates["pgd-4x10"].value <= rates["unattacked"].value
    assert "pgd-4x10" in (bundle.folder / "CARD.md").read_text(encoding="utf-8")


def test_without_attacks_none_are_tried(mini, tmp_path):
    bundle = train(mini(), tmp_path / "run", progress=lambda _: None)
    assert {one.condition for one in bundle.spec.results if one.metric == "roc_auc"} == {"clean"}
