"""What is learned from: a loss for each picture, the worst share of a batch, a teacher's answers.

Fake is the positive class: logits are of fake, targets are fake probabilities in [0, 1]. All is
computed in float32, whatever precision the network runs in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from faceproof.tables import choose
from faceproof.training.recipe import OptimizerRecipe

Loss = Callable[[Tensor, Tensor, OptimizerRecipe], Tensor]


def picture_losses(logits: Tensor, targets: Tensor, recipe: OptimizerRecipe) -> Tensor:
    """Return the loss of each picture, float32 [N]: labels smoothed, then the recipe's loss.

    ``logits`` and ``targets`` are float [N]. A label keeps ``label_smoothing`` away from 0 and 1.

    Raises:
        UnknownChoiceError: ``recipe.loss`` is not in `LOSSES`.

    Source:
        Label smoothing: C. Szegedy et al., 2016, arXiv:1512.00567, section 7.
    """
    loss = choose(LOSSES, recipe.loss, what="loss")
    smoothing = recipe.label_smoothing
    return loss(logits.float(), targets.float() * (1 - 2 * smoothing) + smoothing, recipe)


def cross_entropy(logits: Tensor, targets: Tensor, _: OptimizerRecipe) -> Tensor:
    """Return the binary cross-entropy of each picture in nats, [N]."""
    return binary_cross_entropy_with_logits(logits, targets, reduction="none")


def focal(logits: Tensor, targets: Tensor, recipe: OptimizerRecipe) -> Tensor:
    """Return the focal loss of each picture, [N]: cross-entropy that thinks little of easy ones.

    A target between 0 and 1 gives the mean of both labels' losses. The weights are powers of
    logarithms, so that the gradient is finite where a probability is rounded to 0 or 1.

    Source:
        T.-Y. Lin et al., 2017, arXiv:1708.02002, without the class weight alpha.
    """
    fake, real = logsigmoid(logits), logsigmoid(-logits)
    of_fake = -torch.exp(recipe.focal_gamma * real) * fake
    of_real = -torch.exp(recipe.focal_gamma * fake) * real
    return targets * of_fake + (1 - targets) * of_real


LOSSES: Mapping[str, Loss] = {"cross_entropy": cross_entropy, "focal": focal}


def worst_share(losses: Tensor, share: float) -> Tensor:
    """Return the mean of the worst ``share`` of the losses [N], a scalar: all of them where 1.

    This is the conditional value at risk: where ``share`` of N is no whole number, the last loss
    counts with the fraction. A share below one picture is the worst picture.

    Source:
        R. Rockafellar, S. Uryasev, 2002, Journal of Banking and Finance 26:1443, for a sample. As
        a loss for groups whose labels are unknown: T. Hashimoto et al., 2018, arXiv:1806.08010.
    """
    if share == 1:
        return losses.mean()
    ordered = losses.sort(descending=True).values
    places = torch.arange(len(losses), device=losses.device, dtype=losses.dtype)
    weights = (share * len(losses) - places).clamp(0, 1)
    return (weights * ordered).sum() / weights.sum()


def distillation(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Return how far each answer is from the teacher's, float32 [N]; 0 where they agree.

    The Kullback-Leibler divergence in nats of both at ``temperature``, times its square, so that
    gradients are of one size at every temperature. No gradient goes to the teacher.

    Source:
        G. Hinton, O. Vinyals, J. Dean, 2015, arXiv:1503.02531, section 2.
    """
    softer = teacher_logits.detach().float() / temperature
    fake, real = torch.sigmoid(softer), torch.sigmoid(-softer)
    entropy = -(torch.xlogy(fake, fake) + torch.xlogy(real, real))
    cross = binary_cross_entropy_with_logits(logits.float() / temperature, fake, reduction="none")
    return (cross - entropy) * temperature**2
