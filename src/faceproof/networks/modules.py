"""Network: backbone and head as one torch module, and the check of its input side."""

from __future__ import annotations

from torch import Tensor, nn

from faceproof.errors import TrainingError


class Network(nn.Module):
    """A picture's fake logit: float [N, 3, H, W] to float32 [N], positive means fake.

    ``classifier`` are the names of the omitted layer in checkpoints of the backbone.
    """

    def __init__(
        self, backbone: nn.Module, head: nn.Module, *, classifier: tuple[str, ...]
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.classifier = classifier

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the logits, float32 even under autocast, so that the loss keeps full precision."""
        logits: Tensor = self.head(self.backbone(pictures))
        return logits.squeeze(1).float()


def refuse_side(network: Network, name: str, *, side: int, own: int) -> None:
    """Reject crops of ``side`` px that the network ``name``, made for ``own``, cannot read.

    The network runs on one black picture and is not changed. Vision transformers read only their
    own side, convolutional networks any that is not too small.

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
