"""HeadSpec: the head, from a backbone's features to one logit."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from pydantic import Field

from faceproof.records import Record

if TYPE_CHECKING:
    from torch import nn


class HeadSpec(Record):
    """The head's sizes; ``hidden`` 0 is a linear probe of the normalised features.

    >>> HeadSpec(hidden=64).hidden
    64
    """

    dropout: float = Field(default=0.3, ge=0, lt=1, description="Dropout before the batch norm.")
    hidden: int = Field(default=256, ge=0, description="Width of the dense layer; 0: none.")
    hidden_dropout: float = Field(
        default=0.3, ge=0, lt=1, description="Dropout after the dense layer."
    )


def build_head(spec: HeadSpec, *, features: int, pooled: bool = False) -> nn.Sequential:
    """Return a module from features [N, C, h, w] (``pooled``: [N, C]) to logits [N, 1].

    Global average pooling, dropout, batch norm, dense with ReLU, dropout, dense; with
    ``spec.hidden`` 0 only pooling, dropout, batch norm and one dense layer.
    """
    from torch import nn

    pool: list[tuple[str, nn.Module]] = [
        ("pool", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten()),
    ]
    layers: list[tuple[str, nn.Module]] = [
        ("dropout", nn.Dropout(spec.dropout)),
        ("norm", nn.BatchNorm1d(features)),
    ]
    if spec.hidden:
        layers += [
            ("dense", nn.Linear(features, spec.hidden)),
            ("relu", nn.ReLU()),
            ("hidden_dropout", nn.Dropout(spec.hidden_dropout)),
        ]
    layers.append(("logit", nn.Linear(spec.hidden or features, 1)))
    return nn.Sequential(OrderedDict(layers if pooled else pool + layers))
