"""`WhiteBox`: attacks on the crop of a face by an attacker who has the detector's weights.

Pixels are float32 in 0..255, budgets in grey levels, which are the steps of 8 bits: the largest
change of a value (linf), or the root mean square of all changes (l2). The L2 norm of pixels in
0..1 is the latter times sqrt(3 S S) / 255 for a crop of S px.

Own code beside the attacks of `faceproof.training.attacks`, because of what libraries lack:
Foolbox 3.3 has no Square attack, and needs GitPython and requests. The Adversarial Robustness
Toolbox 1.20 takes cross-entropy, whose gradient rounds to 0 for a certain network; its Square
attack draws one square for a whole batch, and refuses networks with one logit. Torchattacks pins
an old requests. Tests compare with the Adversarial Robustness Toolbox.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from faceproof.detector import Detector
from faceproof.detector.detector import renormalise
from faceproof.detector.scorers import member_network
from faceproof.detector.spec import DetectorSpec, Member
from faceproof.evaluation.formulas import Bools
from faceproof.imaging.preprocessing import Pixels
from faceproof.tables import choose
from faceproof.training.attacks import ascent_gradient, pixel_box

FloatPixels = NDArray[np.float32]
Succeeded = Callable[[FloatPixels, Bools], Bools]
"""Function from pixels float32 [N, S, S, 3] and labels bool [N] to whether the attack is done."""

_BATCH = 16
_REACH = 2.5
"""The steps of an attack are together so many budgets long."""


class _Norm(NamedTuple):
    """How changes are measured: in both functions the change is [N, 3, S, S] in grey levels."""

    step: Callable[[Tensor], Tensor]
    """The steepest change of size 1 for a gradient."""
    shrink: Callable[[Tensor, float], Tensor]
    """The nearest change that is at most so large."""


def _root_mean_square(change: Tensor) -> Tensor:
    """Return the root mean square of each picture, [N, 1, 1, 1]; never 0."""
    return change.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-30)


NORMS: dict[str, _Norm] = {
    "linf": _Norm(torch.sign, lambda change, budget: change.clamp(-budget, budget)),
    "l2": _Norm(
        lambda gradient: gradient / _root_mean_square(gradient),
        lambda change, budget: change * (budget / _root_mean_square(change)).clamp_max(1),
    ),
}
"""The norms in which a budget may be given."""


class _Ensemble(nn.Module):
    """The weighted mean of the members' logits, for inputs in the detector's normalisation."""

    def __init__(self, networks: Sequence[nn.Module], spec: DetectorSpec) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        weights = np.array([member.weight for member in spec.members])
        self._shares = (weights / weights.sum()).tolist()
        self._lines = [_renormalisation(spec, member) for member in spec.members]

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits [N] of float32 [N, 3, S, S]."""
        logits = [
            share * network(inputs * factor + shift)
            for network, share, (factor, shift) in zip(
                self.networks, self._shares, self._lines, strict=True
            )
        ]
        return torch.stack(logits).sum(0)


def _renormalisation(spec: DetectorSpec, member: Member) -> tuple[Tensor, Tensor]:
    """Return factor and shift [1, 3, 1, 1] from the detector's normalisation to a member's."""
    ends = np.repeat(np.array([0, 1], np.float32), 3).reshape(2, 3, 1, 1)
    own = renormalise(ends, spec.preprocessing.input, spec.preprocessing_of(member).input)
    both = torch.from_numpy(own)
    return both[1:] - both[:1], both[:1]


class WhiteBox:
    """The torch networks of a detector, to be attacked; all members at once."""

    def __init__(self, detector: Detector, *, networks: Sequence[nn.Module] | None = None) -> None:
        """Load the networks, or take those given in the order of the members.

        Raises:
            MissingExtraError: torch is not installed.
            UnknownChoiceError, BundleError: a network or its weights cannot be used.
        """
        members = detector.spec.members
        self._network = _Ensemble(
            networks or [member_network(detector.bundle, member) for member in members],
            detector.spec,
        )
        self._network.eval().requires_grad_(requires_grad=False)
        self._network.to(memory_format=torch.channels_last)  # a fifth faster on a CPU
        self._box = pixel_box(detector.preprocessing.input)

    def logits(self, crops: Pixels | FloatPixels) -> NDArray[np.float64]:
        """Return the logits of pixels [N, S, S, 3], float64 [N]."""
        with torch.no_grad():
            parts = [self._network(self._to_inputs(part)) for part in _batches(_to_tensor(crops))]
            return np.asarray(torch.cat(parts).double().numpy())

    def fgsm(
        self, crops: Pixels, fake: Bools, budgets: Sequence[float]
    ) -> Iterator[tuple[float, FloatPixels]]:
        """Yield each budget, and the pixels after one step of it away from the labels.

        Source:
            Fast gradient sign method: I. Goodfellow et al., 2015, arXiv:1412.6572.
        """
        clean = _to_tensor(crops)
        direction = NORMS["linf"].step(self._gradient(clean, fake))
        for budget in budgets:
            yield budget, _to_pixels((clean + budget * direction).clamp(0, 255))

    def pgd(
        self,
        crops: Pixels,
        fake: Bools,
        budgets: Sequence[float],
        *,
        norm: str,
        steps: int,
        succeeded: Succeeded,
        seed: int = 0,
    ) -> Iterator[tuple[float, FloatPixels]]:
        """Yield each budget, ascending, and the pixels after up to ``steps`` steps within it.

        The first budget starts at random, each other from the result of the one before. A face on
        which the attack has ``succeeded`` is left as it is then.

        Source:
            Projected gradient descent: A. Madry et al., 2018, arXiv:1706.06083.
        """
        along = choose(NORMS, norm, what="norm")
        clean = _to_tensor(crops)
        drawn = torch.rand(clean.shape, generator=torch.Generator().manual_seed(seed))
        change = along.shrink((2 * drawn - 1) * min(budgets), min(budgets))
        moved = (clean + change).clamp(0, 255)
        running = ~succeeded(_to_pixels(moved), fake)
        for budget in sorted(budgets):
            for _ in range(steps):
                if not running.any():
                    break
                at = torch.from_numpy(np.flatnonzero(running))
                step = along.step(self._gradient(moved[at], fake[running]))
                change = moved[at] - clean[at] + _REACH * budget / steps * step
                moved[at] = (clean[at] + along.shrink(change, budget)).clamp(0, 255)
                running[running] = ~succeeded(_to_pixels(moved[at]), fake[running])
            yield budget, _to_pixels(moved)

    def _gradient(self, pixels: Tensor, fake: Bools) -> Tensor:
        """Return the gradient by pixels of 0..255, away from the labels, [N, 3, S, S]."""
        targets = torch.from_numpy(fake.astype(np.float32))
        parts = [
            ascent_gradient(self._network, self._to_inputs(part), target)
            for part, target in zip(_batches(pixels), _batches(targets), strict=True)
        ]
        return torch.cat(parts) * self._box.grey_level

    def _to_inputs(self, pixels: Tensor) -> Tensor:
        return self._box.low + pixels * self._box.grey_level


def _batches(values: Tensor) -> list[Tensor]:
    return [values[at : at + _BATCH] for at in range(0, len(values), _BATCH)]


def _to_tensor(crops: Pixels | FloatPixels) -> Tensor:
    """Return pixels [N, S, S, 3] as float32 [N, 3, S, S], with the channels last in memory."""
    return torch.from_numpy(np.array(crops, np.float32)).movedim(-1, 1)


def _to_pixels(pixels: Tensor) -> FloatPixels:
    return np.moveaxis(pixels.numpy().copy(), 1, -1)
