"""Optimisers by name, and sharpness-aware steps around any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from faceproof.tables import choose
from faceproof.training.recipe import OptimizerRecipe

Groups = list[dict[str, Any]]
Places = list[tuple[Tensor, Tensor]]
"""Parameters, and the values that they had."""

_MOMENTUM = 0.9
_TINY = 1e-12
"""Keeps a gradient of 0 from being divided by its length."""


def optimizer_for(groups: Groups, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser of `faceproof.networks.parameter_groups`.

    Raises:
        UnknownChoiceError: ``recipe.name`` is not in `OPTIMIZERS`.
    """
    return choose(OPTIMIZERS, recipe.name, what="optimizer")(groups, recipe)


def adamw(groups: Groups, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    """Return AdamW: weight decay apart from the gradient.

    Source:
        I. Loshchilov, F. Hutter, 2019, arXiv:1711.05101.
    """
    return torch.optim.AdamW(groups, recipe.learning_rate, weight_decay=recipe.weight_decay)


def adam(groups: Groups, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    """Return Adam, with weight decay as a part of the gradient.

    Source:
        D. Kingma, J. Ba, 2015, arXiv:1412.6980.
    """
    return torch.optim.Adam(groups, recipe.learning_rate, weight_decay=recipe.weight_decay)


def sgd(groups: Groups, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    """Return stochastic gradient descent with Nesterov's momentum of 0.9.

    Source:
        I. Sutskever et al., 2013, ICML.
    """
    return torch.optim.SGD(
        groups,
        recipe.learning_rate,
        momentum=_MOMENTUM,
        nesterov=True,
        weight_decay=recipe.weight_decay,
    )


OPTIMIZERS: Mapping[str, Callable[[Groups, OptimizerRecipe], torch.optim.Optimizer]] = {
    "adamw": adamw,
    "adam": adam,
    "sgd": sgd,
}


@torch.no_grad()
def climb(parameters: Iterable[Tensor], radius: float) -> Places:
    """Move the parameters ``radius`` up their gradient; return where they stood, for `descend`.

    The radius is the length of the step of all parameters together; those without a gradient stay.
    A gradient of 0 moves nothing.

    Source:
        Sharpness-aware minimisation: P. Foret et al., 2021, arXiv:2010.01412.
    """
    moving = [(one, one.grad) for one in parameters if one.grad is not None]
    norm = torch.nn.utils.get_total_norm([gradient for _, gradient in moving])
    before = [(one, one.detach().clone()) for one, _ in moving]
    for one, gradient in moving:
        one.add_(gradient * (radius / (norm + _TINY)).to(gradient.device))
    return before


@torch.no_grad()
def descend(places: Places) -> None:
    """Put the parameters back exactly where `climb` found them."""
    for parameter, before in places:
        parameter.copy_(before)


@contextmanager
def steady_statistics(network: nn.Module) -> Iterator[None]:
    """Keep batch norm's running statistics while a network runs in training mode.

    For the second pass of sharpness-aware minimisation, whose weights are not the network's.
    """
    norms = [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


@contextmanager
def climbed(network: nn.Module, radius: float) -> Iterator[None]:
    """Have the network stand `climb` higher, its batch norm statistics kept, and take it back.

    It comes back after an error too. The gradients that it climbed by are still there.
    """
    places = climb(network.parameters(), radius)
    try:
        with steady_statistics(network):
            yield
    finally:
        descend(places)
