"""From pictures to logits: float32 [N, 3, H, W] in, one logit per picture out, positive means fake.

`NETWORKS` names the backbones that we know by heart; `build` also takes any name of timm's.
Importing this package costs nothing: torch and timm are imported when a network is built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from faceproof.errors import UnknownChoiceError
from faceproof.networks.batch_norm import reestimate_batch_norm
from faceproof.networks.heads import HeadSpec, build_head
from faceproof.networks.parameters import freeze, parameter_groups
from faceproof.networks.requirements import require
from faceproof.networks.starting_weights import StartingWeights, load_starting_weights
from faceproof.tables import nearest

if TYPE_CHECKING:
    from torch import nn

    from faceproof.networks.network import Network

__all__ = [
    "NETWORKS",
    "Backbone",
    "HeadSpec",
    "InputDefaults",
    "StartingWeights",
    "build",
    "freeze",
    "input_defaults",
    "load_starting_weights",
    "parameter_groups",
    "reestimate_batch_norm",
]


class InputDefaults(NamedTuple):
    """What a backbone was made for: side in pixels; mean and deviation of red, green, blue in 0..1."""

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class Backbone:
    """A network without its last layer, and what must be known to use it.

    ``make`` returns a module from [N, 3, H, W] to [N, features, h, w], or to [N, features] where
    ``pooled``. ``classifier`` are the names that its public checkpoints give to the layer left out.
    """

    make: Callable[[], nn.Module]
    features: int
    input: InputDefaults
    classifier: tuple[str, ...]
    pooled: bool = False


IMAGENET = InputDefaults(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def _densenet121() -> nn.Module:
    network: nn.Module = _create("densenet121", global_pool="")
    return network


NETWORKS: Mapping[str, Backbone] = {
    "densenet121": Backbone(_densenet121, 1024, IMAGENET, ("classifier",)),
}


def build(name: str, *, head: HeadSpec | None = None) -> Network:
    """Return the network called ``name``, untrained: float32 [N, 3, H, W] to float32 logits [N].

    ``name`` is looked up in `NETWORKS`, then in timm. In training mode a batch needs two pictures
    or more, because the head normalises over the batch.

    Raises:
        UnknownChoiceError: neither knows the name.
        MissingExtraError: torch or timm is not installed.
    """
    require("torch", "timm")
    from faceproof.networks.network import Network

    backbone = _backbone(name)
    last = build_head(head or HeadSpec(), features=backbone.features, pooled=backbone.pooled)
    return Network(backbone.make(), last, classifier=backbone.classifier)


def input_defaults(name: str) -> InputDefaults:
    """Return the side, mean and deviation that the network called ``name`` was made for.

    >>> input_defaults("densenet121").size
    224

    Raises:
        UnknownChoiceError, MissingExtraError: as `build` does.
    """
    return _backbone(name).input


def _backbone(name: str) -> Backbone:
    return NETWORKS[name] if name in NETWORKS else _timm_backbone(name)


def _timm_backbone(name: str) -> Backbone:
    """Return timm's network with its own pooling; its width is only known once it is made."""
    require("torch", "timm")
    import timm

    if not timm.is_model(name):
        raise UnknownChoiceError(_unknown(name, timm.list_models()))
    network = _create(name)
    known = network.default_cfg
    return Backbone(
        lambda: network,
        getattr(network, "head_hidden_size", network.num_features),
        InputDefaults(known["input_size"][-1], tuple(known["mean"]), tuple(known["std"])),
        _names(known.get("classifier")),
        pooled=True,
    )


def _create(name: str, **options: Any) -> Any:
    import timm

    return timm.create_model(name, pretrained=False, num_classes=0, **options)


def _names(classifier: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (classifier,) if isinstance(classifier, str) else tuple(classifier or ())


def _unknown(name: str, of_timm: list[str]) -> str:
    guess = nearest(name, [*NETWORKS, *of_timm]) or "."
    return f"unknown network {name!r}{guess} Ours: {', '.join(NETWORKS)}; timm.list_models() lists the others"
