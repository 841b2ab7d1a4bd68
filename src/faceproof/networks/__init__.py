"""NETWORKS: from pictures float32 [N, 3, H, W] to one logit per picture, positive means fake.

`NETWORKS` lists the built-in backbones; `build` also accepts any model name of timm.
torch and timm are imported only when a network is built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from faceproof.errors import UnknownChoiceError
from faceproof.networks.heads import HeadSpec, build_head
from faceproof.networks.parameters import (
    TRAINABLE,
    parameter_groups,
    reestimate_batch_norm,
    set_trainable,
)
from faceproof.networks.weights import StartingWeights, load_starting_weights
from faceproof.tables import require

if TYPE_CHECKING:
    from torch import nn

    from faceproof.networks.modules import Network

__all__ = [
    "NETWORKS",
    "TRAINABLE",
    "Backbone",
    "HeadSpec",
    "InputDefaults",
    "StartingWeights",
    "build",
    "input_defaults",
    "load_starting_weights",
    "parameter_groups",
    "reestimate_batch_norm",
    "set_trainable",
]


class InputDefaults(NamedTuple):
    """Input that a backbone was trained on: side in pixels; mean and std of R, G, B in 0..1."""

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class Backbone:
    """A network without its last layer, and its properties.

    ``make`` returns a module from [N, 3, H, W] to [N, features, h, w], or to [N, features] if
    ``pooled``. ``classifier`` are the names of the omitted layer in its public checkpoints.
    """

    make: Callable[[], nn.Module]
    features: int
    input: InputDefaults
    classifier: tuple[str, ...]
    pooled: bool = False


IMAGENET = InputDefaults(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

VGGFACE2 = InputDefaults(160, (0.5, 0.5, 0.5), (128 / 255, 128 / 255, 128 / 255))
"""(x - 127.5) / 128 for pixels in 0..255."""


def _densenet121() -> nn.Module:
    network: nn.Module = _create("densenet121", global_pool="")
    return network


def _inception_resnet_v1() -> nn.Module:
    from faceproof.networks.inception_resnet_v1 import InceptionResnetV1

    return InceptionResnetV1(dropout=0.0)  # the head has its own


NETWORKS: Mapping[str, Backbone] = {
    "densenet121": Backbone(_densenet121, 1024, IMAGENET, ("classifier",)),
    "inception_resnet_v1": Backbone(_inception_resnet_v1, 512, VGGFACE2, ("logits",), pooled=True),
}


def build(name: str, *, head: HeadSpec | None = None) -> Network:
    """Return the network called ``name``, untrained: float32 [N, 3, H, W] to float32 logits [N].

    ``name`` is looked up in `NETWORKS`, then in timm. In training mode a batch needs at least two
    pictures, because the head normalises over the batch.

    Raises:
        UnknownChoiceError: neither has this name.
        MissingExtraError: torch or timm is not installed.
    """
    require("torch", "timm")
    from faceproof.networks.modules import Network

    backbone = _backbone(name)
    last = build_head(head or HeadSpec(), features=backbone.features, pooled=backbone.pooled)
    return Network(backbone.make(), last, classifier=backbone.classifier)


def input_defaults(name: str) -> InputDefaults:
    """Return the side, mean and deviation that the network called ``name`` was trained on.

    Raises:
        UnknownChoiceError, MissingExtraError: as `build` does; those of `NETWORKS` need no torch.

    >>> input_defaults("densenet121").size
    224
    """
    return _backbone(name).input


def _backbone(name: str) -> Backbone:
    return NETWORKS[name] if name in NETWORKS else _timm_backbone(name)


def _timm_backbone(name: str) -> Backbone:
    """Return timm's network with its own pooling; its width is known only after building it."""
    require("torch", "timm")
    import timm

    names = sorted({*timm.list_models(), *timm.list_models(pretrained=True)})
    if name not in names:
        raise UnknownChoiceError(_unknown_message(name, names))
    network = _create(name)
    known = network.default_cfg
    return Backbone(
        lambda: network,
        getattr(network, "head_hidden_size", network.num_features),
        InputDefaults(known["input_size"][-1], tuple(known["mean"]), tuple(known["std"])),
        _classifier_names(known.get("classifier")),
        pooled=True,
    )


def _create(name: str, **options: Any) -> Any:
    import timm

    return timm.create_model(name, pretrained=False, num_classes=0, **options)


def _classifier_names(classifier: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (classifier,) if isinstance(classifier, str) else tuple(classifier or ())


def _unknown_message(name: str, names: list[str]) -> str:
    guesses = ", ".join(get_close_matches(name, {*NETWORKS, *names}, n=3, cutoff=0.5))
    return (
        f"unknown network {name!r}; nearest: {guesses or 'none'}. Choices: {', '.join(NETWORKS)}, "
        f"or one of the {len(names)} model names of timm, listed by timm.list_models()"
    )
