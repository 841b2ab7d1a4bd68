"""A tiny autoencoder of a latent diffusion model: picture to latents and back.

Our own code, written from the description of the architecture. The names and shapes of the tensors
are those of the published weights, so that these load.

Source: Ollin Boer Bohan, "TAESD, a tiny autoencoder for Stable Diffusion", 2023, MIT licence,
https://github.com/madebyollin/taesd; a distillation of the autoencoder of Rombach et al.,
"High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022. TAEF2 is the one of
FLUX.2: 32 latent channels, and blocks with group normalisation at the smallest size.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

REDUCTION = 8
"""Pixels along a side of one latent pixel."""

_LIMIT = 3.0
_NORM_GROUPS = 4
_BLOCKS = 3


class TinyAutoencoder(nn.Module):
    """Encoder and decoder: float32 [N, 3, H, W] in [0, 1], H and W multiples of 8.

    ``width`` is the number of channels of every layer between, 64 in all published weights.
    ``has_norm`` adds group normalisation at the smallest size, as TAEF2 does.
    """

    def __init__(self, latent_channels: int = 32, width: int = 64, *, has_norm: bool = True):
        super().__init__()
        self.latent_channels = latent_channels
        self.encoder = _encoder(latent_channels, width, has_norm=has_norm)
        self.decoder = _decoder(latent_channels, width, has_norm=has_norm)

    def encode(self, pictures: Tensor) -> Tensor:
        """Return the latents, float32 [N, C, H / 8, W / 8], most of them in [-3, 3]."""
        return cast("Tensor", self.encoder(pictures))

    def decode(self, latents: Tensor) -> Tensor:
        """Return the pictures, float32 [N, 3, 8 h, 8 w], clipped to [0, 1]."""
        return cast("Tensor", self.decoder(latents)).clamp(0, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the pictures after a round trip, float32 [N, 3, H, W] in [0, 1]."""
        return self.decode(self.encode(pictures))


class _Bound(nn.Module):
    """Latents squeezed smoothly into (-3, 3)."""

    def forward(self, latents: Tensor) -> Tensor:
        return torch.tanh(latents / _LIMIT) * _LIMIT


class _Residual(nn.Module):
    """Three convolutions and a sum with their input; before them, where asked, a pooled branch."""

    def __init__(self, width: int, *, has_norm: bool = False):
        super().__init__()
        self.conv = nn.Sequential(
            _conv(width, width), nn.ReLU(), _conv(width, width), nn.ReLU(), _conv(width, width)
        )
        self.pool = _norm_branch(width) if has_norm else None

    def forward(self, features: Tensor) -> Tensor:
        if self.pool is not None:
            features = features + self.pool(features)
        return functional.relu(self.conv(features) + features)


def _norm_branch(width: int) -> nn.Sequential:
    """Return 1 x 1 convolutions to four times the width and back, normalised between."""
    wide = 4 * width
    return nn.Sequential(
        nn.Conv2d(width, wide, 1, bias=False),
        nn.GroupNorm(_NORM_GROUPS, wide),
        nn.ReLU(),
        nn.Conv2d(wide, width, 1, bias=False),
    )


def _conv(inputs: int, outputs: int, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=bias)


def _encoder(latent_channels: int, width: int, *, has_norm: bool) -> nn.Sequential:
    """Return layers that halve the picture three times."""
    layers: list[nn.Module] = [_conv(3, width), _Residual(width)]
    for has_norm_here in (False, False, has_norm):
        layers.append(_conv(width, width, stride=2, bias=False))
        layers += [_Residual(width, has_norm=has_norm_here) for _ in range(_BLOCKS)]
    return nn.Sequential(*layers, _conv(width, latent_channels))


def _decoder(latent_channels: int, width: int, *, has_norm: bool) -> nn.Sequential:
    """Return layers that double the latents three times."""
    layers: list[nn.Module] = [_Bound(), _conv(latent_channels, width), nn.ReLU()]
    for has_norm_here in (has_norm, False, False):
        layers += [_Residual(width, has_norm=has_norm_here) for _ in range(_BLOCKS)]
        layers += [nn.Upsample(scale_factor=2), _conv(width, width, bias=False)]
    return nn.Sequential(*layers, _Residual(width), _conv(width, 3))
