"""Batch norm: running statistics of the pictures at hand instead of those of another data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from faceproof.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.nn.modules.batchnorm import _BatchNorm


def reestimate_batch_norm(network: nn.Module, batches: Iterable[Tensor]) -> int:
    """Return the number of batches whose plain average all running statistics now are.

    The batches, float [N, 3, H, W] each, go through in training mode but without gradient and
    with dropout off, as in use: dropout before a batch norm, as in our head, inflates the variance
    that training records. Weights and modes are left as they were. Two thousand pictures in
    batches of 64 are plenty.

    Source:
        Statistics anew after training: B. Wu, J. Johnson, 2021, arXiv:2105.07576, section 3.
        Dropout and batch norm: X. Li et al., 2018, arXiv:1801.05134.

    Raises:
        TrainingError: there was no batch, or one with a single picture. The old statistics stay.
    """
    import torch

    seen = 0
    with torch.no_grad(), _averaging(network):
        for batch in batches:
            _check(batch)
            network(batch)
            seen += 1
        if not seen:
            raise TrainingError("batch norm statistics need at least one batch; none was given")
    return seen


def has_batch_norm(module: nn.Module) -> bool:
    """Return whether any batch norm in the module keeps running statistics."""
    return bool(_norms(module))


def freeze_batch_norm(module: nn.Module) -> int:
    """Return how many batch norms now use, and keep, the running statistics that they have.

    They stay so until ``train()`` is called again. Their scales and shifts may still learn.
    """
    norms = _norms(module)
    for norm in norms:
        norm.eval()
    return len(norms)


def set_momentum(module: nn.Module, momentum: float) -> None:
    """Let running statistics forget ``momentum`` of themselves with each batch.

    Keras' ``momentum`` is 1 minus this one: its default of 0.99 is 0.01 here.
    """
    for norm in _norms(module):
        norm.momentum = momentum


def _check(batch: Tensor) -> None:
    if len(batch) < 2:
        raise TrainingError(
            "batch norm statistics need batches of 2 pictures or more; leave out the short last one"
        )


@contextmanager
def _averaging(network: nn.Module) -> Iterator[None]:
    """Average over all batches (momentum None); then modes and momenta are as before.

    After an error the statistics are as before too.
    """
    norms = _norms(network)
    modes = {module: module.training for module in network.modules()}
    momenta = [norm.momentum for norm in norms]
    before = [{name: kept.clone() for name, kept in norm.named_buffers()} for norm in norms]
    network.eval()
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None
    try:
        yield
    except BaseException:
        for norm, buffers in zip(norms, before, strict=True):
            norm.load_state_dict(buffers, strict=False)
        raise
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, training in modes.items():
            module.training = training


def _norms(network: nn.Module) -> list[_BatchNorm]:
    from torch.nn.modules.batchnorm import _BatchNorm

    return [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
