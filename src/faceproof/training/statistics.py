"""Batch norm statistics of the very pictures that are trained on."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from faceproof.networks.batch_norm import has_batch_norm, reestimate_batch_norm
from faceproof.training.feeding.stream import TrainingStream, batches
from faceproof.training.recipe import Recipe


def renew_statistics(
    network: nn.Module, stream: TrainingStream, fabric: Fabric, recipe: Recipe
) -> int:
    """Return from how many faces the running statistics now are: 0 where there are none.

    The faces are the first of the stream, always the same and augmented as in training.

    Source: "precise batch norm", B. Wu, J. Johnson, 2021, arXiv:2105.07576, section 3.
    """
    size = recipe.schedule.batch_size // recipe.schedule.accumulate
    count = -(-recipe.network.batch_norm_pictures // size)
    if not count or not has_batch_norm(network):
        return 0
    with fabric.autocast():
        reestimate_batch_norm(network, _inputs(stream, recipe, fabric, size, count))
    return count * size


def _inputs(
    stream: TrainingStream, recipe: Recipe, fabric: Fabric, size: int, count: int
) -> Iterator[Tensor]:
    """Yield ``count`` batches of training inputs without their targets, on the device."""
    workers = recipe.device.loader_workers
    for inputs, _ in batches(stream, range(count * size), size=size, workers=workers):
        yield inputs.to(fabric.device, memory_format=torch.channels_last)
