"""Which parameters learn, and how fast: head first, backbone slower, early layers slowest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from faceproof.tables import choose

if TYPE_CHECKING:
    from torch import nn

    from faceproof.networks.network import Network


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
