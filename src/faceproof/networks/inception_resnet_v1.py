"""InceptionResnetV1, FaceNet's face network, with the public checkpoints' names (imports torch).

Source: C. Szegedy, S. Ioffe, V. Vanhoucke, A. Alemi, "Inception-v4, Inception-ResNet and the
Impact of Residual Connections on Learning", 2016, arXiv:1602.07261, figures 10 to 14 (Inception-
ResNet-v1), with the stem, scales and 512-wide bottleneck of the open FaceNet implementation
(F. Schroff, D. Kalenichenko, J. Philbin, "FaceNet", 2015, arXiv:1503.03832).
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

_EPSILON = 0.001
"""Epsilon of batch norm in the public checkpoints (torch's default is 1e-5)."""

_STEM_WIDTH, _MIDDLE_WIDTH, _LAST_WIDTH, _EMBEDDING_WIDTH = 256, 896, 1792, 512


def convolution(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int],
    *,
    stride: int = 1,
    padding: int | tuple[int, int] = 0,
) -> nn.Sequential:
    """Return convolution, batch norm and ReLU under the names ``conv`` and ``bn``."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=False)
    norm = nn.BatchNorm2d(outputs, eps=_EPSILON)
    return nn.Sequential(OrderedDict(conv=conv, bn=norm, relu=nn.ReLU(inplace=True)))


class _Branches(nn.Module):
    """Branches on the same input, concatenated along the channels of the output."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.names = [f"branch{number}" for number in range(len(branches))]
        for name, branch in zip(self.names, branches, strict=True):
            self.add_module(name, branch)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, sum of the branches' channels, h, w]."""
        return torch.cat([getattr(self, name)(x) for name in self.names], dim=1)


class _InceptionResidual(_Branches):
    """A block that adds a scaled correction, made by its branches and a 1x1 convolution."""

    def __init__(
        self, *branches: nn.Module, joined: int, width: int, scale: float, last: nn.Module
    ) -> None:
        super().__init__(*branches)
        self.conv2d = nn.Conv2d(joined, width, 1)
        self.scale = scale
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, width, h, w], shaped like the input."""
        correction: Tensor = self.conv2d(super().forward(x))
        added: Tensor = self.last(x + self.scale * correction)
        return added


def _block35() -> _InceptionResidual:
    """Return an Inception-A block on the 35 x 35 grid of a 299 px picture."""
    return _InceptionResidual(
        convolution(256, 32, 1),
        nn.Sequential(convolution(256, 32, 1), convolution(32, 32, 3, padding=1)),
        nn.Sequential(
            convolution(256, 32, 1),
            convolution(32, 32, 3, padding=1),
            convolution(32, 32, 3, padding=1),
        ),
        joined=96,
        width=_STEM_WIDTH,
        scale=0.17,
        last=nn.ReLU(),
    )


def _block17() -> _InceptionResidual:
    """Return an Inception-B block, whose 7 x 7 convolution is split in two, on the 17 x 17 grid."""
    return _InceptionResidual(
        convolution(_MIDDLE_WIDTH, 128, 1),
        nn.Sequential(
            convolution(_MIDDLE_WIDTH, 128, 1),
            convolution(128, 128, (1, 7), padding=(0, 3)),
            convolution(128, 128, (7, 1), padding=(3, 0)),
        ),
        joined=256,
        width=_MIDDLE_WIDTH,
        scale=0.10,
        last=nn.ReLU(),
    )


def block8(*, scale: float, last: nn.Module) -> _InceptionResidual:
    """Return an Inception-C block, whose 3 x 3 convolution is split in two, on the 8 x 8 grid."""
    return _InceptionResidual(
        convolution(_LAST_WIDTH, 192, 1),
        nn.Sequential(
            convolution(_LAST_WIDTH, 192, 1),
            convolution(192, 192, (1, 3), padding=(0, 1)),
            convolution(192, 192, (3, 1), padding=(1, 0)),
        ),
        joined=384,
        width=_LAST_WIDTH,
        scale=scale,
        last=last,
    )


def _reduction_a() -> _Branches:
    """Return the step from the 35 x 35 grid, 256 wide, to the 17 x 17 grid, 896 wide."""
    return _Branches(
        convolution(_STEM_WIDTH, 384, 3, stride=2),
        nn.Sequential(
            convolution(_STEM_WIDTH, 192, 1),
            convolution(192, 192, 3, padding=1),
            convolution(192, 256, 3, stride=2),
        ),
        nn.MaxPool2d(3, stride=2),
    )


def _reduction_b() -> _Branches:
    """Return the step from the 17 x 17 grid, 896 wide, to the 8 x 8 grid, 1792 wide."""
    return _Branches(
        nn.Sequential(convolution(_MIDDLE_WIDTH, 256, 1), convolution(256, 384, 3, stride=2)),
        nn.Sequential(convolution(_MIDDLE_WIDTH, 256, 1), convolution(256, 256, 3, stride=2)),
        nn.Sequential(
            convolution(_MIDDLE_WIDTH, 256, 1),
            convolution(256, 256, 3, padding=1),
            convolution(256, 256, 3, stride=2),
        ),
        nn.MaxPool2d(3, stride=2),
    )


class InceptionResnetV1(nn.Module):
    """Faces to identity: float [N, 3, H, W] to [N, 512]; H and W are 160 in training, 75 at least.

    ``dropout`` acts before the bottleneck. The public weights expect RGB as (x - 127.5) / 128, or
    standardised per picture.
    """

    def __init__(self, *, dropout: float = 0.6) -> None:
        super().__init__()
        self.conv2d_1a = convolution(3, 32, 3, stride=2)
        self.conv2d_2a = convolution(32, 32, 3)
        self.conv2d_2b = convolution(32, 64, 3, padding=1)
        self.maxpool_3a = nn.MaxPool2d(3, stride=2)
        self.conv2d_3b = convolution(64, 80, 1)
        self.conv2d_4a = convolution(80, 192, 3)
        self.conv2d_4b = convolution(192, _STEM_WIDTH, 3, stride=2)
        self.repeat_1 = nn.Sequential(*(_block35() for _ in range(5)))
        self.mixed_6a = _reduction_a()
        self.repeat_2 = nn.Sequential(*(_block17() for _ in range(10)))
        self.mixed_7a = _reduction_b()
        self.repeat_3 = nn.Sequential(*(block8(scale=0.20, last=nn.ReLU()) for _ in range(5)))
        self.block8 = block8(scale=1.0, last=nn.Identity())
        self.avgpool_1a = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.last_linear = nn.Linear(_LAST_WIDTH, _EMBEDDING_WIDTH, bias=False)
        self.last_bn = nn.BatchNorm1d(_EMBEDDING_WIDTH, eps=_EPSILON)

    def features(self, pictures: Tensor) -> Tensor:
        """Return the last feature map, [N, 1792, h, w]: 3 x 3 for 160 px."""
        x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(pictures)))
        x = self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(self.maxpool_3a(x))))
        x = self.repeat_2(self.mixed_6a(self.repeat_1(x)))
        last: Tensor = self.block8(self.repeat_3(self.mixed_7a(x)))
        return last

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the bottleneck, [N, 512], before normalisation: the input of a head."""
        pooled = torch.flatten(self.avgpool_1a(self.features(pictures)), 1)
        bottleneck: Tensor = self.last_bn(self.last_linear(self.dropout(pooled)))
        return bottleneck
