"""The sides of pictures that a network can read: any, any from some size on, or its own alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faceproof.errors import TrainingError

if TYPE_CHECKING:
    from faceproof.networks.network import Network


def refuse_side(network: Network, name: str, *, side: int, own: int) -> None:
    """Refuse crops of ``side`` px that the network called ``name``, made for ``own``, cannot read.

    It reads one black picture, and is left as it was. Vision transformers read their own side
    alone, networks of convolutions any that is not too small.

    Raises:
        TrainingError: with the side to set.
    """
    import torch

    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            network(torch.zeros(1, 3, side, side, device=next(network.parameters()).device))
    except (AssertionError, RuntimeError, ValueError) as error:
        if side == own:
            raise
        reason = str(error).strip().partition("\n")[0]
        raise TrainingError(
            f"{name} cannot read crops of {side} px ({reason}): set "
            f"network.preprocessing.crop.size = {own}, the side that it was made for"
        ) from error
    finally:
        for module, training in modes.items():
            module.training = training
