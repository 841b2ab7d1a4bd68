"""`make_optimizer` and `learning_rates`: optimisers, schedules, sharpness-aware steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from faceproof.tables import choose
from faceproof.training.recipe import OptimizerRecipe, Recipe, ScheduleRecipe

Groups = list[dict[str, Any]]
_Places = list[tuple[Tensor, Tensor]]
"""Parameters with their saved values."""

_MOMENTUM = 0.9
_TINY = 1e-12
"""Avoids division by the norm of a zero gradient."""


def make_optimizer(groups: Groups, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser of `faceproof.networks.parameter_groups`.

    Raises:
        UnknownChoiceError: ``recipe.name`` is not in `OPTIMIZERS`.
    """
    return choose(OPTIMIZERS, recipe.name, what="optimizer")(groups, recipe)


def adamw(groups: Groups, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    """Return AdamW: weight decay decoupled from the gradient.

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
def ascend_gradient(parameters: Iterable[Tensor], radius: float) -> _Places:
    """Move parameters ``radius`` up their gradient; `restore_parameters` takes what is returned.

    The radius is the norm of the joint step of all parameters; those without a gradient stay. A
    zero gradient moves nothing.

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
def restore_parameters(places: _Places) -> None:
    """Restore the parameters to their exact values before `ascend_gradient`."""
    for parameter, before in places:
        parameter.copy_(before)


@contextmanager
def freeze_statistics(network: nn.Module) -> Iterator[None]:
    """Freeze batch norm's running statistics while a network runs in training mode.

    Used for the second pass of sharpness-aware minimisation, at perturbed weights.
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
def sam_ascent(network: nn.Module, radius: float) -> Iterator[None]:
    """Run the body at weights perturbed by `ascend_gradient`, with frozen statistics, then restore.

    Weights are restored after an error too. The gradients used by `ascend_gradient` are kept.
    """
    places = ascend_gradient(network.parameters(), radius)
    try:
        with freeze_statistics(network):
            yield
    finally:
        restore_parameters(places)


def epochs_to_steps(recipe: Recipe, rows: int) -> Recipe:
    """Return the recipe with its ``epochs`` over ``rows`` training faces as optimiser steps.

    An epoch draws as many faces as there are, at random: some come twice, some not at all.
    """
    schedule = recipe.schedule
    if schedule.epochs is None:
        return recipe
    steps = max(1, math.ceil(schedule.epochs * rows / schedule.batch_size))
    return recipe.model_copy(update={"schedule": schedule.model_copy(update={"steps": steps})})


def rate_factor(step: int, schedule: ScheduleRecipe) -> float:
    """Return the share of the full learning rate at ``step``: linear warm-up, then the shape.

    >>> short = ScheduleRecipe(steps=10, warmup_steps=2)
    >>> [round(rate_factor(step, short), 2) for step in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    >>> stairs = ScheduleRecipe(steps=10, warmup_steps=0, shape="step", falls_at=(0.5, 0.9))
    >>> [round(rate_factor(step, stairs), 2) for step in (0, 4, 5, 9)]
    [1.0, 1.0, 0.1, 0.01]
    """
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    if schedule.shape == "constant":
        return 1.0
    if schedule.shape == "step":
        falls = sum(step >= share * schedule.steps for share in schedule.falls_at)
        return float(0.1**falls)
    done = (step - schedule.warmup_steps) / max(1, schedule.steps - schedule.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def learning_rates(
    step: int, groups: Sequence[str], full: Sequence[float], schedule: ScheduleRecipe
) -> list[float]:
    """Return the learning rate of each parameter group at ``step``; 0 while its stage is frozen.

    ``groups`` are names from `networks.parameter_groups`, first backbone stage first.

    Source: gradual unfreezing, J. Howard, S. Ruder, 2018, arXiv:1801.06146.
    """
    factor, thaw = rate_factor(step, schedule), _unfreeze_steps(groups, schedule)
    return [
        0.0 if step < thaw[_stage_of(name)] else rate * factor
        for name, rate in zip(groups, full, strict=True)
    ]


def _unfreeze_steps(groups: Sequence[str], schedule: ScheduleRecipe) -> dict[str, int]:
    """Return the step at which each stage unfreezes: the head first, then the last stage.

    >>> _unfreeze_steps(["backbone.a.matrices", "backbone.b.matrices", "head.matrices"],
    ...         ScheduleRecipe(head_first_steps=10, thaw_steps=20))
    {'head': 0, 'backbone.b': 10, 'backbone.a': 20}
    """
    stages = list(dict.fromkeys(_stage_of(name) for name in groups))
    backbone = [stage for stage in reversed(stages) if stage != "head"]
    every = schedule.thaw_steps / max(1, len(backbone))
    return {"head": 0} | {
        stage: schedule.head_first_steps + math.floor(depth * every)
        for depth, stage in enumerate(backbone)
    }


def _stage_of(group: str) -> str:
    """Return the stage of a parameter group.

    >>> _stage_of("backbone.features.norm5.vectors")
    'backbone.features.norm5'
    """
    return group.rpartition(".")[0]
