"""Backbone and head as one module (imports torch)."""

from __future__ import annotations

from torch import Tensor, nn


class Network(nn.Module):
    """A picture's fake logit: float [N, 3, H, W] to float32 [N], positive means fake.

    ``classifier`` are the names that checkpoints of the backbone give to the layer left out.
    """

    def __init__(
        self, backbone: nn.Module, head: nn.Module, *, classifier: tuple[str, ...]
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.classifier = classifier

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the logits, float32 even under autocast, so that the loss loses no digits."""
        logits: Tensor = self.head(self.backbone(pictures))
        return logits.squeeze(1).float()
