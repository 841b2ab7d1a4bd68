"""Findings under attack: names, the same faces side by side, and what masked gradients show."""

import hashlib
from dataclasses import replace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from faceproof.data.manifest import Manifest, Row  # noqa: E402
from faceproof.detector import ChosenOn, Detector, OperatingPoint, Platt  # noqa: E402
from faceproof.detector.bundle import Bundle  # noqa: E402
from faceproof.errors import SplitUseError, UsageError  # noqa: E402
from faceproof.evaluation.finding_names import (  # noqa: E402
    UNATTACKED,
    attack_cautions,
    is_attack,
)
from faceproof.evaluation.intervals import wilson  # noqa: E402
from faceproof.evaluation.predictions import Faces  # noqa: E402
from faceproof.imaging.faces import Face  # noqa: E402
from faceproof.imaging.preprocessing import InputSpec, network_input, prepare  # noqa: E402
from faceproof.training.attack_report import (  # noqa: E402
    FACES,
    METRICS,
    AttackFaces,
    attack_findings,
    attack_logits,
    condition_name,
    fgsm,
    final_findings,
    pgd,
    reported_attacks,
    select_attack_faces,
)
from faceproof.training.attacks import pixel_box  # noqa: E402
from faceproof.training.recipe import AdversarialRecipe, Recipe  # noqa: E402

pytestmark = pytest.mark.train

HASH = "a" * 64
SPEC = InputSpec(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
POINT = OperatingPoint(
    name="half",
    real_below=0.5,
    fake_from=0.5,
    promise="none",
    chosen_on=ChosenOn(data_sha256=HASH, n=1),
)
COUNT = 24


class Brightness(nn.Module):
    """The logit is how many grey levels the picture's mean is above 128."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(255 * 0.25))

    def forward(self, inputs):
        return inputs.mean((1, 2, 3)) * self.scale


class Stairs(Brightness):
    """The same in whole numbers: its gradient is 0 everywhere."""

    def forward(self, inputs):
        return super().forward(inputs).round()


@pytest.fixture
def of():
    """Grey pictures: reals of 107 to 118 and fakes of 138 to 149 grey levels, in pairs."""
    fake = np.arange(COUNT) % 2 == 1
    level = np.where(fake, 138, 107) + np.arange(COUNT) // 2
    pictures = np.broadcast_to(level[:, None, None, None], (COUNT, 4, 4, 3)).astype(np.uint8)
    names = np.arange(COUNT).astype(str)
    nothing = np.full(COUNT, np.nan)
    faces = Faces(
        fake=fake,
        logits=nothing,
        probabilities=nothing,
        sources=np.full(COUNT, "greys"),
        generators=np.where(fake, "lamp", "none"),
        groups=names,
        conditions=np.full(COUNT, "clean"),
        splits=np.full(COUNT, "test"),
        statuses=np.full(COUNT, "ok"),
        withheld=np.zeros(COUNT, dtype=bool),
    )
    return AttackFaces(network_input(pictures, SPEC), faces)


def measured(network, of, attacks, *, calibration=None, points=(POINT,), **options):
    return attack_findings(
        network,
        of,
        attacks,
        points,
        calibration=calibration or Platt(slope=1.0, intercept=0.0),
        input_spec=SPEC,
        data_sha256=HASH,
        **options,
    )


def values(found):
    return {(one.metric, one.condition): one.value for one in found}


def test_each_budget_costs_the_faces_that_it_reaches(of):
    """Fakes lie 10.5 to 21.5 levels above the border and reals 9.5 to 20.5 below, one apart."""
    found = values(measured(Brightness(), of, [fgsm(14), pgd(14, 10), fgsm(64)]))
    assert found == {
        ("accuracy@half", "unattacked"): 1.0,
        ("recall@half", "unattacked"): 1.0,
        ("bpcer@half", "unattacked"): 0.0,
        ("accuracy@half", "fgsm-14"): (8 + 7) / 24,
        ("recall@half", "fgsm-14"): 8 / 12,
        ("bpcer@half", "fgsm-14"): 5 / 12,
        ("accuracy@half", "pgd-14x10"): (8 + 7) / 24,
        ("recall@half", "pgd-14x10"): 8 / 12,
        ("bpcer@half", "pgd-14x10"): 5 / 12,
        ("accuracy@half", "fgsm-64"): 0.0,
        ("recall@half", "fgsm-64"): 0.0,
        ("bpcer@half", "fgsm-64"): 1.0,
    }


def test_every_finding_has_its_interval_its_number_and_its_data(of):
    found = measured(Brightness(), of, [fgsm(14)])
    assert [one.metric.partition("@")[0] for one in found] == [*METRICS, *METRICS]
    for one in found:
        n = {"accuracy": 24, "recall": 12, "bpcer": 12}[one.metric.partition("@")[0]]
        assert (one.n, one.slice, one.data_sha256) == (n, "all", HASH)
        assert (one.low, one.high) == pytest.approx(wilson(one.value * n, n))


def test_faces_of_one_group_count_for_what_they_are_worth_together(of):
    grouped = replace(of, faces=replace(of.faces, groups=np.repeat(np.arange(12).astype(str), 2)))
    alone, together = (measured(Brightness(), one, [fgsm(14)])[3] for one in (of, grouped))
    assert alone.value == together.value
    assert alone.high - alone.low <= together.high - together.low


def test_calibration_and_operating_points_are_the_detectors(of):
    strict = POINT.model_copy(update={"name": "strict", "fake_from": 0.99})
    found = values(
        measured(
            Brightness(),
            of,
            [fgsm(2)],
            calibration=Platt(slope=1.0, intercept=-11.0),
            points=(POINT, strict),
        )
    )
    assert found["recall@half", "unattacked"] == 11 / 12  # logits of 10.5 to 21.5, less 11
    assert found["recall@half", "fgsm-2"] == 9 / 12
    assert found["recall@strict", "unattacked"] == 6 / 12  # those above 11 + logit(0.99) = 15.6
    assert found["bpcer@half", "fgsm-2"] == 0


def test_one_class_alone_gives_what_it_allows(of):
    reals = AttackFaces(of.inputs[~of.faces.fake], of.faces.where(~of.faces.fake))
    found = values(measured(Brightness(), reals, []))
    assert found == {("accuracy@half", UNATTACKED): 1.0, ("bpcer@half", UNATTACKED): 0.0}


def test_no_face_is_an_error(of):
    nobody = AttackFaces(of.inputs[:0], of.faces.where(np.zeros(COUNT, bool)))
    with pytest.raises(UsageError, match="no face to attack"):
        measured(Brightness(), nobody, [fgsm(2)])


def test_the_network_is_left_as_it_was(of):
    network = nn.Sequential(Brightness(), nn.Dropout(0.5), nn.Flatten(0))
    network.train()
    measured(network, of, [fgsm(2)])
    assert all(module.training for module in network.modules())
    assert network[0].scale.grad is None


def test_answers_are_the_networks_in_use_in_any_batches_and_start_from_the_seed(of):
    network = nn.Sequential(Brightness(), nn.Dropout(0.5))
    network.train()
    box, attack = pixel_box(SPEC), pgd(4, 1).model_copy(update={"step": 0.1})
    plain = attack_logits(network, of, None, box, batch_size=7)
    level = np.where(of.faces.fake, 138, 107) + np.arange(COUNT) // 2
    assert plain == pytest.approx(level - 127.5, abs=1e-3)
    one, other, third = (
        attack_logits(network, of, attack, box, batch_size=7, seed=seed) for seed in (0, 0, 1)
    )
    assert np.array_equal(one, other)
    assert not np.array_equal(one, third)


def test_trials_go_beyond_what_training_has_seen():
    names = [
        condition_name(one) for one in reported_attacks(AdversarialRecipe(budget=2.0, steps=3))
    ]
    assert names == ["fgsm-2", "pgd-2x10", "fgsm-8", "pgd-8x10"]
    names = [
        condition_name(one) for one in reported_attacks(AdversarialRecipe(budget=40, steps=30))
    ]
    assert names == ["fgsm-40", "pgd-40x60", "fgsm-64", "pgd-64x60"]
    names = [
        condition_name(one) for one in reported_attacks(AdversarialRecipe(budget=64.0, steps=90))
    ]
    assert names == ["fgsm-64", "pgd-64x100"]


@pytest.mark.parametrize("budget", [2, 0.5, 1e-5, 3.25, 64])
def test_a_condition_is_known_for_an_attack(budget):
    assert all(is_attack(condition_name(one)) for one in (fgsm(budget), pgd(budget, 40)))


@pytest.mark.parametrize(("budget", "steps"), [(2, 10), (0.5, 40), (64, 1)])
def test_many_steps_can_cross_the_budget(budget, steps):
    made = pgd(budget, steps)
    assert made.steps * made.step >= min(64, 2 * budget)


def test_a_network_without_gradients_is_told(of):
    """Its many steps start at random and go nowhere; a wide budget changes nothing."""
    found = measured(Stairs(), of, [fgsm(4), pgd(4, 10), fgsm(16), pgd(16, 10)])
    assert {one.value for one in found if one.metric == "accuracy@half"} == {1.0}
    (output,) = attack_cautions(found)
    assert output.startswith("accuracy@half: 1.000 under pgd-16x10, the widest attack tried, and")


def test_an_honest_network_needs_no_caution(of):
    assert (
        list(
            attack_cautions(
                measured(Brightness(), of, reported_attacks(AdversarialRecipe(budget=6)))
            )
        )
        == []
    )
    assert list(attack_cautions(measured(Brightness(), of, []))) == []


def test_many_steps_that_do_less_than_one_are_told(of):
    """As if the gradient at the picture were right and everywhere else wrong."""
    found = measured(Brightness(), of, [fgsm(64), pgd(64, 10)])
    masked = [
        one.model_copy(update={"value": 0.6, "low": 0.4, "high": 0.8})
        if one.condition == "pgd-64x10"
        else one
        for one in found
    ]
    (output,) = attack_cautions(masked)
    assert output.startswith("accuracy@half: 0.600 under pgd-64x10 but 0.000 under fgsm-64: many")
    near = [
        one.model_copy(update={"value": 0.1, "low": 0.0, "high": 0.3})
        if one.condition == "pgd-64x10"
        else one
        for one in found
    ]
    assert list(attack_cautions(near)) == []


def test_squares_and_root_mean_squares_are_attacks_that_need_no_caution(of):
    """They are measured otherwise, so that they may do less than one step of the same number."""
    found = measured(Brightness(), of, [fgsm(64)])
    like = [one for one in found if one.condition == UNATTACKED]
    for name in ("pgd-l2-64x10", "square-64x100"):
        assert is_attack(name)
        found += [one.model_copy(update={"condition": name}) for one in like]
    assert list(attack_cautions(found)) == []


class CentreFinder:
    """Finds a face in the middle of bright pictures."""

    def find(self, pixels):
        height, width = pixels.shape[:2]
        points = np.array([[0.35, 0.4], [0.65, 0.4], [0.5, 0.55], [0.38, 0.7], [0.62, 0.7]])
        face = Face((0.0, 0.0, width, height), (points * [width, height]).astype(np.float32), 0.9)
        return [face] if pixels.mean() > 50 else []


@pytest.fixture
def folder(tmp_path):
    """Six pictures of each class; the first real one is black."""
    for number in range(12):
        level = 0 if number == 0 else 60 + 10 * number
        cv2.imwrite(str(tmp_path / f"{number:02}.png"), np.full((64, 64, 3), level, np.uint8))
    return tmp_path


def manifest(folder):
    return Manifest(
        tuple(
            Row(
                path.name,
                "fake" if number % 2 else "real",
                "lamp" if number % 2 else "none",
                "greys",
                path.name,
                hashlib.sha256(path.read_bytes()).hexdigest(),
                "test",
            )
            for number, path in enumerate(sorted(folder.glob("*.png")))
        )
    )


def chosen(folder, detector, count, **options):
    where = {"split": "test", "purpose": "final-report", "root": folder, "count": count}
    return select_attack_faces(
        detector, manifest(folder), finder=CentreFinder(), **{**where, **options}
    )


def test_subjects_are_the_inputs_in_use_each_with_its_own_label(folder, tiny_bundle):
    detector = Detector.load(tiny_bundle)
    of = chosen(folder, detector, 100)
    assert len(of.faces) == len(of.inputs) == 11  # no face in the black one
    for number, fake, group in zip(of.inputs, of.faces.fake, of.faces.groups, strict=True):
        picture = cv2.imread(str(folder / str(group)))
        points = CentreFinder().find(picture)[0].landmarks
        assert np.array_equal(number, prepare(picture, points, detector.preprocessing))
        assert fake == bool(int(str(group)[:2]) % 2)


def test_subjects_are_few_and_of_both_classes_evenly(folder, tiny_bundle):
    cv2.imwrite(str(folder / "00.png"), np.full((64, 64, 3), 251, np.uint8))
    of = chosen(folder, Detector.load(tiny_bundle), 6)
    assert sorted(of.faces.fake) == [False] * 3 + [True] * 3


def test_a_split_is_read_for_its_purpose_alone(folder, tiny_bundle):
    with pytest.raises(SplitUseError):
        chosen(folder, Detector.load(tiny_bundle), 6, purpose="calibrate")


def test_without_a_face_there_is_nothing_to_attack(folder, tiny_bundle):
    for path in folder.glob("*.png"):
        path.write_bytes((folder / "00.png").read_bytes())
    rows = manifest(folder).rows[:1]
    with pytest.raises(UsageError, match="no face to attack among 1 pictures of the split 'test'"):
        select_attack_faces(
            Detector.load(tiny_bundle),
            Manifest(rows),
            split="test",
            purpose="final-report",
            root=folder,
            count=4,
            finder=CentreFinder(),
        )


def test_the_final_report_has_attacks_where_training_had(folder, tiny_bundle, monkeypatch):
    monkeypatch.setattr("faceproof.evaluation.scored_faces.YuNet", CentreFinder)
    bundle = Bundle.read(tiny_bundle)
    spec = bundle.spec
    recipe = Recipe.model_validate(
        {
            "data": {"licence": "MIT", "prepared": folder},
            "network": {"preprocessing": spec.preprocessing.model_dump()},
            "adversarial": {"share": 0.5, "budget": 10.0, "steps": 3},
            "export": {"name": "a", "version": "1"},
        }
    )
    found = final_findings(Brightness(), bundle, recipe, manifest(folder))
    assert found == attack_findings(
        Brightness(),
        chosen(folder, Detector.load(tiny_bundle), FACES),
        reported_attacks(recipe.adversarial),
        [spec.operating_points["balanced"]],
        calibration=spec.calibration,
        input_spec=spec.preprocessing.input,
        data_sha256=manifest(folder).sha256,
    )
    assert values(found)["accuracy@balanced", "pgd-40x10"] < 0.5
    plain = recipe.model_copy(update={"adversarial": AdversarialRecipe()})
    assert final_findings(Brightness(), bundle, plain, manifest(folder)) == []
