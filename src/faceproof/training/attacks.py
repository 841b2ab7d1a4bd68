"""`ATTACKS`: white-box attacks, small changes of pictures that cause errors of a network.

Budgets and steps are grey levels of 0..255 in every channel of every pixel of the crop (maximum
norm). Pixels stay within 0..255, and are not rounded to whole levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from faceproof.imaging.preprocessing import InputSpec, network_input
from faceproof.tables import choose
from faceproof.training.recipe import AdversarialRecipe


@dataclass(frozen=True)
class PixelBox:
    """Bounds and scale of network inputs for pixels of 0..255: float32 [3, 1, 1] each."""

    low: Tensor
    """Black, the lowest valid input."""
    high: Tensor
    """White, the highest valid input."""
    grey_level: Tensor
    """Change of an input for one grey level."""

    def clip(self, inputs: Tensor, around: Tensor, budget: float) -> Tensor:
        """Clip inputs to ``budget`` grey levels of ``around`` and to the box."""
        reach = budget * self.grey_level
        near = torch.clamp(inputs, around - reach, around + reach)
        return torch.clamp(near, self.low, self.high)


Random = torch.Generator | None


class _Attack(Protocol):
    """Function from inputs [N, 3, H, W] and targets [N] to adversarial inputs like them."""

    def __call__(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        box: PixelBox,
        recipe: AdversarialRecipe,
        *,
        generator: Random = None,
    ) -> Tensor: ...


def pixel_box(spec: InputSpec, device: torch.device | str = "cpu") -> PixelBox:
    """Return the box of valid inputs under ``spec``, on ``device``."""
    black, white = (
        torch.from_numpy(network_input(np.full((1, 1, 3), level, np.uint8), spec)).to(device)
        for level in (0, 255)
    )
    return PixelBox(low=black, high=white, grey_level=(white - black) / 255)


def perturb(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    box: PixelBox,
    recipe: AdversarialRecipe,
    *,
    share: float | None = None,
    generator: Random = None,
) -> Tensor:
    """Return the inputs [N, 3, H, W] with a random share of them attacked.

    ``share`` defaults to the recipe's; 1 attacks all. A fractional number of pictures is met on
    average. ``model`` is the bare network, not its wrapper for several devices, which counts
    forward passes. It runs in evaluation mode during the attack; its gradients, statistics and
    modes are restored. ``generator`` None is torch's default.

    Raises:
        UnknownChoiceError: ``recipe.attack`` is not in `ATTACKS`.
    """
    attack = choose(ATTACKS, recipe.attack, what="attack")
    chosen = _draw_indices(len(inputs), recipe.share if share is None else share, generator)
    if not len(chosen):
        return inputs
    chosen = chosen.to(inputs.device)
    changed = inputs.detach().clone()
    with evaluation_mode(model):
        changed[chosen] = attack(
            model, inputs[chosen], targets[chosen], box, recipe, generator=generator
        )
    return changed


def fgsm(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    box: PixelBox,
    recipe: AdversarialRecipe,
    *,
    generator: Random = None,  # noqa: ARG001
) -> Tensor:
    """Return inputs moved by the whole budget in one deterministic step.

    Source:
        Fast gradient sign method: I. Goodfellow et al., 2015, arXiv:1412.6572.
    """
    uphill = _gradient_sign(model, inputs, targets)
    return box.clip(inputs + recipe.budget * box.grey_level * uphill, inputs, recipe.budget)


def pgd(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    box: PixelBox,
    recipe: AdversarialRecipe,
    *,
    generator: Random = None,
) -> Tensor:
    """Return inputs moved in ``steps`` steps from a random start within the budget.

    One step of 1.25 times the budget is the fast variant of Wong et al.

    Source:
        Projected gradient descent: A. Madry et al., 2018, arXiv:1706.06083.
        Fast variant: E. Wong et al., 2020, arXiv:2001.03994.
    """
    start = recipe.budget * box.grey_level * (2 * _random_uniform(inputs, generator) - 1)
    moved = box.clip(inputs + start, inputs, recipe.budget)
    for _ in range(recipe.steps):
        step = recipe.step * box.grey_level * _gradient_sign(model, moved, targets)
        moved = box.clip(moved + step, inputs, recipe.budget)
    return moved


ATTACKS: Mapping[str, _Attack] = {"fgsm": fgsm, "pgd": pgd}


def _gradient_sign(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the sign of the cross-entropy's gradient, -1, 0 or 1 like ``inputs``."""
    return ascent_gradient(model, inputs, targets).sign()


def ascent_gradient(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the gradient by ``inputs`` of the logit, or its negative, away from the targets [N].

    It is the gradient of cross-entropy up to a positive factor for each picture: cross-entropy
    rises with the logit above the target and falls with it below. The gradient of the logit keeps
    its sign even if that factor is rounded to 0, which would make a network look robust.

    Source:
        N. Carlini, D. Wagner, 2017, arXiv:1608.04644, section V.
    """
    place = inputs.detach().requires_grad_()
    with torch.enable_grad():
        logits = model(place)
        above = logits.detach() > torch.logit(targets.to(logits.dtype))
        (gradient,) = torch.autograd.grad(torch.where(above, logits, -logits).sum(), place)
    return gradient


def _draw_indices(count: int, share: float, generator: Random) -> Tensor:
    """Return the indices of the pictures to attack, int64 [about ``share`` of ``count``]."""
    if share == 0:
        return torch.arange(0)
    if share == 1:
        return torch.arange(count)
    device = "cpu" if generator is None else generator.device
    chance = torch.rand((), generator=generator, device=device, dtype=torch.float64)
    size = int(share * count + float(chance))
    return torch.randperm(count, generator=generator, device=device)[:size]


def _random_uniform(like: Tensor, generator: Random) -> Tensor:
    """Return random numbers in [0, 1) of a tensor's shape, drawn on the generator's device."""
    device = like.device if generator is None else generator.device
    drawn = torch.rand(like.shape, generator=generator, device=device, dtype=torch.float32)
    return drawn.to(like.device, like.dtype)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put every module of a model in evaluation mode, and restore the modes afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
