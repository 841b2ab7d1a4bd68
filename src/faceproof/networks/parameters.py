"""Which parameters learn, and how fast: head first, backbone slower, early layers slowest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faceproof.networks.network import Network


def freeze(network: Network, *, frozen: bool = True) -> None:
    """Take the backbone's weights out of training, or (``frozen=False``) back in; the head always learns."""
    network.backbone.requires_grad_(not frozen)


def parameter_groups(
    network: Network, *, learning_rate: float, weight_decay: float, backbone_factor: float = 1.0
) -> list[dict[str, Any]]:
    """Return an optimiser's groups: the backbone at a fraction of the head's learning rate.

    Vectors (biases, scales of norms) are not decayed. Empty groups are left out.
    """
    rates = {"backbone": learning_rate * backbone_factor, "head": learning_rate}
    groups = [
        {"name": f"{part}.{kind}", "params": [], "lr": rate, "weight_decay": decay}
        for part, rate in rates.items()
        for kind, decay in (("matrices", weight_decay), ("vectors", 0.0))
    ]
    by_name: dict[str, Any] = {str(group["name"]): group["params"] for group in groups}
    for name, parameter in network.named_parameters():
        kind = "vectors" if parameter.ndim < 2 else "matrices"
        by_name[f"{name.partition('.')[0]}.{kind}"].append(parameter)
    return [group for group in groups if group["params"]]
