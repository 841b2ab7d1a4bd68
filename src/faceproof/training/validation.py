"""`validate`: metrics of the averaged network on validation faces during training."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from faceproof.evaluation.metrics import measure
from faceproof.networks.parameters import has_batch_norm, reestimate_batch_norm
from faceproof.training.attacks import perturb, pixel_box
from faceproof.training.recipe import Recipe
from faceproof.training.stream import PlainFaces, TrainingStream, make_loader


def renew_statistics(
    network: nn.Module, stream: TrainingStream, fabric: Fabric, recipe: Recipe
) -> int:
    """Measure the running statistics again; return the number of faces used, 0 without any.

    It uses the first faces of the stream, always the same, augmented as in training.

    Source: "precise batch norm", B. Wu, J. Johnson, 2021, arXiv:2105.07576, section 3.
    """
    size = recipe.schedule.batch_size // recipe.schedule.accumulate
    count = -(-recipe.network.batch_norm_pictures // size)
    if not count or not has_batch_norm(network):
        return 0
    with fabric.autocast():
        reestimate_batch_norm(network, _training_inputs(stream, recipe, fabric, size, count))
    return count * size


def _training_inputs(
    stream: TrainingStream, recipe: Recipe, fabric: Fabric, size: int, count: int
) -> Iterator[Tensor]:
    """Yield ``count`` batches of training inputs without their targets, on the device."""
    workers = recipe.device.loader_workers
    for inputs, _ in make_loader(stream, range(count * size), size=size, workers=workers):
        yield inputs.to(fabric.device, memory_format=torch.channels_last)


#: Maximum number of attacked faces in a validation; an attack costs several passes.
_ATTACKED_MOST = 256


def validate(
    network: nn.Module, faces: PlainFaces, fabric: Fabric, recipe: Recipe
) -> dict[str, float]:
    """Return ``validation_auc``, ``validation_accuracy`` at 0.5 and ``validation_loss`` (nats).

    With adversarial training also ``attacked_accuracy`` and ``unattacked_accuracy``, both on the
    first `_ATTACKED_MOST` faces.
    """
    logits, targets = predict_faces(network, faces, fabric, recipe)
    loss = float(nn.functional.binary_cross_entropy_with_logits(logits, targets))
    fake, chances = targets.numpy() > 0.5, torch.sigmoid(logits.double()).numpy()
    found = measure(fake, chances, names=["roc_auc", "accuracy"])
    values = {
        "validation_auc": found["roc_auc"],
        "validation_accuracy": found["accuracy"],
        "validation_loss": loss,
    }
    if recipe.adversarial.share:
        values |= _measure_under_attack(network, faces, fabric, recipe)
    return values


@torch.no_grad()
def predict_faces(
    network: nn.Module, faces: PlainFaces, fabric: Fabric, recipe: Recipe
) -> tuple[Tensor, Tensor]:
    """Return logits [N] and targets [N] of the network, on the CPU."""
    logits, targets = [], []
    for inputs, target in _make_loader(faces, recipe, len(faces)):
        ready = inputs.to(fabric.device, memory_format=torch.channels_last)
        with fabric.autocast():
            logits.append(network(ready).float().cpu())
        targets.append(target.float())
    return torch.cat(logits), torch.cat(targets)


def _measure_under_attack(
    network: nn.Module, faces: PlainFaces, fabric: Fabric, recipe: Recipe
) -> dict[str, float]:
    """Return the accuracy without and under the recipe's attack, on the same faces."""
    box = pixel_box(recipe.network.preprocessing.input, fabric.device)
    # The same random starts at every validation, so that accuracies are comparable.
    start, right, clean, seen = torch.Generator().manual_seed(recipe.seed), 0, 0, 0
    for inputs, target in _make_loader(faces, recipe, min(_ATTACKED_MOST, len(faces))):
        ready = inputs.to(fabric.device, memory_format=torch.channels_last)
        wanted = target.to(fabric.device, torch.float32)
        with fabric.autocast():
            worse = perturb(
                network, ready, wanted, box, recipe.adversarial, share=1.0, generator=start
            )
            with torch.no_grad():
                clean += _count_right(network(ready), wanted)
                right += _count_right(network(worse), wanted)
        seen += len(target)
    return {"unattacked_accuracy": clean / seen, "attacked_accuracy": right / seen}


def _count_right(logits: Tensor, wanted: Tensor) -> int:
    """Return the number of logits on the correct side of 0."""
    return int(((logits > 0) == (wanted > 0.5)).sum())


def _make_loader(
    faces: PlainFaces, recipe: Recipe, count: int
) -> torch.utils.data.DataLoader[tuple[Tensor, float]]:
    """Return the loader of the first ``count`` faces."""
    size, workers = recipe.schedule.batch_size, recipe.device.loader_workers
    return make_loader(faces, range(count), size=size, workers=workers)
