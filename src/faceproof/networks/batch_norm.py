"""Batch norm: running statistics of the pictures at hand instead of those of another data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from faceproof.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor, nn


def reestimate_batch_norm(network: nn.Module, batches: Iterable[Tensor]) -> int:
    """Return the number of batches of which all running means and variances are now the plain average.

    The batches, float [N, 3, H, W] each, go through in training mode but without gradient and
    with dropout off; weights and the network's mode are left as they were. A few thousand
    pictures are enough.

    Raises:
        TrainingError: there was no batch, or a batch of a single picture.
    """
    import torch

    norms = _batch_norms(network)
    seen = 0
    with torch.no_grad(), _averaging(network, norms):
        for batch in batches:
            _two_or_more(batch)
            network(batch)
            seen += 1
    if not seen:
        raise TrainingError(
            "batch norm statistics need at least one batch of pictures; none was given"
        )
    return seen


def _two_or_more(batch: Tensor) -> None:
    if len(batch) < 2:
        raise TrainingError(
            "batch norm statistics need batches of 2 pictures or more; drop the last, short one"
        )


def _batch_norms(network: nn.Module) -> list[nn.Module]:
    from torch.nn.modules.batchnorm import _BatchNorm

    return [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]


@contextmanager
def _averaging(network: nn.Module, norms: list[nn.Module]) -> Iterator[None]:
    """Set the norms to a cumulative average (momentum None) and put modes and momenta back."""
    modes = {module: module.training for module in network.modules()}
    momenta = {norm: norm.momentum for norm in norms}
    network.eval()
    for norm in norms:
        norm.train()
        norm.reset_running_stats()  # type: ignore[operator]
        norm.momentum = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for norm, momentum in momenta.items():
            norm.momentum = momentum
        for module, training in modes.items():
            module.training = training
