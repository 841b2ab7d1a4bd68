"""Two pictures in one, and a target in between: mixup and cutmix, drawn per batch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from faceproof.training.recipe import AugmentRecipe

Random = np.random.Generator


def mixed(
    inputs: Tensor, targets: Tensor, recipe: AugmentRecipe, rng: Random
) -> tuple[Tensor, Tensor]:
    """Return inputs [N, 3, H, W] and targets float [N], mixed by their chances or as given.

    One draw decides between mixup, cutmix and neither; mixed pictures are new tensors. Nothing is
    drawn where the recipe mixes never.
    """
    if recipe.mixup + recipe.cutmix == 0:
        return inputs, targets
    drawn = rng.random()
    if drawn < recipe.mixup:
        return mixup(inputs, targets, recipe.mix_alpha, rng)
    if drawn < recipe.mixup + recipe.cutmix:
        return cutmix(inputs, targets, recipe.mix_alpha, rng)
    return inputs, targets


def mixup(inputs: Tensor, targets: Tensor, alpha: float, rng: Random) -> tuple[Tensor, Tensor]:
    """Return each picture [N, 3, H, W] averaged with another one, and targets [N] likewise.

    Source:
        H. Zhang et al., 2018, arXiv:1710.09412.
    """
    share, partners = float(rng.beta(alpha, alpha)), _partners(inputs, rng)
    return _between(inputs, inputs[partners], share), _between(targets, targets[partners], share)


def cutmix(inputs: Tensor, targets: Tensor, alpha: float, rng: Random) -> tuple[Tensor, Tensor]:
    """Return each picture [N, 3, H, W] with a box out of another; targets [N] by the box's area.

    The box is of the picture's own proportions and is cut at the picture's border.

    Source:
        S. Yun et al., 2019, arXiv:1905.04899.
    """
    share, partners = float(rng.beta(alpha, alpha)), _partners(inputs, rng)
    rows, columns = (_stretch(side, 1 - share, rng) for side in inputs.shape[-2:])
    pasted = inputs.clone()
    pasted[..., rows, columns] = inputs[partners][..., rows, columns]
    height, width = inputs.shape[-2:]
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return pasted, _between(targets, targets[partners], 1 - area / (height * width))


def _partners(inputs: Tensor, rng: Random) -> Tensor:
    """Return for each picture the index of another one, or by chance its own, int64 [N]."""
    return torch.from_numpy(rng.permutation(len(inputs))).to(inputs.device)


def _stretch(side: int, area: float, rng: Random) -> slice:
    """Return the part of a side that a box of this share of the area takes, its centre anywhere."""
    half, centre = side * np.sqrt(area) / 2, rng.uniform(0, side)
    return slice(max(0, round(centre - half)), min(side, round(centre + half)))


def _between(own: Tensor, other: Tensor, share: float) -> Tensor:
    """Return ``share`` of the one and the rest of the other."""
    return share * own + (1 - share) * other
