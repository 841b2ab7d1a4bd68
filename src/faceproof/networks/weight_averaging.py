"""`average_weights`: the mean of the weights of networks that were trained one from another."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

from faceproof.errors import TrainingError
from faceproof.networks.weights import load_starting_weights

if TYPE_CHECKING:
    from torch import Tensor

    from faceproof.networks.modules import Network


def average_weights(network: Network, others: Sequence[str | Path]) -> None:
    """Set the network's weights to the mean of its own and those of ``others``, in equal parts.

    ``others`` are what `load_starting_weights` takes, each with the backbone and the head of the
    network. They must come from one training, as its start or its continuation: the mean of
    networks that were trained apart is worse than each. The statistics of batch norm are averaged
    as the weights are.

    Source:
        M. Wortsman et al., 2022, arXiv:2203.05482 (model soups), and arXiv:2109.01903 (the mean of
        a fine-tuned network and its start).

    Raises:
        SourceNotFoundError, TrainingError, BundleError: as `load_starting_weights`.
        TrainingError: one has another head.
    """
    import torch

    if not others:
        return
    states = [network.state_dict(), *(_state_of(network, other) for other in others)]
    mean = {
        name: torch.stack([state[name] for state in states]).mean(0)
        if value.is_floating_point()
        else value
        for name, value in states[0].items()
    }
    network.load_state_dict(mean)


def _state_of(network: Network, other: str | Path) -> dict[str, Tensor]:
    """Return the whole state of another network of the same kind."""
    copy = deepcopy(network)
    loaded = load_starting_weights(copy, other)
    if missing := sorted(set(copy.state_dict()) - set(loaded.used)):
        raise TrainingError(
            f"network.averaged_with: {other} has no {missing[0]} of the shape of this network: "
            "name a detector with the same backbone and head"
        )
    return copy.state_dict()
