"""The training loop: warm-up, cosine, weight averaging, validation, checkpoints, exact resume."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from faceproof.errors import TrainingError
from faceproof.evaluation.metrics import measure
from faceproof.networks import parameter_groups
from faceproof.networks.network import Network
from faceproof.runs import RunFolder, replacing
from faceproof.training.recipe import Recipe
from faceproof.training.state import State, averaged, rate_factor, seed_step
from faceproof.training.stopping import Stopped, noting_signals
from faceproof.training.stream import PlainFaces, TrainingStream, batches

Progress = Callable[[str], None]

_LOGGED_EVERY = 10


class Trainer:
    """Runs a recipe's schedule on a network; leaves ``best.pt`` and ``last.pt`` in the run."""

    def __init__(
        self,
        fabric: Fabric,
        network: Network,
        recipe: Recipe,
        run: RunFolder,
        *,
        progress: Progress,
    ) -> None:
        self._fabric = fabric
        self._recipe = recipe
        self._run = run
        self._progress = progress
        optimizer = torch.optim.AdamW(
            parameter_groups(
                network,
                learning_rate=recipe.optimizer.learning_rate,
                weight_decay=recipe.optimizer.weight_decay,
                backbone_factor=recipe.optimizer.backbone_factor,
            )
        )
        self._full_rates = [group["lr"] for group in optimizer.param_groups]
        network = network.to(memory_format=torch.channels_last)
        average = averaged(network, recipe.optimizer.average_decay).to(fabric.device)
        self._model, wrapped = fabric.setup(network, optimizer)
        self._model.train()
        average.eval()
        self.state = State(network, average, wrapped)

    def run(self, stream: TrainingStream, validation: PlainFaces) -> None:
        """Train to the end of the schedule, from ``last.pt`` where there is one.

        Raises:
            TrainingError: a gradient that is no number, a batch that does not divide.
            Stopped: Ctrl-C or SIGTERM, when the step under way is done and ``last.pt`` written.
        """
        self._resume()
        schedule, state = self._recipe.schedule, self.state
        started, first = time.monotonic(), state.step
        with noting_signals() as request:
            for inputs, targets in self._batches(stream):
                loss = self._step(inputs, targets)
                last = state.step == schedule.steps
                if state.step % _LOGGED_EVERY == 0:
                    self._tell(loss, (state.step - first) / (time.monotonic() - started))
                if last or state.step % schedule.validate_steps == 0:
                    self._validate(validation)
                stop = self._agreed(request.number)
                if last or stop or state.step % schedule.checkpoint_steps == 0:
                    self._save("last.pt", state.checkpoint())
                if stop and not last:
                    raise Stopped(stop)

    def _batches(self, stream: TrainingStream) -> Iterable[tuple[Tensor, Tensor]]:
        """Return what is left of the schedule, this process's share of each batch."""
        schedule, world = self._recipe.schedule, self._fabric.world_size
        if schedule.batch_size % world:
            raise TrainingError(
                f"batch_size {schedule.batch_size} does not divide by {world} devices"
            )
        numbers = range(
            self.state.step * schedule.batch_size + self._fabric.global_rank,
            schedule.steps * schedule.batch_size,
            world,
        )
        workers = self._recipe.device.loader_workers
        return batches(stream, numbers, size=schedule.batch_size // world, workers=workers)

    def _step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Take one optimiser step and return the loss of this process's share of the batch."""
        seed_step(self._recipe.seed, self.state.step, self._fabric.global_rank)
        self._set_rates()
        inputs = inputs.to(self._fabric.device, memory_format=torch.channels_last)
        targets = targets.to(self._fabric.device, torch.float32)
        smoothing = self._recipe.optimizer.label_smoothing
        soft = targets * (1 - 2 * smoothing) + smoothing
        loss = nn.functional.binary_cross_entropy_with_logits(self._model(inputs), soft)
        self._fabric.backward(loss)
        self._clip(loss)
        self.state.optimizer.step()
        self.state.optimizer.zero_grad(set_to_none=True)
        self.state.average.update_parameters(self.state.network)
        self.state.step += 1
        return loss.detach()

    def _clip(self, loss: Tensor) -> None:
        """Shorten the gradient, which is the same in every process, and so is its refusal."""
        norm = self._fabric.clip_gradients(
            self._model,
            self.state.optimizer,
            max_norm=self._recipe.optimizer.clip_norm,
            error_if_nonfinite=False,
        )
        if norm is None or not torch.isfinite(norm):
            raise TrainingError(
                f"the gradient is no number at step {self.state.step} (loss {loss.item():.4g}): "
                "lower optimizer.learning_rate; last.pt is of an earlier step"
            )

    def _set_rates(self) -> None:
        """Set the learning rates of this step; the backbone rests while the head comes first."""
        schedule = self._recipe.schedule
        factor = rate_factor(self.state.step, schedule)
        head_only = self.state.step < schedule.head_first_steps
        for group, full in zip(self.state.optimizer.param_groups, self._full_rates, strict=True):
            rests = head_only and str(group["name"]).startswith("backbone")
            group["lr"] = 0.0 if rests else full * factor

    def _validate(self, faces: PlainFaces) -> None:
        """Score the averaged network on validation faces; keep it where it is the best so far."""
        logits, targets = self._predict(faces)
        loss = float(nn.functional.binary_cross_entropy_with_logits(logits, targets))
        chances = torch.sigmoid(logits.double()).numpy()
        score = measure(targets.numpy() > 0.5, chances, names=["roc_auc"])["roc_auc"]
        step = self.state.step
        self._log(step=step, validation_auc=round(score, 5), validation_loss=round(loss, 5))
        best = score > self.state.best_score
        if best:
            self.state.best_score, self.state.best_step = score, step
            self._save("best.pt", self.state.averaged_weights())
        note = "the best so far" if best else f"best {self.state.best_score:.4f}"
        self._progress(f"step {step}: validation AUC {score:.4f}, loss {loss:.4f}; {note}")

    @torch.no_grad()
    def _predict(self, faces: PlainFaces) -> tuple[Tensor, Tensor]:
        """Return logits [N] and targets [N] of the averaged network, on the CPU."""
        size, workers = self._recipe.schedule.batch_size, self._recipe.device.loader_workers
        logits, targets = [], []
        for inputs, target in batches(faces, range(len(faces)), size=size, workers=workers):
            ready = inputs.to(self._fabric.device, memory_format=torch.channels_last)
            with self._fabric.autocast():
                logits.append(self.state.average(ready).float().cpu())
            targets.append(target.float())
        return torch.cat(logits), torch.cat(targets)

    def _agreed(self, number: int) -> int:
        """Return the signal that any process was sent, 0 for none: they stop at the same step."""
        if self._fabric.world_size == 1:
            return number
        sent = torch.tensor(number, device=self._fabric.device)
        return int(torch.as_tensor(self._fabric.all_reduce(sent, reduce_op="max")))

    def _resume(self) -> None:
        """Take up the run where ``last.pt`` left it."""
        path = self._run.path / "last.pt"
        if path.exists():
            self.state.restore(torch.load(path, map_location="cpu", weights_only=True))

    def _save(self, name: str, content: dict[str, Any]) -> None:
        """Write a checkpoint that is whole whenever the process dies; the first process alone."""
        if self._fabric.is_global_zero:
            with replacing(self._run.path / name) as file:
                torch.save(content, file)

    def _tell(self, loss: Tensor, steps_per_second: float) -> None:
        """Log and tell the loss of the whole batch, and how long the rest will take."""
        schedule, step = self._recipe.schedule, self.state.step
        mean = float(torch.as_tensor(self._fabric.all_reduce(loss, reduce_op="mean")))
        speed = steps_per_second * schedule.batch_size
        left = timedelta(seconds=round((schedule.steps - step) / steps_per_second))
        self._log(step=step, loss=round(mean, 5), pictures_per_second=round(speed, 2))
        self._progress(
            f"step {step}/{schedule.steps}: loss {mean:.4f}, {speed:.1f} pictures/s, {left} left"
        )

    def _log(self, **values: Any) -> None:
        if self._fabric.is_global_zero:
            self._run.log(**values)
