"""Grad-CAM: a network's logit and heat map in one forward pass (imports torch).

The networks average their last feature map A [N, C, h, w] over its cells, and a tail of few layers
maps the averages p to the logit. Grad-CAM weights each channel by the logit's gradient there,

    map = sum over c of (d logit / d p_c) * A_c / (h * w),

and the gradient of the short tail has a closed form: no automatic differentiation is needed, so
that the map is exported to ONNX like any other output. With a tail of dense layers, batch norms and
ReLUs, the cells of the map and a remainder add up to the logit. The remainder depends on the
picture only through the signs at the ReLUs. In a tail without ReLU the map is the class activation
map of Zhou et al.

Source:
    Grad-CAM: R. Selvaraju et al., ICCV 2017, arXiv:1610.02391, equations 1 and 2, before its ReLU.
    Class activation maps: B. Zhou et al., CVPR 2016, arXiv:1512.04150.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn

from faceproof.networks.inception_resnet_v1 import InceptionResnetV1
from faceproof.networks.modules import Network

# What torch raises if consecutive modules are not applied in sequence.
_UNFIT = (RuntimeError, ValueError, TypeError, IndexError, AttributeError)

_AGREEMENT = 1e-3
"""Largest relative difference between the logit of the parts and that of the network."""


@dataclass(frozen=True)
class _Step:
    """A layer of the tail with its input and output, both [N, C] once flattened."""

    layer: nn.Module
    x: Tensor
    y: Tensor


_Slope: TypeAlias = Callable[[_Step, Tensor], Tensor]


def _through_identity(_: _Step, slope: Tensor) -> Tensor:
    """Return the slope unchanged: for dropout in evaluation mode, and for reshaping."""
    return slope


def _through_linear(step: _Step, slope: Tensor) -> Tensor:
    weight: Tensor = step.layer.get_parameter("weight")
    return slope @ weight.flatten(1)  # a convolution of one pixel has [out, in, 1, 1]


def _through_batch_norm(step: _Step, slope: Tensor) -> Tensor:
    norm = cast(nn.BatchNorm1d, step.layer)
    return slope * (norm.weight / torch.sqrt(norm.get_buffer("running_var") + norm.eps))


def _through_relu(step: _Step, slope: Tensor) -> Tensor:
    """Return the slope where the ReLU's output is positive, 0 elsewhere."""
    return slope * (step.y.flatten(1) > 0).to(slope.dtype)


def _through_hardswish(step: _Step, slope: Tensor) -> Tensor:
    """Return the slope times that of x * clip(x + 3, 0, 6) / 6."""
    x = step.x.flatten(1)
    inside = ((x > -3) & (x < 3)).to(slope.dtype)
    return slope * (inside * (x / 3 + 0.5) + (x >= 3).to(slope.dtype))


def _through_layer_norm(step: _Step, slope: Tensor) -> Tensor:
    """Return the slope through the scaled (x - mean) / deviation of a layer norm."""
    norm, x = cast(nn.LayerNorm, step.layer), step.x.flatten(1)
    slope, centred = slope * norm.weight, x - x.mean(1, keepdim=True)
    deviation = torch.sqrt((centred**2).mean(1, keepdim=True) + norm.eps)
    normal = centred / deviation
    along = (slope * normal).mean(1, keepdim=True)
    return (slope - slope.mean(1, keepdim=True) - normal * along) / deviation


SLOPES: Mapping[type[nn.Module], _Slope] = {
    nn.Identity: _through_identity,
    nn.Dropout: _through_identity,
    nn.Flatten: _through_identity,
    nn.Linear: _through_linear,
    nn.Conv2d: _through_linear,
    nn.BatchNorm1d: _through_batch_norm,
    nn.ReLU: _through_relu,
    nn.Hardswish: _through_hardswish,
    nn.LayerNorm: _through_layer_norm,
}
"""Type of a layer in the tail: from the logit's slope at its output to that at its input."""


@dataclass(frozen=True)
class _Parts:
    """A network in three parts: pictures to feature map, pooling, and the tail to the logit."""

    features: Callable[[Tensor], Tensor]
    pool: nn.Module
    tail: tuple[nn.Module, ...]

    @property
    def known(self) -> bool:
        """Return whether every layer of the tail has its slope in `SLOPES`."""
        return all(_slope_class(layer) in SLOPES for layer in self.tail)


class _HeatmapNetwork(nn.Module):
    """Pictures float [N, 3, H, W] to logits [N] and heat maps [N, h, w], both float32.

    Its parameters are those of the network, under the same names.
    """

    def __init__(self, network: Network, parts: _Parts, *, grid: tuple[int, int]) -> None:
        super().__init__()
        self.backbone = network.backbone
        self.head = network.head
        self.grid = grid
        self._parts = parts

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return the network's logits and their heat maps."""
        features = self._parts.features(pictures)
        x, steps = self._parts.pool(features), []
        for module in self._parts.tail:
            y = module(x.clone() if getattr(module, "inplace", False) else x)
            steps.append(_Step(module, x, y))
            x = y
        slope = _logit_slope(steps)[:, :, None, None]
        heat = (features * slope).sum(1) / (self.grid[0] * self.grid[1])
        return x.squeeze(1).float(), heat.float()


def add_heatmaps(network: nn.Module, *, side: int) -> _HeatmapNetwork | None:
    """Return the network with its heat map for pictures of ``side`` px, or None.

    None unless the network averages a feature map and every later layer is in `SLOPES`. The split
    into parts is verified: together they must give the network's logits. The mode of the network
    (training or evaluation) is restored.
    """
    if not isinstance(network, Network):
        return None
    parts = _split_network(network)
    if parts is None or not parts.known:
        return None
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        return _module_if_reproducing(network, parts, side)
    finally:
        for module, training in modes.items():
            module.training = training


def _module_if_reproducing(network: Network, parts: _Parts, side: int) -> _HeatmapNetwork | None:
    """Return the parts as a module if they reproduce the network's logits on seeded noise."""
    place = next(network.parameters()).device
    noise = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0)).to(place)
    with torch.no_grad():
        logits = network(noise)
        try:
            return _module_if_equal(network, parts, noise, logits)
        except _UNFIT:
            return None


def _module_if_equal(
    network: Network, parts: _Parts, noise: Tensor, logits: Tensor
) -> _HeatmapNetwork | None:
    """Return the parts as a module, if they average a feature map and give these logits."""
    features = parts.features(noise)
    if features.ndim != 4 or not _is_near(parts.pool(features).flatten(1), features.mean((2, 3))):
        return None
    whole = _HeatmapNetwork(network, parts, grid=(features.shape[2], features.shape[3])).eval()
    return whole if _is_near(whole(noise)[0], logits) else None


def _is_near(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors have the same shape and nearly the same values."""
    return one.shape == other.shape and torch.allclose(one, other, rtol=_AGREEMENT, atol=_AGREEMENT)


def _split_network(network: Network) -> _Parts | None:
    """Return the parts of a built-in or timm network, as far as its modules name them."""
    backbone, head = network.backbone, tuple(network.head.children())
    if isinstance(head[0], nn.AdaptiveAvgPool2d):
        return _Parts(backbone, head[0], head[1:])
    if isinstance(backbone, InceptionResnetV1):
        own = (nn.Flatten(), backbone.dropout, backbone.last_linear, backbone.last_bn)
        return _Parts(backbone.features, backbone.avgpool_1a, (*own, *head))
    features = getattr(backbone, "forward_features", None)
    layers = _modules_from_pooling(backbone)
    if features is None or not layers:
        return None
    return _Parts(features, layers[0], (*layers[1:], nn.Flatten(), *head))


def _modules_from_pooling(backbone: nn.Module) -> Sequence[nn.Module]:
    """Return timm's ``global_pool`` and the modules after it, in the order of use."""
    for owner in (getattr(backbone, "head", None), backbone):
        if isinstance(owner, nn.Module):
            children = dict(owner.named_children())
            names = list(children)
            if "global_pool" in names:
                return [children[name] for name in names[names.index("global_pool") :]]
    return []


def _logit_slope(steps: Sequence[_Step]) -> Tensor:
    """Return the logit's slope at the averages, [N, C], or [1, C] if all pictures share it."""
    slope = torch.ones_like(steps[-1].y[:1])
    for step in reversed(steps):
        slope = SLOPES[_slope_class(step.layer)](step, slope)
    return slope


def _slope_class(layer: nn.Module) -> type[nn.Module]:
    """Return the class of a layer in `SLOPES`; timm's layers are subclasses of torch's."""
    return next((kind for kind in type(layer).__mro__ if kind in SLOPES), type(layer))
