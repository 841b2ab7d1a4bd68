"""When the network learns how fast: warm-up, decay, head first, stage after stage."""

from __future__ import annotations

import math
from collections.abc import Sequence

from faceproof.training.recipe import Recipe, ScheduleRecipe


def with_steps(recipe: Recipe, rows: int) -> Recipe:
    """Return the recipe with its ``epochs`` over ``rows`` training faces as optimiser steps.

    An epoch is as many faces as there are; they are drawn, so some come twice and some not at all.
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


def rates(
    step: int, groups: Sequence[str], full: Sequence[float], schedule: ScheduleRecipe
) -> list[float]:
    """Return the learning rate of each parameter group at ``step``; 0 while its stage rests.

    ``groups`` are names of `networks.parameter_groups`, the backbone's first stage first.

    Source: gradual unfreezing, J. Howard, S. Ruder, 2018, arXiv:1801.06146.
    """
    factor, thaw = rate_factor(step, schedule), thawing(groups, schedule)
    return [
        0.0 if step < thaw[stage_of(name)] else rate * factor
        for name, rate in zip(groups, full, strict=True)
    ]


def thawing(groups: Sequence[str], schedule: ScheduleRecipe) -> dict[str, int]:
    """Return the step from which each stage learns: the head from the first, the last stage next.

    >>> thawing(["backbone.a.matrices", "backbone.b.matrices", "head.matrices"],
    ...         ScheduleRecipe(head_first_steps=10, thaw_steps=20))
    {'head': 0, 'backbone.b': 10, 'backbone.a': 20}
    """
    stages = list(dict.fromkeys(stage_of(name) for name in groups))
    backbone = [stage for stage in reversed(stages) if stage != "head"]
    every = schedule.thaw_steps / max(1, len(backbone))
    return {"head": 0} | {
        stage: schedule.head_first_steps + math.floor(depth * every)
        for depth, stage in enumerate(backbone)
    }


def stage_of(group: str) -> str:
    """Return the stage that a parameter group belongs to.

    >>> stage_of("backbone.features.norm5.vectors")
    'backbone.features.norm5'
    """
    return group.rpartition(".")[0]
