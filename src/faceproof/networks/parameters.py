"""Parameters: which of them learn and how fast, and batch norm's running statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from faceproof.errors import TrainingError
from faceproof.tables import choose

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.nn.modules.batchnorm import _BatchNorm

    from faceproof.networks.modules import Network


def _everything(network: Network) -> list[nn.Parameter]:
    return list(network.parameters())


def _head(network: Network) -> list[nn.Parameter]:
    return list(network.head.parameters())


def _head_and_norms(network: Network) -> list[nn.Parameter]:
    """Return the head, and of the backbone all vectors of normalising layers."""
    norms = [m for m in network.backbone.modules() if "norm" in type(m).__name__.lower()]
    return _head(network) + [p for norm in norms for p in norm.parameters(recurse=False)]


TRAINABLE: Mapping[str, Callable[[Network], list[nn.Parameter]]] = {
    "all": _everything,
    "head": _head,
    "head_and_norms": _head_and_norms,
}


def set_trainable(network: Network, what: str) -> int:
    """Return how many numbers learn from now on: those of ``TRAINABLE[what]`` and no others.

    Frozen weights say nothing of batch norm's running statistics, which follow the mode: in
    training mode they move even while the backbone is frozen.

    Raises:
        UnknownChoiceError: ``what`` is not in `TRAINABLE`.
    """
    chosen = choose(TRAINABLE, what, what="part to train")(network)
    network.requires_grad_(False)  # noqa: FBT003
    for parameter in chosen:
        parameter.requires_grad_()
    return sum(parameter.numel() for parameter in chosen)


def parameter_groups(
    network: Network,
    *,
    learning_rate: float,
    weight_decay: float,
    backbone_factor: float = 1.0,
    layer_decay: float = 1.0,
) -> list[dict[str, Any]]:
    """Return an optimiser's groups with ``name``, ``params``, ``lr`` and ``weight_decay``.

    The head learns at ``learning_rate``, the backbone's last stage at ``backbone_factor`` times
    that, and each stage before it ``layer_decay`` times slower still. Vectors (biases, scales of
    norms) are not decayed. Frozen parameters are in their groups, to learn once they are thawed.

    Source:
        Layer-wise decay: J. Howard, S. Ruder, 2018, arXiv:1801.06146.
    """
    stages = _stages(network.backbone, "backbone")
    rates = {
        stage: learning_rate * backbone_factor * layer_decay**depth
        for depth, stage in enumerate(reversed(stages))
    }
    rates["head"] = learning_rate
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in network.named_parameters():
        stage = _stage_of(name, stages)
        vector = parameter.ndim < 2
        title = f"{stage}.{'vectors' if vector else 'matrices'}"
        decay = 0.0 if vector else weight_decay
        group = {"name": title, "params": [], "lr": rates[stage], "weight_decay": decay}
        groups.setdefault(title, group)["params"].append(parameter)
    return list(groups.values())


def _stages(module: nn.Module, name: str) -> list[str]:
    """Return the names of the parts that follow one another, in order, shells taken off."""
    parts = [
        (f"{name}.{child_name}", child)
        for child_name, child in module.named_children()
        if any(True for _ in child.parameters())
    ]
    if len(parts) == 1:
        return _stages(parts[0][1], parts[0][0])
    return [part for part, _ in parts] or [name]


def _stage_of(parameter: str, stages: list[str]) -> str:
    """Return the parameter's stage; what hangs on the backbone itself belongs to the first."""
    if parameter.startswith("head."):
        return "head"
    return next((stage for stage in stages if parameter.startswith(f"{stage}.")), stages[0])


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
