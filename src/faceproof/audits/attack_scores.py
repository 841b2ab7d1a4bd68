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
from numpy.typing import ArrayLike, NDArray

from faceproof.audits.black_box import square_attack
from faceproof.audits.context import AuditContext
from faceproof.audits.sampled_faces import (
    Crop,
    crop_of,
    draw_candidates,
    faces_wanted,
    keep_scores,
    read_sampled_faces,
    row_keys,
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

_CHUNK = 16
"""Faces that are attacked together; the scores are kept after each chunk."""


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
    """The crops of N judged faces, and what the detector makes of them unchanged.

    Those that are wrong unchanged need no attack: they are left as they are.
    """

    context: AuditContext
    crops: tuple[Crop, ...]
    clean: Floats
    """The logits of the unchanged crops, float64 [N]."""
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
    def attacked(self) -> Bools:
        """Whether a face is attacked: a fake called fake, or a real face not called fake, [N]."""
        return is_right(self.context, self.clean, self.fake)

    def judge(self, pixels: Pixels | FloatPixels) -> Floats:
        """Return the logits of crops [N, S, S, 3] by the detector as it runs, float64 [N]."""
        return judge(self.context, pixels)

    def probabilities(self, logits: Floats) -> Floats:
        """Return the calibrated probabilities of fake, float64 [N]."""
        return calibrate(logits, self.context.detector.spec.calibration)

    def succeeded(self, logits: Floats, fake: Bools) -> Bools:
        """Return whether a fake is called real, or a real face fake, bool [N]."""
        chances, point = self.probabilities(logits), self.context.point
        return np.where(fake, chances < point.real_below, chances >= point.fake_from)


def select_attacked(context: AuditContext) -> AttackedFaces:
    """Return judged faces, with `faces_wanted` of each class among them that are right unchanged.

    Pictures are drawn until there are so many, or none is left.
    """
    wanted, crops, logits, drawn = faces_wanted(context), list[Crop](), list[float](), 0
    candidates = [draw_candidates(context, label) for label in ("real", "fake")]
    number = sum(map(len, candidates))
    shown = "candidate"
    context.progress(shown, 0, number)
    for rows in candidates:
        right = 0
        for row in rows:
            if right == wanted:
                break
            for sampled in read_sampled_faces(context, [row]):
                crops.append(crop_of(context, sampled))
                logits += judge(context, crops[-1].pixels[None]).tolist()
                right += is_right(context, logits[-1:], [row.is_fake])[0]
            drawn += 1
            if drawn < number:
                context.progress(shown, drawn, number)
    context.progress(shown, number, number)
    return AttackedFaces(context, tuple(crops), np.array(logits, np.float64), drawn)


def judge(context: AuditContext, pixels: Pixels | FloatPixels) -> Floats:
    """Return the logits of crops [N, S, S, 3] by the detector as it runs, float64 [N]."""
    detector = context.detector
    return detector.logits(network_input(pixels, detector.preprocessing.input))


def is_right(context: AuditContext, logits: ArrayLike, fake: ArrayLike) -> Bools:
    """Return whether a fake is called fake, or a real face is not called fake, bool [N]."""
    chances = calibrate(np.asarray(logits, np.float64), context.detector.spec.calibration)
    return np.asarray((chances >= context.point.fake_from) == np.asarray(fake), dtype=bool)


def open_white_box(of: AttackedFaces) -> tuple[WhiteBox | None, str]:
    """Return the torch networks, or why there are none, or how far they differ from ONNX."""
    try:
        require("torch", "timm", "safetensors")
        from faceproof.audits.white_box import WhiteBox

        box = WhiteBox(of.context.detector)
    except (MissingExtraError, UnknownChoiceError, BundleError) as error:
        return None, str(error)
    differences = sigmoid(box.logits(of.pixels[of.attacked])) - sigmoid(of.clean[of.attacked])
    furthest = float(np.abs(differences).max(initial=0.0))
    if furthest > TOLERANCE:
        return None, (
            f"torch and the running network differ by {furthest:.2g} in probability on unchanged "
            f"crops ({TOLERANCE:g} allowed)"
        )
    return box, f"{furthest:.1e}"


def score_attack(of: AttackedFaces, attack: Attack, box: WhiteBox | None) -> dict[str, Floats]:
    """Return the logits float64 [N] by name, see `column`; from the folder if it has them."""
    settings, places = of.context.settings, np.flatnonzero(of.attacked)
    rows = row_keys(of.crops[at].row for at in places)
    scores = keep_scores(
        of.context,
        attack.name,
        [asdict(attack), rows, settings.seed, settings.faces, settings.operating_point],
        len(places),
        lambda part: dict(_attack_chunk(of, attack, box, places[part], settings.seed + part.start)),
        part=_CHUNK,
        shown=f"{attack.name} attack",
    )
    every = {name: of.clean.copy() for name in scores}
    for name, logits in scores.items():
        every[name][places] = logits
    return every


def column(attack: Attack, budget: float, pixels: str) -> str:
    """Return the name of the logits under a budget, rounded to 8 bits or not.

    >>> column(ATTACKS["pgd"], 2, EIGHT_BITS)
    'pgd-2x10, 8 bits'
    """
    return f"{attack.condition(budget)}, {pixels}"


def _attack_chunk(
    of: AttackedFaces, attack: Attack, box: WhiteBox | None, chunk: NDArray[np.intp], seed: int
) -> Iterator[tuple[str, Floats]]:
    """Yield the logits of a chunk of the faces, by their places, under each budget by name."""
    crops, fake = of.pixels[chunk], of.fake[chunk]
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
