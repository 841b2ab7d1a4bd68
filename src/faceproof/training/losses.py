"""`picture_losses` and `Teacher`: losses, mixed pictures and distillation.

Fake is the positive class: logits are those of fake, targets are fake probabilities in [0, 1].
Losses are computed in float32, whatever the network's precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from faceproof.detector import Detector, calibrated_logits
from faceproof.detector.bundle import Bundle
from faceproof.detector.detector import crop_difference, locate, renormalise
from faceproof.detector.scorers import usable_cores
from faceproof.errors import TrainingError
from faceproof.imaging.preprocessing import Preprocessing
from faceproof.tables import choose
from faceproof.training.recipe import OptimizerRecipe
from faceproof.training.recipe_pictures import AugmentRecipe

Loss = Callable[[Tensor, Tensor, OptimizerRecipe], Tensor]


def picture_losses(logits: Tensor, targets: Tensor, recipe: OptimizerRecipe) -> Tensor:
    """Return the loss of each picture, float32 [N]: the recipe's loss on smoothed labels.

    ``logits`` and ``targets`` are float [N]. Targets stay ``label_smoothing`` off 0 and 1.

    Raises:
        UnknownChoiceError: ``recipe.loss`` is not in `LOSSES`.

    Source:
        Label smoothing: C. Szegedy et al., 2016, arXiv:1512.00567, section 7.
    """
    loss = choose(LOSSES, recipe.loss, what="loss")
    smoothing = recipe.label_smoothing
    return loss(logits.float(), targets.float() * (1 - 2 * smoothing) + smoothing, recipe)


def cross_entropy(logits: Tensor, targets: Tensor, _: OptimizerRecipe) -> Tensor:
    """Return the binary cross-entropy of each picture in nats, [N]."""
    return binary_cross_entropy_with_logits(logits, targets, reduction="none")


def _focal_loss(logits: Tensor, targets: Tensor, recipe: OptimizerRecipe) -> Tensor:
    """Return the focal loss of each picture, [N]: cross-entropy with low weight on easy ones.

    A target between 0 and 1 gives the mean of both labels' losses. The weights are powers of
    logarithms, so that the gradient is finite where a probability is rounded to 0 or 1.

    Source:
        T.-Y. Lin et al., 2017, arXiv:1708.02002, without the class weight alpha.
    """
    fake, real = logsigmoid(logits), logsigmoid(-logits)
    of_fake = -torch.exp(recipe.focal_gamma * real) * fake
    of_real = -torch.exp(recipe.focal_gamma * fake) * real
    return targets * of_fake + (1 - targets) * of_real


LOSSES: Mapping[str, Loss] = {"cross_entropy": cross_entropy, "focal": _focal_loss}


def worst_share(losses: Tensor, share: float) -> Tensor:
    """Return the mean of the worst ``share`` of the losses [N], a scalar; 1 means all.

    This is the conditional value at risk: if ``share`` of N is fractional, the last loss is
    weighted by the fraction. A share below one picture is the worst picture.

    Source:
        R. Rockafellar, S. Uryasev, 2002, Journal of Banking and Finance 26:1443, for a sample. As
        a loss for groups whose labels are unknown: T. Hashimoto et al., 2018, arXiv:1806.08010.
    """
    if share == 1:
        return losses.mean()
    ordered = losses.sort(descending=True).values
    places = torch.arange(len(losses), device=losses.device, dtype=losses.dtype)
    weights = (share * len(losses) - places).clamp(0, 1)
    return (weights * ordered).sum() / weights.sum()


def distillation(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Return the distillation loss of each picture, float32 [N]; 0 if student and teacher agree.

    It is the Kullback-Leibler divergence in nats at ``temperature``, times its square, so that the
    size of gradients does not depend on the temperature. The teacher gets no gradient.

    Source:
        G. Hinton, O. Vinyals, J. Dean, 2015, arXiv:1503.02531, section 2.
    """
    softer = teacher_logits.detach().float() / temperature
    fake, real = torch.sigmoid(softer), torch.sigmoid(-softer)
    entropy = -(torch.xlogy(fake, fake) + torch.xlogy(real, real))
    cross = binary_cross_entropy_with_logits(logits.float() / temperature, fake, reduction="none")
    return (cross - entropy) * temperature**2


Random = np.random.Generator


def mix_batch(
    inputs: Tensor, targets: Tensor, recipe: AugmentRecipe, rng: Random
) -> tuple[Tensor, Tensor]:
    """Return inputs [N, 3, H, W] and targets float [N], mixed at random or unchanged.

    One random number selects mixup, cutmix or neither; mixed pictures are new tensors. A recipe
    without mixing draws nothing.
    """
    if recipe.mixup + recipe.cutmix == 0:
        return inputs, targets
    drawn = rng.random()
    if drawn < recipe.mixup:
        return mixup(inputs, targets, recipe.mix_alpha, rng)
    if drawn < recipe.mixup + recipe.cutmix:
        return cutmix(inputs, targets, recipe.mix_alpha, rng)
    return inputs, targets


def mixup(inputs: Tensor, targets: Tensor, alpha: float, rng: Random) -> tuple[Tensor, Tensor]:
    """Return each picture [N, 3, H, W] averaged with another one, and its target [N] too.

    Source:
        H. Zhang et al., 2018, arXiv:1710.09412.
    """
    share, partners = float(rng.beta(alpha, alpha)), _draw_partners(inputs, rng)
    return _weighted_mean(inputs, inputs[partners], share), _weighted_mean(
        targets, targets[partners], share
    )


def cutmix(inputs: Tensor, targets: Tensor, alpha: float, rng: Random) -> tuple[Tensor, Tensor]:
    """Return each picture [N, 3, H, W] with a box from another; targets [N] by area.

    The box has the picture's aspect ratio and is clipped at the picture's border.

    Source:
        S. Yun et al., 2019, arXiv:1905.04899.
    """
    share, partners = float(rng.beta(alpha, alpha)), _draw_partners(inputs, rng)
    rows, columns = (_draw_interval(side, 1 - share, rng) for side in inputs.shape[-2:])
    pasted = inputs.clone()
    pasted[..., rows, columns] = inputs[partners][..., rows, columns]
    height, width = inputs.shape[-2:]
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return pasted, _weighted_mean(targets, targets[partners], 1 - area / (height * width))


def _draw_partners(inputs: Tensor, rng: Random) -> Tensor:
    """Return a random partner index for each picture (possibly its own), int64 [N]."""
    return torch.from_numpy(rng.permutation(len(inputs))).to(inputs.device)


def _draw_interval(side: int, area: float, rng: Random) -> slice:
    """Return the interval of a side for a box of this share of the area, at a random centre."""
    half, centre = side * np.sqrt(area) / 2, rng.uniform(0, side)
    return slice(max(0, round(centre - half)), min(side, round(centre + half)))


def _weighted_mean(own: Tensor, other: Tensor, share: float) -> Tensor:
    """Return the weighted mean, with weight ``share`` for the first."""
    return share * own + (1 - share) * other


class Teacher:
    """A teacher detector of one or several networks, applied to a student's inputs.

    It runs on the inputs' device: on the CPU with onnxruntime (with at most torch's number of
    threads), elsewhere with torch.

    Source: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015.
    """

    def __init__(self, bundle: str | Path, student: Preprocessing) -> None:
        """Load the detector of this name or folder as teacher.

        Raises:
            BundleError: the detector is missing or invalid.
            TrainingError: its crop differs from the student's.
        """
        self._name = str(bundle)
        self._student = student.input
        spec = Bundle.read(locate(bundle)).spec
        self._own = spec.preprocessing.input
        self._calibration = spec.calibration
        self._detectors: dict[str, Detector] = {}
        if differs := crop_difference(student.crop, spec.preprocessing.crop):
            raise TrainingError(
                f"the student's crop differs from that of its teacher {self._name}: {differs}. Set "
                f"network.preprocessing.crop to the teacher's, or set another distil.teacher"
            )

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return calibrated logits, float32 [N] without gradient, for [N, 3, S, S] on any device.

        ``inputs`` are normalised for the student.
        """
        device = inputs.device.type
        pixels = inputs.detach().to("cpu", torch.float32).numpy()
        ready = renormalise(pixels, self._student, self._own)
        with torch.autocast(device, enabled=False):
            logits = self._load_detector(device).logits(ready)
        answers = calibrated_logits(logits, self._calibration).astype(np.float32)
        return torch.from_numpy(answers).to(inputs.device)

    def _load_detector(self, device: str) -> Detector:
        """Return the detector, loaded once for each device."""
        if device not in self._detectors:
            self._detectors[device] = self._open(device)
        return self._detectors[device]

    def _open(self, device: str) -> Detector:
        if device != "cpu":
            return Detector.load(self._name, scorer="torch", device=device)
        threads = min(usable_cores(), torch.get_num_threads())
        return Detector.load(self._name, threads=threads)
