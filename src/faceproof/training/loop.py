"""`Trainer`: the training loop with averaging, validation, checkpoints and exact resume."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from faceproof.networks import parameter_groups
from faceproof.networks.modules import Network
from faceproof.networks.parameters import freeze_batch_norm
from faceproof.outputs import atomic_write
from faceproof.runs import RunFolder
from faceproof.training.optimizers import learning_rates, make_optimizer
from faceproof.training.recipe import Recipe
from faceproof.training.run.checkpoint import (
    BEST,
    LAST,
    State,
    convert_disk_errors,
    make_average,
    restore,
    size_of,
)
from faceproof.training.run.journal import TrainingJournal
from faceproof.training.run.processes import refuse_other_steps
from faceproof.training.run.snapshots import write_snapshot
from faceproof.training.run.stopping import TrainingStopped, record_signals
from faceproof.training.step import Step, StepResult, Teacher
from faceproof.training.stream import PlainFaces, TrainingStream, make_loader
from faceproof.training.validation import renew_statistics, validate

_LOGGED_EVERY = 10


class Trainer:
    """Runs a recipe's schedule on a network; leaves ``best.pt`` and ``last.pt`` in the run.

    With ``schedule.snapshots`` also the weights of every validation.
    """

    def __init__(
        self,
        fabric: Fabric,
        network: Network,
        recipe: Recipe,
        run: RunFolder,
        *,
        journal: TrainingJournal,
        teacher: Teacher | None = None,
    ) -> None:
        self._fabric = fabric
        self._recipe = recipe
        self._run = run
        self._journal = journal
        network = network.to(memory_format=torch.channels_last)
        optimizer = make_optimizer(_make_groups(network, recipe), recipe.optimizer)
        self._groups = [str(group["name"]) for group in optimizer.param_groups]
        self._full_rates = [group["lr"] for group in optimizer.param_groups]
        average = make_average(network, recipe.optimizer.average_decay).to(fabric.device)
        model, wrapped = fabric.setup(network, optimizer)
        model.train()
        if recipe.network.batch_norm == "frozen" or recipe.network.trainable == "head":
            freeze_batch_norm(network.backbone)
        average.eval()
        self.state = State(network, average, wrapped)
        self._step = Step(fabric, model, wrapped, recipe, teacher=teacher, note=journal.note)

    def run(self, stream: TrainingStream, validation: PlainFaces) -> None:
        """Train to the end of the schedule, from ``last.pt`` if it exists.

        A schedule of no steps validates and saves the network as it is.

        Raises:
            TrainingError: a non-finite gradient, too little memory, a full disk, or a
                ``last.pt`` that cannot be resumed.
            TrainingStopped: Ctrl-C or SIGTERM, after the current step is done and ``last.pt``
            written.
        """
        self._resume()
        schedule, state = self._recipe.schedule, self.state
        started, first = time.monotonic(), state.step
        with record_signals() as request:
            for inputs, targets in () if self._is_done() else self._remaining_batches(stream):
                taken = self._take(inputs, targets)
                self._journal.advance(state.step)
                if state.step % _LOGGED_EVERY == 0:
                    self._report(taken, (state.step - first) / (time.monotonic() - started))
                if state.step == schedule.steps or state.step % schedule.validate_steps == 0:
                    self._validate(stream, validation)
                done, stop = self._is_done(), self._agree_on_signal(request.number)
                if done or stop or state.step % schedule.checkpoint_steps == 0:
                    self._save(LAST, state.checkpoint() | {"parts": self._step.parts})
                if done:
                    break
                if stop:
                    raise TrainingStopped(stop)
        if schedule.steps == 0 and state.best_score < 0:
            self._validate(stream, validation)
            self._save(LAST, state.checkpoint() | {"parts": self._step.parts})
        if state.step < schedule.steps:
            self._journal.note(
                f"stopped early at step {state.step}: {schedule.patience} validations without an "
                f"improvement over step {state.best_step}"
            )

    def _is_done(self) -> bool:
        """Return whether the schedule or the patience of validation is exhausted."""
        schedule, state = self._recipe.schedule, self.state
        hopeless = 0 < schedule.patience <= state.validations_since_best
        return state.step >= schedule.steps or hopeless

    def _remaining_batches(self, stream: TrainingStream) -> Iterable[tuple[Tensor, Tensor]]:
        """Return this process's share of the remaining batches of the schedule."""
        schedule, world = self._recipe.schedule, self._fabric.world_size
        numbers = range(
            self.state.step * schedule.batch_size + self._fabric.global_rank,
            schedule.steps * schedule.batch_size,
            world,
        )
        workers = self._recipe.device.loader_workers
        return make_loader(stream, numbers, size=schedule.batch_size // world, workers=workers)

    def _take(self, inputs: Tensor, targets: Tensor) -> StepResult:
        """Take one optimiser step on this process's share of the batch, and update the average."""
        state = self.state
        now = learning_rates(state.step, self._groups, self._full_rates, self._recipe.schedule)
        for group, rate in zip(state.optimizer.param_groups, now, strict=True):
            group["lr"] = rate
        taken = self._step(inputs, targets, number=state.step)
        state.average.update_parameters(state.network)
        state.step += 1
        return taken

    def _validate(self, stream: TrainingStream, faces: PlainFaces) -> None:
        """Score the averaged network on validation faces; save it if it is the best so far.

        The batch statistics of the averaged weights are measured again, as no past network had
        them. The first process decides for all, so that they stop at the same step.
        """
        if self._recipe.network.batch_norm == "precise" and self._recipe.schedule.steps:
            renew_statistics(self.state.average, stream, self._fabric, self._recipe)
        found = validate(self.state.average, faces, self._fabric, self._recipe)
        values = self._fabric.broadcast(found)
        if self._recipe.schedule.snapshots and self._fabric.is_global_zero:
            weights = self.state.averaged_weights()
            write_snapshot(self._run.path, self.state.step, weights, values)
        best = self.state.record_score(values["validation_auc"], values["validation_loss"])
        if best:
            self._save(BEST, self.state.averaged_weights())
        self._journal.record_validation(self.state.step, values, best=best)

    def _agree_on_signal(self, number: int) -> int:
        """Return the signal received by any process, 0 for none, so that all stop together."""
        if self._fabric.world_size == 1:
            return number
        sent = torch.tensor(number, device=self._fabric.device)
        return int(torch.as_tensor(self._fabric.all_reduce(sent, reduce_op="max")))

    def _resume(self) -> None:
        """Resume the run from ``last.pt``."""
        decays = [group["weight_decay"] for group in self.state.optimizer.param_groups]
        if kept := restore(self.state, self._run.path):
            self._step.parts = int(kept.get("parts", self._step.parts))
            for group, decay in zip(self.state.optimizer.param_groups, decays, strict=True):
                group["weight_decay"] = decay  # the recipe's, which may have changed
        refuse_other_steps(self._fabric, self.state.step, self._run.path)

    def _save(self, name: str, content: dict[str, Any]) -> None:
        """Write a checkpoint atomically, in the first process only."""
        if not self._fabric.is_global_zero:
            return
        folder, needed = self._run.path, size_of(content)
        with (
            convert_disk_errors(folder, needed=needed),
            atomic_write(folder / name, locked=True) as file,
        ):
            torch.save(content, file)

    def _report(self, taken: StepResult, steps_per_second: float) -> None:
        """Log and report the loss and accuracy of the whole batch, and the remaining time."""
        schedule, step = self._recipe.schedule, self.state.step
        figures = self._fabric.all_reduce(taken.figures, reduce_op="mean")
        loss, accuracy = torch.as_tensor(figures).tolist()
        self._journal.record_step(
            step,
            loss=loss,
            accuracy=accuracy,
            pictures_per_second=steps_per_second * schedule.batch_size,
            seconds_left=(schedule.steps - step) / steps_per_second,
            rate=max(group["lr"] for group in self.state.optimizer.param_groups),
        )


def _make_groups(network: Network, recipe: Recipe) -> list[dict[str, Any]]:
    """Return the optimiser's parameter groups at the recipe's rates."""
    optimizer = recipe.optimizer
    return parameter_groups(
        network,
        learning_rate=optimizer.learning_rate,
        weight_decay=optimizer.weight_decay,
        backbone_factor=optimizer.backbone_factor,
        layer_decay=optimizer.layer_decay,
    )
