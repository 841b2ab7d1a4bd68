"""`score_attack`: the logits of faces under each budget of an attack of `ATTACKS`.

Attacks change the crop of a face, at the size and before the normalisation of the network's input.
An attacker who changes the picture instead has more pixels, which the crop averages or turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from faceproof.audits.black_box import square_attack
from faceproof.audits.context import AuditContext
from faceproof.audits.sampled_faces import (
    Crop,
    crop_of,
    draw_faces,
    keep_scores,
    read_sampled_faces,
)
from faceproof.detector import calibrate
from faceproof.errors import BundleError, MissingExtraError, UnknownChoiceError
from faceproof.evaluation.formulas import Bools, Floats
from faceproof.export import TOLERANCE
from faceproof.imaging.preprocessing import Pixels, network_input
from faceproof.statistics import sigmoid
from faceproof.tables import require

if TYPE_CHECKING:
    from faceproof.audits.white_box import FloatPixels, WhiteBox

EIGHT_BITS, UNROUNDED = "8 bits", "unrounded"
"""Pixels of an attacked crop: as a file can hold them, or as the attack computed them."""

_CHUNK = 64


@dataclass(frozen=True)
class Attack:
    """An attack with its budgets in grey levels, ascending, and its steps or queries."""

    name: str
    words: str
    norm: str
    budgets: tuple[float, ...]
    steps: int
    white_box: bool = True

    def condition(self, budget: float) -> str:
        """Return the name of faces under this attack, as in `faceproof.evaluation.finding_names`.

        >>> [ATTACKS[name].condition(2) for name in ATTACKS]
        ['square-2x100', 'fgsm-2', 'pgd-2x10', 'pgd-l2-2x10']
        """
        return f"{self.name}-{budget:g}" + ("" if self.steps == 1 else f"x{self.steps}")


ATTACKS: Mapping[str, Attack] = {
    one.name: one
    for one in (
        Attack("square", "squares, by scores only", "linf", (8,), 100, white_box=False),
        Attack("fgsm", "one step along the gradient", "linf", (1, 2, 4, 8), 1),
        Attack("pgd", "steps along the gradient", "linf", (1, 2, 4), 10),
        Attack("pgd-l2", "steps along the gradient", "l2", (0.25, 0.5, 1), 10),
    )
}
"""The attacks by name, in the order in which they are run."""


@dataclass(frozen=True)
class AttackedFaces:
    """The crops to attack, and what the detector makes of them unchanged."""

    context: AuditContext
    crops: tuple[Crop, ...]
    drawn: int
    """How many pictures were drawn; those whose face gets no verdict are not among the crops."""

    @cached_property
    def pixels(self) -> Pixels:
        """The crops, uint8 [N, S, S, 3]."""
        side = self.context.detector.preprocessing.crop.size
        return np.array([one.pixels for one in self.crops], np.uint8).reshape(-1, side, side, 3)

    @cached_property
    def fake(self) -> Bools:
        """The labels, bool [N]."""
        return np.array([one.row.is_fake for one in self.crops], dtype=bool)

    @cached_property
    def groups(self) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
        """The groups, str [N]."""
        return np.array([one.group for one in self.crops], dtype=np.str_)

    @cached_property
    def clean(self) -> Floats:
        """The logits of the unchanged crops, float64 [N]."""
        return self.judge(self.pixels)

    def judge(self, pixels: Pixels | FloatPixels) -> Floats:
        """Return the logits of crops [N, S, S, 3] by the detector as it runs, float64 [N]."""
        detector = self.context.detector
        return detector.logits(network_input(pixels, detector.preprocessing.input))

    def probabilities(self, logits: Floats) -> Floats:
        """Return the calibrated probabilities of fake, float64 [N]."""
        return calibrate(logits, self.context.detector.spec.calibration)

    def succeeded(self, logits: Floats, fake: Bools) -> Bools:
        """Return whether a fake is called real, or a real face fake, bool [N]."""
        chances, point = self.probabilities(logits), self.context.point
        return np.where(fake, chances < point.real_below, chances >= point.fake_from)


def select_attacked(context: AuditContext) -> AttackedFaces:
    """Return the faces to attack, of pictures drawn from the sample of degraded ones."""
    rows = draw_faces(context, "degraded")
    crops = tuple(crop_of(context, one) for one in read_sampled_faces(context, rows))
    return AttackedFaces(context, crops, len(rows))


def open_white_box(of: AttackedFaces) -> tuple[WhiteBox | None, str]:
    """Return the torch networks, or why there are none, or how far they differ from ONNX."""
    try:
        require("torch", "timm", "safetensors")
        from faceproof.audits.white_box import WhiteBox

        box = WhiteBox(of.context.detector)
    except (MissingExtraError, UnknownChoiceError, BundleError) as error:
        return None, str(error)
    differences = sigmoid(box.logits(of.pixels)) - sigmoid(of.clean)
    furthest = float(np.abs(differences).max(initial=0.0))
    if furthest > TOLERANCE:
        return None, (
            f"torch and the running network differ by {furthest:.2g} in probability on unchanged "
            f"crops ({TOLERANCE:g} allowed)"
        )
    return box, f"{furthest:.1e}"


def score_attack(of: AttackedFaces, attack: Attack, box: WhiteBox | None) -> dict[str, Floats]:
    """Return the logits float64 [N] by name, see `column`; from the folder if it has them."""
    settings = of.context.settings
    key = [asdict(attack), [one.row.path for one in of.crops], settings.seed, settings.faces]
    key.append(settings.operating_point)

    def make() -> Mapping[str, Floats]:
        shown, number = f"{attack.name} attack", len(of.crops)
        of.context.progress(shown, 0, number)
        columns: dict[str, list[Floats]] = {}
        for start in range(0, number, _CHUNK):
            chunk = slice(start, start + _CHUNK)
            for name, logits in _attack_chunk(of, attack, box, chunk):
                columns.setdefault(name, []).append(logits)
            of.context.progress(shown, min(start + _CHUNK, number), number)
        return {name: np.concatenate(parts) for name, parts in columns.items()}

    return keep_scores(of.context, attack.name, key, make)


def column(attack: Attack, budget: float, pixels: str) -> str:
    """Return the name of the logits under a budget, rounded to 8 bits or not.

    >>> column(ATTACKS["pgd"], 2, EIGHT_BITS)
    'pgd-2x10, 8 bits'
    """
    return f"{attack.condition(budget)}, {pixels}"


def _attack_chunk(
    of: AttackedFaces, attack: Attack, box: WhiteBox | None, chunk: slice
) -> Iterator[tuple[str, Floats]]:
    """Yield the logits of a chunk of the faces under each budget, by name."""
    crops, fake, seed = of.pixels[chunk], of.fake[chunk], of.context.settings.seed + chunk.start
    if box is None:
        clean, start = of.clean[chunk], None
        for budget in attack.budgets:
            start, logits = square_attack(
                of.judge,
                crops,
                fake,
                clean=clean,
                budget=int(budget),
                queries=attack.steps,
                succeeded=of.succeeded,
                seed=seed,
                start=start,
            )
            yield column(attack, budget, EIGHT_BITS), logits
        return

    # An attack has succeeded when the picture in a file is called the opposite.
    def succeeded(moved: FloatPixels, labels: Bools) -> Bools:
        return of.succeeded(of.judge(to_eight_bits(moved)), labels)

    attacked = (
        box.fgsm(crops, fake, attack.budgets)
        if attack.steps == 1
        else box.pgd(
            crops,
            fake,
            attack.budgets,
            norm=attack.norm,
            steps=attack.steps,
            succeeded=succeeded,
            seed=seed,
        )
    )
    for budget, moved in attacked:
        yield column(attack, budget, EIGHT_BITS), of.judge(to_eight_bits(moved))
        yield column(attack, budget, UNROUNDED), of.judge(moved)


def to_eight_bits(pixels: FloatPixels) -> Pixels:
    """Return pixels rounded to the whole grey levels that a file can hold, uint8.

    >>> to_eight_bits(np.float32([[-0.2, 1.6, 255.4]])).tolist()
    [[0, 2, 255]]
    """
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
