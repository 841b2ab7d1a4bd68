"""Losses against analytic values, torch and brute force.

Mixup and cutmix: targets by the true share, nothing changed that is not mixed.

A teacher answers about the student's own inputs as the detector does in use.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train
from torch.nn.functional import binary_cross_entropy_with_logits, kl_div  # noqa: E402

from faceproof.detector import (  # noqa: E402
    Detector,
    DetectorSpec,
    OnnxFile,
    WeightsFile,
    write_bundle,
)
from faceproof.errors import BundleNotFoundError, TrainingError, UnknownChoiceError  # noqa: E402
from faceproof.imaging.preprocessing import (  # noqa: E402
    CropSpec,
    InputSpec,
    Preprocessing,
    network_input,
)
from faceproof.training import losses as teaching  # noqa: E402
from faceproof.training.losses import (  # noqa: E402
    LOSSES,
    Teacher,
    cutmix,
    distillation,
    mix_batch,
    mixup,
    picture_losses,
    worst_share,
)
from faceproof.training.recipe import AugmentRecipe, OptimizerRecipe  # noqa: E402

LOGITS = torch.tensor([-3.0, -0.2, 0.0, 0.7, 2.5, 6.0])
TARGETS = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.3])
EXTREME = torch.tensor([-1e4, -100.0, -20.0, 0.0, 20.0, 100.0, 1e4, 1e30])


def recipe(**changes):
    return OptimizerRecipe.model_validate({"label_smoothing": 0.0, **changes})


def reference(logits, targets):
    return binary_cross_entropy_with_logits(logits, targets, reduction="none")


def test_cross_entropy_is_torchs():
    assert picture_losses(LOGITS, TARGETS, recipe()).tolist() == pytest.approx(
        reference(LOGITS, TARGETS).tolist()
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_is_one_number_a_picture_and_prefers_the_right_answer(loss):
    answers = torch.tensor([-2.0, 2.0, -2.0, 2.0])
    losses = picture_losses(answers, torch.tensor([0.0, 1.0, 1.0, 0.0]), recipe(loss=loss))
    assert losses.shape == (4,)
    assert losses[:2].tolist() == pytest.approx([float(losses[0])] * 2)
    assert losses[2:].tolist() == pytest.approx([float(losses[2])] * 2)
    assert losses[0] < losses[2]


def test_focal_without_gamma_is_cross_entropy():
    losses = picture_losses(LOGITS, TARGETS, recipe(loss="focal", focal_gamma=0.0))
    torch.testing.assert_close(losses, reference(LOGITS, TARGETS))


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_focal_is_the_papers_formula(gamma):
    for logit, target in zip(LOGITS.tolist(), [0, 1, 1, 0, 1, 0], strict=True):
        p = 1 / (1 + math.exp(-logit))
        right = p if target else 1 - p
        (loss,) = picture_losses(
            torch.tensor([logit]),
            torch.tensor([float(target)]),
            recipe(loss="focal", focal_gamma=gamma),
        )
        assert float(loss) == pytest.approx(-((1 - right) ** gamma) * math.log(right), rel=1e-5)


def test_a_soft_target_mixes_the_losses_of_both_labels():
    focal = recipe(loss="focal")
    fake, real = (picture_losses(LOGITS, torch.full((6,), y), focal) for y in (1.0, 0.0))
    soft = picture_losses(LOGITS, torch.full((6,), 0.25), focal)
    torch.testing.assert_close(soft, 0.25 * fake + 0.75 * real)


@pytest.mark.parametrize("loss", LOSSES)
def test_label_smoothing_moves_both_labels_towards_the_middle(loss):
    smoothed = picture_losses(LOGITS, TARGETS, recipe(loss=loss, label_smoothing=0.1))
    moved = picture_losses(LOGITS, 0.1 + 0.8 * TARGETS, recipe(loss=loss))
    torch.testing.assert_close(smoothed, moved)


def test_a_smoothed_label_is_learned_best_at_its_smoothed_value():
    logits = torch.logit(torch.arange(1, 100) / 100.0)
    losses = picture_losses(logits, torch.ones(99), recipe(label_smoothing=0.1))
    assert int(losses.argmin()) + 1 == 90


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("target", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("gamma", [0.3, 2.0])
def test_extreme_logits_have_finite_losses_and_gradients(loss, target, gamma):
    logits = EXTREME.clone().requires_grad_()
    losses = picture_losses(
        logits, torch.full_like(EXTREME, target), recipe(loss=loss, focal_gamma=gamma)
    )
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert torch.isfinite(logits.grad).all()


def test_a_sure_error_still_has_a_gradient_under_the_focal_loss():
    logits = torch.tensor([60.0], requires_grad=True)
    picture_losses(logits, torch.zeros(1), recipe(loss="focal")).sum().backward()
    assert logits.grad.item() == pytest.approx(1.0)


@pytest.mark.parametrize("loss", LOSSES)
def test_bf16_logits_are_judged_in_float32(loss):
    coarse = LOGITS.bfloat16()
    losses = picture_losses(coarse, TARGETS.bfloat16(), recipe(loss=loss, label_smoothing=0.03))
    fine = picture_losses(
        coarse.float(), TARGETS.bfloat16().float(), recipe(loss=loss, label_smoothing=0.03)
    )
    assert losses.dtype == torch.float32
    assert torch.equal(losses, fine)


def test_an_unknown_loss_lists_the_choices():
    unknown = recipe().model_copy(update={"loss": "hinge"})
    with pytest.raises(UnknownChoiceError, match="cross_entropy, focal"):
        picture_losses(LOGITS, TARGETS, unknown)


def brute_force(losses, share):
    """Return the mean of the worst ``share``, each loss cut into a thousand pieces."""
    pieces = np.repeat(np.sort(np.asarray(losses))[::-1], 1000)
    return pieces[: round(share * len(pieces))].mean()


@pytest.mark.parametrize("share", [0.001, 0.05, 0.1, 0.25, 0.333, 0.5, 0.77, 0.999, 1.0])
@pytest.mark.parametrize("count", [1, 2, 7, 48])
def test_the_worst_share_is_a_sorted_mean_with_a_fraction_at_its_border(share, count):
    losses = np.random.default_rng(count).gamma(2.0, size=count)
    assert float(worst_share(torch.from_numpy(losses), share)) == pytest.approx(
        brute_force(losses, share)
    )


def test_the_worst_of_all_is_the_mean():
    losses = torch.tensor([3.0, 1.0, 2.0])
    assert worst_share(losses, 1.0) == losses.mean()


def test_the_worst_share_is_learned_from_and_nothing_else():
    losses = torch.tensor([1.0, 4.0, 3.0, 2.0], requires_grad=True)
    worst_share(losses, 0.375).backward()
    torch.testing.assert_close(losses.grad, torch.tensor([0.0, 1.0, 0.5, 0.0]) / 1.5)


def test_a_loss_that_is_no_number_is_not_hidden_among_the_best():
    assert torch.isnan(worst_share(torch.tensor([1.0, math.nan, 2.0]), 0.3))


def test_distillation_is_torchs_divergence_times_the_temperature_squared():
    teacher = torch.tensor([1.0, -4.0, 0.3, 0.0, 9.0, -2.0])
    for temperature in (1.0, 2.0, 5.0):
        of_teacher, of_student = (
            torch.sigmoid(torch.stack([one, -one]) / temperature) for one in (teacher, LOGITS)
        )
        expected = kl_div(of_student.log(), of_teacher, reduction="none").sum(0) * temperature**2
        torch.testing.assert_close(distillation(LOGITS, teacher, temperature), expected)


def test_agreement_costs_nothing_and_has_no_gradient():
    logits = LOGITS.clone().requires_grad_()
    losses = distillation(logits, LOGITS, 2.0)
    losses.sum().backward()
    torch.testing.assert_close(losses, torch.zeros(6), atol=1e-6, rtol=0)
    torch.testing.assert_close(logits.grad, torch.zeros(6), atol=1e-6, rtol=0)


def test_the_gradient_of_distillation_hardly_depends_on_the_temperature():
    sizes = []
    for temperature in (20.0, 40.0):
        logits = torch.tensor([0.5], requires_grad=True)
        distillation(logits, torch.tensor([-0.5]), temperature).sum().backward()
        sizes.append(logits.grad.item())
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-2)
    assert sizes[0] == pytest.approx(0.25, rel=1e-2)


def test_a_certain_teacher_and_a_certain_student_are_finite():
    teacher = torch.tensor([math.inf, -math.inf, 1e4, -1e4, 0.0])
    logits = torch.tensor([-1e4, 1e4, 30.0, 0.0, 1e4], requires_grad=True)
    losses = distillation(logits, teacher, 2.0)
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert torch.isfinite(logits.grad).all()


def test_the_teacher_learns_nothing():
    teacher = LOGITS.clone().requires_grad_()
    logits = (-LOGITS).requires_grad_()
    distillation(logits, teacher, 2.0).sum().backward()
    assert teacher.grad is None


def test_distillation_in_bf16_is_judged_in_float32():
    coarse = LOGITS.bfloat16()
    losses = distillation(coarse, TARGETS.bfloat16(), 2.0)
    assert torch.equal(losses, distillation(coarse.float(), TARGETS.bfloat16().float(), 2.0))


COUNT, HEIGHT, WIDTH = 6, 12, 10


@pytest.fixture
def numbered():
    """Inputs that say whose they are: picture i is i all over; and a target each."""
    inputs = torch.arange(COUNT, dtype=torch.float32)[:, None, None, None].expand(
        COUNT, 3, HEIGHT, WIDTH
    )
    return inputs.clone(), torch.tensor([0.0, 1.0, 0.0, 1.0, 1.0, 0.0])


def rng(seed=0):
    return np.random.default_rng(seed)


def partner_of(inputs, mixed_inputs, number):
    """Return whose pixels stand in a cutmixed picture beside its own."""
    found = set(mixed_inputs[number].unique().tolist()) - {float(number)}
    assert len(found) <= 1
    return int(found.pop()) if found else number


@pytest.mark.parametrize("seed", range(20))
def test_cutmix_weighs_targets_by_the_pixels_that_are_there(numbered, seed):
    inputs, targets = numbered
    pasted, weighed = cutmix(inputs, targets, 1.0, rng(seed))
    for number in range(COUNT):
        partner = partner_of(inputs, pasted, number)
        share = float((pasted[number] == number).float().mean())
        expected = share * targets[number] + (1 - share) * targets[partner]
        assert float(weighed[number]) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_cutmix_pastes_one_box_at_the_same_place_in_every_channel(numbered, seed):
    inputs, targets = numbered
    pasted, _ = cutmix(inputs, targets, 1.0, rng(seed))
    foreign = (pasted != inputs)[(pasted != inputs).flatten(1).any(1)]
    for one in foreign:
        rows, columns = one[0].any(1), one[0].any(0)
        assert torch.equal(one[0], rows[:, None] & columns)
        assert all(torch.equal(channel, one[0]) for channel in one)
        for line in (rows, columns):
            where = line.nonzero().flatten()
            assert len(where) == where[-1] - where[0] + 1


def test_cutmix_boxes_are_of_the_drawn_area_where_no_border_cuts_them():
    """Shares near one half; some boxes lie wholly inside, and none is larger than drawn."""
    inputs, targets = torch.arange(2.0)[:, None, None, None].expand(2, 3, 100, 100), torch.ones(2)
    areas, drawn = [], []
    for seed in range(60):
        pasted, _ = cutmix(inputs, targets, 30.0, rng(seed))
        drawn.append(1 - rng(seed).beta(30.0, 30.0))
        areas.append(float((pasted[0] == 1).float().mean()))
    met = [(a, d) for a, d in zip(areas, drawn, strict=True) if a > 0]
    assert max(a - d for a, d in met) < 0.02
    assert max(a / d for a, d in met) == pytest.approx(1, abs=0.04)


def test_cutmix_boxes_reach_every_place():
    inputs, targets = torch.arange(2.0)[:, None, None, None].expand(2, 3, 8, 8), torch.ones(2)
    hits = sum((cutmix(inputs, targets, 1.0, rng(seed))[0][0, 0] == 1).int() for seed in range(100))
    assert int(hits.min()) > 0


@pytest.mark.parametrize("seed", range(5))
def test_mixup_is_one_share_for_pictures_and_targets(numbered, seed):
    inputs, targets = numbered
    averaged, weighed = mixup(inputs, targets, 1.0, rng(seed))
    again = rng(seed)
    share, partners = again.beta(1.0, 1.0), again.permutation(COUNT)
    own = torch.arange(COUNT, dtype=torch.float32)
    expected = share * own + (1 - share) * own[partners]
    torch.testing.assert_close(averaged, expected[:, None, None, None].expand_as(averaged))
    torch.testing.assert_close(weighed, share * targets + (1 - share) * targets[partners])


def test_a_small_alpha_leaves_one_picture_nearly_whole(numbered):
    inputs, targets = torch.arange(2.0)[:, None, None, None].expand(2, 3, 4, 4), torch.ones(2)
    middling = {
        alpha: sum(
            0.2 < float(mixup(inputs, targets, alpha, rng(seed))[0][0].mean()) < 0.8
            for seed in range(200)
        )
        for alpha in (0.05, 5.0)
    }
    assert middling[0.05] < 0.2 * middling[5.0]


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shapes_types_and_the_given_tensors_stay(numbered, kind, dtype):
    inputs, targets = (one.to(dtype) for one in numbered)
    inputs = inputs.to(memory_format=torch.channels_last)
    before = inputs.clone(), targets.clone()
    got, weighed = mix_batch(inputs, targets, AugmentRecipe.model_validate({kind: 1.0}), rng())
    assert (got.shape, got.dtype) == (inputs.shape, dtype)
    assert (weighed.shape, weighed.dtype) == (targets.shape, dtype)
    assert got.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(inputs, before[0])
    assert torch.equal(targets, before[1])
    assert not torch.equal(got, inputs)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_the_same_generator_mixes_the_same(numbered, kind):
    recipe = AugmentRecipe.model_validate({kind: 1.0})
    one, other, third = (mix_batch(*numbered, recipe, rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
    assert not torch.equal(one[0], third[0])


def test_chances_are_kept_and_exclude_one_another(numbered):
    inputs, targets = numbered
    recipe, draw = AugmentRecipe(mixup=0.3, cutmix=0.2), rng()
    kinds = {"as given": 0, "mixup": 0, "cutmix": 0}
    for _ in range(600):
        got, _ = mix_batch(inputs, targets, recipe, draw)
        whole = bool((got == got.round()).all())
        kinds["as given" if got is inputs else "cutmix" if whole else "mixup"] += 1
    assert kinds["as given"] == pytest.approx(300, abs=60)
    assert kinds["mixup"] == pytest.approx(180, abs=50)
    assert kinds["cutmix"] == pytest.approx(120, abs=45)


def test_without_chances_nothing_is_drawn(numbered):
    draw = rng()
    before = draw.bit_generator.state
    got, weighed = mix_batch(*numbered, AugmentRecipe(), draw)
    assert got is numbered[0]
    assert weighed is numbered[1]
    assert draw.bit_generator.state == before


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_a_single_picture_has_only_itself_to_mix_with(kind):
    inputs, targets = torch.rand(1, 3, 4, 4), torch.ones(1)
    got, weighed = mix_batch(inputs, targets, AugmentRecipe.model_validate({kind: 1.0}), rng())
    torch.testing.assert_close(got, inputs)
    torch.testing.assert_close(weighed, targets)


OTHER = InputSpec(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))


@pytest.fixture
def crops() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)


@pytest.fixture
def student(tiny_spec: DetectorSpec) -> Preprocessing:
    """A student with the teacher's crop and another normalisation."""
    return Preprocessing(crop=tiny_spec.preprocessing.crop, input=OTHER)


def log_odds(p: np.ndarray) -> np.ndarray:
    return np.log(p / (1 - p))


def test_it_gives_the_log_odds_that_the_detector_gives(
    tiny_bundle: Path, student: Preprocessing, crops: np.ndarray
) -> None:
    detector = Detector.load(tiny_bundle)
    expected = log_odds(
        detector.fake_probabilities(network_input(crops, detector.preprocessing.input))
    )
    inputs = torch.from_numpy(network_input(crops, OTHER)).requires_grad_()
    answers = Teacher(tiny_bundle, student)(inputs.contiguous(memory_format=torch.channels_last))
    assert answers.dtype == torch.float32
    assert answers.shape == (5,)
    assert not answers.requires_grad
    assert answers.numpy() == pytest.approx(expected, abs=2e-5)


def test_an_ensemble_teaches_too(
    tmp_path: Path,
    tiny_spec: DetectorSpec,
    tiny_files: dict[str, bytes],
    student: Preprocessing,
    crops: np.ndarray,
) -> None:
    (one,) = tiny_spec.members
    other = one.model_copy(
        update={
            "name": "other",
            "input": OTHER,
            "weights": WeightsFile(name="other.safetensors", sha256="0" * 64),
            "onnx": OnnxFile(name="other.onnx", sha256="0" * 64),
        }
    )
    files = tiny_files | {
        "other.safetensors": tiny_files["bright.safetensors"],
        "other.onnx": tiny_files["bright.onnx"],
    }
    spec = tiny_spec.model_copy(update={"members": (one, other)})
    folder = write_bundle(tmp_path / "both", spec, files).folder
    means = [
        network_input(crops, read).mean(axis=(1, 2, 3))
        for read in (tiny_spec.preprocessing.input, OTHER)
    ]
    expected = 1.0 * (4 * np.mean(means, axis=0) + 0.5) - 0.5
    answers = Teacher(folder, student)(torch.from_numpy(network_input(crops, OTHER)))
    assert answers.numpy() == pytest.approx(expected, abs=2e-5)


def test_half_precision_inputs_are_widened(
    tiny_bundle: Path, tiny_spec: DetectorSpec, crops: np.ndarray
) -> None:
    inputs = torch.from_numpy(network_input(crops, tiny_spec.preprocessing.input))
    teacher = Teacher(tiny_bundle, tiny_spec.preprocessing)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        answers = teacher(inputs.bfloat16())
    assert answers.dtype == torch.float32
    assert answers.numpy() == pytest.approx(teacher(inputs).numpy(), abs=0.05)


def test_it_is_opened_once_on_no_more_threads_than_torch_has(
    tiny_bundle: Path, student: Preprocessing, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[dict[str, object]] = []
    load = Detector.load

    def noted(name: str, **options: object) -> Detector:
        opened.append(options)
        return load(name, **options)

    monkeypatch.setattr(teaching.Detector, "load", noted)
    monkeypatch.setattr(teaching.torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(teaching, "usable_cores", lambda: 2)
    teacher = Teacher(tiny_bundle, student)
    for _ in range(2):
        teacher(torch.zeros(2, 3, 32, 32))
    assert opened == [{"threads": 2}]


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        ({"size": 64}, "size 64 against 32"),
        ({"margin": 0.1}, "margin 0.1 against 0.0"),
        ({"method": "whole"}, "method whole against five_point"),
    ],
)
def test_another_crop_is_refused_with_what_to_set(
    tiny_bundle: Path, tiny_spec: DetectorSpec, crop: dict[str, object], message: str
) -> None:
    own = {**dict(tiny_spec.preprocessing.crop), **crop}
    student = Preprocessing(crop=CropSpec.model_validate(own))
    with pytest.raises(TrainingError, match=f"{message}.*network.preprocessing.crop"):
        Teacher(tiny_bundle, student)


def test_no_such_detector(tmp_path: Path, student: Preprocessing) -> None:
    with pytest.raises(BundleNotFoundError, match="no detector"):
        Teacher(tmp_path / "none", student)
