"""`Step`: one optimiser step with attacks, mixing, losses, sharpness and clipping."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule as FabricModule
from torch import Tensor, nn

from faceproof.errors import TrainingError
from faceproof.training.attacks import perturb, pixel_box
from faceproof.training.losses import distillation, mix_batch, picture_losses, worst_share
from faceproof.training.optimizers import sam_ascent
from faceproof.training.recipe import Recipe
from faceproof.training.run.checkpoint import seed_step

Teacher = Callable[[Tensor], Tensor]

#: Minimum number of pictures in a part of a batch: batch norm needs several.
_SMALLEST_PART = 2


@dataclass(frozen=True)
class StepResult:
    """Result of one step: ``figures`` are mean loss and accuracy, float32 [2].

    They are on the device: reading them synchronises, which is too slow for every step.
    """

    figures: Tensor

    @property
    def loss(self) -> float:
        """The mean loss."""
        return float(self.figures[0])

    @property
    def accuracy(self) -> float:
        """The accuracy at threshold 0.5."""
        return float(self.figures[1])


class Step:
    """Takes optimiser steps on batches, each divided into ``parts``."""

    def __init__(
        self,
        fabric: Fabric,
        model: FabricModule,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        *,
        teacher: Teacher | None = None,
        note: Callable[[str], None],
    ) -> None:
        self._fabric = fabric
        self._model = model
        # Attacks use the bare network: the multi-device wrapper would prepare a gradient exchange.
        self._bare: nn.Module = model.module
        self._optimizer = optimizer
        self._recipe = recipe
        self._teacher = teacher
        self._note = note
        self._box = pixel_box(recipe.network.preprocessing.input, fabric.device)
        self.parts = recipe.schedule.accumulate

    def __call__(self, inputs: Tensor, targets: Tensor, *, number: int) -> StepResult:
        """Take step ``number`` on inputs [N, 3, S, S] and targets [N], with its own random draws.

        If memory is too small for the batch, halve its parts, log that, and retry the step.

        Raises:
            TrainingError: the gradient is not finite, or memory is too small for two pictures.
        """
        while True:
            try:
                return self._take_step(inputs, targets, number)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._optimizer.zero_grad(set_to_none=True)
                self._halve(len(inputs), error)

    def _take_step(self, inputs: Tensor, targets: Tensor, number: int) -> StepResult:
        taken = self._accumulate_gradient(inputs, targets, number)
        if radius := self._recipe.optimizer.sam_radius:
            with sam_ascent(self._model, radius):
                self._optimizer.zero_grad(set_to_none=True)
                self._accumulate_gradient(inputs, targets, number)
        self._clip(taken, number)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return taken

    def _accumulate_gradient(self, inputs: Tensor, targets: Tensor, number: int) -> StepResult:
        """Accumulate the gradient of the batch over its parts, and return loss and accuracy."""
        process = self._fabric.global_rank
        seed_step(self._recipe.seed, number, process)
        rng = np.random.default_rng([self._recipe.seed, number, process])
        figures = torch.zeros(2, device=self._fabric.device)
        for part, wanted, last in self._split_batch(inputs, targets):
            with self._fabric.no_backward_sync(self._model, enabled=not last):
                part_loss, logits = self._objective(part, wanted, rng)
                self._fabric.backward(part_loss * (len(part) / len(inputs)))
            right = ((logits > 0) == (wanted > 0.5)).float().mean()
            figures += torch.stack([part_loss.detach(), right]) * (len(part) / len(inputs))
        return StepResult(figures)

    def _split_batch(
        self, inputs: Tensor, targets: Tensor
    ) -> Iterator[tuple[Tensor, Tensor, bool]]:
        """Yield the batch in ``parts``, on the device, and whether each is the last one."""
        count = min(self.parts, max(1, len(inputs) // _SMALLEST_PART))
        both = zip(inputs.tensor_split(count), targets.tensor_split(count), strict=True)
        for index, (part, wanted) in enumerate(both):
            ready = part.to(self._fabric.device, memory_format=torch.channels_last)
            yield ready, wanted.to(self._fabric.device, torch.float32), index == count - 1

    def _objective(
        self, inputs: Tensor, targets: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of one part of a batch, and its logits without gradient."""
        recipe = self._recipe
        inputs, targets = mix_batch(inputs, targets, recipe.augment, rng)
        if recipe.adversarial.share:
            with self._fabric.autocast():
                inputs = perturb(self._bare, inputs, targets, self._box, recipe.adversarial)
        logits = self._model(inputs)
        losses = picture_losses(logits, targets, recipe.optimizer)
        if self._teacher is not None:
            teacher_logits = self._teacher(inputs)
            taught = distillation(logits, teacher_logits, recipe.distil.temperature)
            losses = losses + self._teacher_weights(teacher_logits, targets) * (taught - losses)
        return worst_share(losses, recipe.optimizer.cvar), logits.detach()

    def _teacher_weights(self, teacher_logits: Tensor, targets: Tensor) -> Tensor:
        """Return the teacher's weight in each loss, [N]; 0 for errors if the recipe skips them."""
        distil = self._recipe.distil
        followed = torch.ones_like(targets)
        if distil.follow == "where_right":
            followed = ((teacher_logits > 0) == (targets > 0.5)).to(targets.dtype)
        return distil.weight * followed

    def _clip(self, taken: StepResult, number: int) -> None:
        """Clip the gradient, with the same result or error in every process."""
        norm: Any = self._fabric.clip_gradients(
            self._model,
            self._optimizer,
            max_norm=self._recipe.optimizer.clip_norm,
            error_if_nonfinite=False,
        )
        if norm is None or not torch.isfinite(norm):
            raise TrainingError(
                f"the gradient is not finite at step {number} (loss {taken.loss:.4g}): "
                "lower optimizer.learning_rate, or set device.precision = '32-true'; "
                "last.pt, if it exists, is from an earlier step"
            )

    def _halve(self, size: int, error: Exception) -> None:
        """Double the number of parts of each batch from now on.

        Raises:
            TrainingError: parts of two pictures are already too large, or there are several
                devices, which would have to agree.
        """
        if self._fabric.world_size > 1 or size // (self.parts * 2) < _SMALLEST_PART:
            raise TrainingError(
                f"too little memory for {size // self.parts} pictures at once: set "
                f"schedule.accumulate to {self.parts * 2} or more, or a smaller "
                "schedule.batch_size, crop or network; last.pt is from an earlier step"
            ) from error
        self.parts *= 2
        self._note(
            f"too little memory for {2 * size // self.parts} pictures at once: batches are "
            f"computed in {self.parts} parts from now on (schedule.accumulate = {self.parts})"
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means out of memory; on the CPU it has no class of its own.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("shapes differ"))
    (True, False)
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text
