"""`attack_findings`: accuracy of a network on attacked faces and on the same faces unchanged.

The attacks are white-box: they use the network's weights and the true label, unlike an outsider.
They change the crop that the network reads, not the file. Conditions are named as in
`faceproof.evaluation.finding_names`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from faceproof.data.manifest import Manifest
from faceproof.detector import Detector, DetectorSpec, OperatingPoint, calibrate
from faceproof.detector.bundle import Bundle
from faceproof.detector.calibration import Calibration
from faceproof.detector.spec import Finding
from faceproof.errors import UsageError
from faceproof.evaluation.finding_names import UNATTACKED, attack_cautions
from faceproof.evaluation.findings import NOT_JUDGED, slice_findings
from faceproof.evaluation.predict import Predictor, predict_rows
from faceproof.evaluation.predictions import Faces, Origin, judged_faces
from faceproof.evaluation.scored_faces import search_faces
from faceproof.imaging.faces import FaceFinder
from faceproof.imaging.preprocessing import InputSpec, Preprocessing
from faceproof.training.attacks import PixelBox, evaluation_mode, perturb, pixel_box
from faceproof.training.recipe import AdversarialRecipe, Recipe
from faceproof.training.stream import select_balanced

__all__ = [
    "METRICS",
    "UNATTACKED",
    "AttackFaces",
    "attack_cautions",
    "attack_findings",
    "attack_logits",
    "condition_name",
    "fgsm",
    "final_findings",
    "pgd",
    "reported_attacks",
    "select_attack_faces",
]

Inputs = NDArray[np.float32]
Logits = NDArray[np.float64]

METRICS = ("accuracy", "recall", "bpcer")

FACES = 256
"""Number of test faces that the final report attacks; each costs dozens of passes."""

_FEWEST_STEPS, _MOST_STEPS = 10, 100
_FAR, _WIDEST = 4, 64


def final_findings(
    network: nn.Module, bundle: Bundle, recipe: Recipe, manifest: Manifest, *, workers: int = 2
) -> list[Finding]:
    """Return the findings of `reported_attacks` on a calibrated network and `FACES` test faces.

    They hold at the default operating point; empty if the recipe trains without attacks.
    """
    if not recipe.adversarial.share:
        return []
    of = select_attack_faces(
        Detector.load(bundle.folder),
        manifest,
        split="test",
        purpose="final-report",
        root=recipe.data.prepared,
        count=FACES,
        workers=workers,
    )
    return attack_findings(
        network,
        of,
        reported_attacks(recipe.adversarial),
        [bundle.spec.operating_point()],
        calibration=bundle.spec.calibration,
        input_spec=recipe.network.preprocessing.input,
        data_sha256=manifest.sha256,
    )


@dataclass(frozen=True)
class AttackFaces:
    """Faces to attack: network inputs float32 [N, 3, S, S], and their metadata."""

    inputs: Inputs
    faces: Faces


def select_attack_faces(
    detector: Predictor,
    manifest: Manifest,
    *,
    split: str,
    purpose: str,
    root: Path,
    count: int,
    finder: FaceFinder | None = None,
    workers: int = 2,
) -> AttackFaces:
    """Return the faces of at most ``count`` pictures of a split, evenly over source and class.

    They are detected and cropped as in use; pictures without a face are skipped.

    Raises:
        SplitUseError: ``split`` must not be read for this ``purpose``.
        UsageError: there is no face to attack.
    """
    rows = select_balanced(manifest.take(split, purpose=purpose), count, seed=0)
    keeper = _InputRecorder(detector)
    answers = predict_rows(
        keeper,
        rows,
        Origin(detector_sha256=detector.sha256, data_sha256=manifest.sha256, purpose=purpose),
        ("clean",),
        root=root,
        find=search_faces(finder),
        workers=workers,
    )
    if not keeper.inputs:
        raise UsageError(f"no face to attack among {len(rows)} pictures of the split {split!r}")
    return AttackFaces(np.concatenate(keeper.inputs), judged_faces(answers))


class _InputRecorder:
    """A detector that records its inputs."""

    def __init__(self, detector: Predictor) -> None:
        self._detector = detector
        self.inputs: list[Inputs] = []

    @property
    def sha256(self) -> str:
        return self._detector.sha256

    @property
    def spec(self) -> DetectorSpec:
        return self._detector.spec

    @property
    def preprocessing(self) -> Preprocessing:
        return self._detector.preprocessing

    def logits(self, inputs: Inputs, /) -> Logits:
        self.inputs.append(inputs)
        return self._detector.logits(inputs)


def reported_attacks(recipe: AdversarialRecipe) -> tuple[AdversarialRecipe, ...]:
    """Return the test attacks for a network trained under ``recipe``.

    They use one step and many steps, at the training budget and at four times that. The many
    steps are twice the training's and at least 10, which exposes a network that only resists the
    training's own attack.

    Source:
        Requirements of a fair test: N. Carlini et al., 2019, arXiv:1902.06705.
    """
    steps = min(_MOST_STEPS, max(_FEWEST_STEPS, 2 * recipe.steps))
    budgets = dict.fromkeys((recipe.budget, min(_WIDEST, _FAR * recipe.budget)))
    return tuple(trial for budget in budgets for trial in (fgsm(budget), pgd(budget, steps)))


def fgsm(budget: float) -> AdversarialRecipe:
    """Return the attack of one step at a budget in grey levels."""
    return AdversarialRecipe(attack="fgsm", budget=budget)


def pgd(budget: float, steps: int) -> AdversarialRecipe:
    """Return the attack of many steps, whose total length is two and a half times the budget."""
    return AdversarialRecipe(
        attack="pgd", budget=budget, steps=steps, step=min(_WIDEST, 2.5 * budget / steps)
    )


def condition_name(attack: AdversarialRecipe) -> str:
    """Return the name of the condition of faces under an attack.

    >>> condition_name(fgsm(2)), condition_name(pgd(0.5, 20))
    ('fgsm-2', 'pgd-0.5x20')
    """
    steps = "" if attack.attack == "fgsm" else f"x{attack.steps}"
    return f"{attack.attack}-{attack.budget:g}{steps}"


def attack_findings(
    network: nn.Module,
    of: AttackFaces,
    attacks: Sequence[AdversarialRecipe],
    points: Sequence[OperatingPoint],
    *,
    calibration: Calibration,
    input_spec: InputSpec,
    data_sha256: str,
    batch_size: int = 32,
    seed: int = 0,
) -> list[Finding]:
    """Return `METRICS` at each operating point, for the unattacked faces, then for each attack.

    ``network`` maps inputs [N, 3, S, S] to logits [N] on its own device; its modes and gradients
    are restored. Metrics that need a missing class are skipped.

    Raises:
        UsageError: there are no faces.
    """
    if not len(of.faces):
        raise UsageError("no face to attack")
    device = next(network.parameters()).device
    box, found = pixel_box(input_spec, device), []
    for attack in (None, *attacks):
        logits = attack_logits(network, of, attack, box, batch_size=batch_size, seed=seed)
        chances = calibrate(logits, calibration)
        name = condition_name(attack) if attack else UNATTACKED
        faces = replace(of.faces, logits=logits, probabilities=chances)
        found += slice_findings(
            "all",
            name,
            faces,
            points,
            counted=faces,
            data_sha256=data_sha256,
            metrics=METRICS,
        )
    return [one for one in found if one.metric not in NOT_JUDGED]


def attack_logits(
    network: nn.Module,
    of: AttackFaces,
    attack: AdversarialRecipe | None,
    box: PixelBox,
    *,
    batch_size: int = 32,
    seed: int = 0,
) -> Logits:
    """Return the network's logits under an attack (or None), float64 [N], with this ``seed``."""
    generator, device = torch.Generator().manual_seed(seed), box.low.device
    logits = []
    for at in range(0, len(of.inputs), batch_size):
        batch = torch.from_numpy(of.inputs[at : at + batch_size]).to(device)
        fake = torch.from_numpy(of.faces.fake[at : at + batch_size]).to(device, torch.float32)
        if attack:
            batch = perturb(network, batch, fake, box, attack, share=1, generator=generator)
        with torch.no_grad(), evaluation_mode(network):
            logits.append(network(batch).double().cpu().numpy())
    return np.concatenate(logits)
