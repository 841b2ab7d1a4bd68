"""Losses against analytic values, torch and brute force."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.nn.functional import binary_cross_entropy_with_logits, kl_div  # noqa: E402

from faceproof.errors import UnknownChoiceError  # noqa: E402
from faceproof.training.optimising.losses import (  # noqa: E402
    LOSSES,
    distillation,
    picture_losses,
    worst_share,
)
from faceproof.training.recipe import OptimizerRecipe  # noqa: E402

pytestmark = pytest.mark.train

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
