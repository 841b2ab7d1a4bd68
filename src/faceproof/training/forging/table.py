"""The kinds of fakes that training makes of real faces: one table.

Every kind has the same signature, says what it needs, and returns the groups of all people in the
fake, so that a split by group keeps a fake with the pictures it was made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from faceproof.errors import TrainingError
from faceproof.tables import choose
from faceproof.training.forging.autoencoder import LATENT_NOISE, round_trip
from faceproof.training.forging.blending import random_self_blend, swap_face
from faceproof.training.forging.masks import Pixels, Points, is_face
from faceproof.training.forging.paste import paste_face
from faceproof.training.forging.reconstruction import reconstruct

if TYPE_CHECKING:
    from faceproof.training.forging.tiny_autoencoder import TinyAutoencoder

__all__ = [
    "FORGERIES",
    "Forgery",
    "ForgingResources",
    "MadeFake",
    "RealFace",
    "validate_forgeries",
]

# A picture whose channels all span less has no face to see.
_FLAT_LEVELS = 8


@dataclass(frozen=True)
class RealFace:
    """A real picture uint8 [H, W, 3], its landmarks float32 [5, 2] and the groups of its person."""

    pixels: Pixels
    landmarks: Points
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class MadeFake:
    """What a forgery returns.

    ``is_fake`` is False where nothing could be forged: then ``pixels`` and ``groups`` are those of
    the real picture, and the caller keeps it as real.
    """

    pixels: Pixels
    groups: tuple[str, ...]
    is_fake: bool


@dataclass(frozen=True)
class ForgingResources:
    """What some forgeries need besides the pictures: an autoencoder, or None.

    ``latent_noise`` is the range of the standard deviation of the noise on its latents.
    """

    autoencoder: TinyAutoencoder | None = None
    latent_noise: tuple[float, float] = LATENT_NOISE

    def require_autoencoder(self) -> TinyAutoencoder:
        """Return the autoencoder.

        Raises:
            TrainingError: there is none.
        """
        if self.autoencoder is None:
            raise TrainingError(
                "fakes by round trip need an autoencoder, and none was given: name the safetensors "
                "file of one, or set the share of round trips to 0"
            )
        return self.autoencoder


_Donor = Callable[[], RealFace]
_Draw = Callable[[tuple[RealFace, ...], Generator, ForgingResources], Pixels]


@dataclass(frozen=True)
class Forgery:
    """A kind of made fake: what it does, and what it needs.

    ``changes_surroundings`` says that pixels outside of the face may change too.
    """

    summary: str
    draw: _Draw = field(repr=False)
    needs_donor: bool = False
    needs_autoencoder: bool = False
    changes_surroundings: bool = False

    def make(
        self,
        real: RealFace,
        donor: _Donor,
        rng: Generator,
        resources: ForgingResources | None = None,
    ) -> MadeFake:
        """Return a fake made of the real picture, in its shape, with the groups of all its people.

        ``donor`` is called once where `needs_donor`, else never; it returns the face of another
        person. The picture returns unchanged, as real, where there is nothing to forge: the face
        is outside of the picture or smaller than 4 px, the picture is flat, or the donor shares a
        group with the real picture. Equal generators, pictures and donors give equal fakes.

        Raises:
            TrainingError: the forgery needs an autoencoder, and ``resources`` has none.
        """
        resources = resources or ForgingResources()
        self.validate(resources)
        unchanged = MadeFake(real.pixels, real.groups, is_fake=False)
        if not _is_forgeable(real):
            return unchanged
        people = (real, donor()) if self.needs_donor else (real,)
        groups = tuple(dict.fromkeys(group for one in people for group in one.groups))
        if len(groups) < sum(len(set(one.groups)) for one in people):
            return unchanged
        pixels = self.draw(people, rng, resources)
        if np.array_equal(pixels, real.pixels):
            return unchanged
        return MadeFake(pixels, groups, is_fake=True)

    def validate(self, resources: ForgingResources) -> None:
        """Return if the resources have what the forgery needs.

        Raises:
            TrainingError: an autoencoder is needed, and there is none.
        """
        if self.needs_autoencoder:
            resources.require_autoencoder()


def validate_forgeries(names: Iterable[str], resources: ForgingResources) -> None:
    """Return if every name is in `FORGERIES` and has what it needs: for use before a first step.

    Raises:
        UnknownChoiceError: a name is not in the table.
        TrainingError: a forgery needs an autoencoder, and there is none.
    """
    for name in names:
        choose(FORGERIES, name, what="forgery").validate(resources)


def _is_forgeable(real: RealFace) -> bool:
    """Return whether there is a face, its middle in the picture, and something to see."""
    if not is_face(real.landmarks):
        return False
    middle = real.landmarks.astype(np.float64).mean(axis=0)
    height, width = real.pixels.shape[:2]
    is_inside = bool((middle >= 0).all() and (middle < (width, height)).all())
    return is_inside and int(np.ptp(real.pixels, axis=(0, 1)).max()) >= _FLAT_LEVELS


def _self_blend(
    people: tuple[RealFace, ...], rng: Generator, _resources: ForgingResources
) -> Pixels:
    (real,) = people
    return random_self_blend(real.pixels, real.landmarks, rng)


def _swap(people: tuple[RealFace, ...], rng: Generator, _resources: ForgingResources) -> Pixels:
    real, donor = people
    return swap_face(real.pixels, real.landmarks, donor.pixels, donor.landmarks, rng)


def _paste(people: tuple[RealFace, ...], rng: Generator, _resources: ForgingResources) -> Pixels:
    (real,) = people
    return paste_face(real.pixels, real.landmarks, rng)


def _round_trip(
    people: tuple[RealFace, ...], rng: Generator, resources: ForgingResources
) -> Pixels:
    (real,) = people
    network = resources.require_autoencoder()
    return round_trip(real.pixels, network, rng, latent_noise=resources.latent_noise)


def _reconstruct(
    people: tuple[RealFace, ...], rng: Generator, _resources: ForgingResources
) -> Pixels:
    (real,) = people
    return reconstruct(real.pixels, rng)


#: Every kind of made fake, by the name that a recipe uses.
FORGERIES: dict[str, Forgery] = {
    "self_blend": Forgery(
        summary="the person's own face, changed in colour and texture, blended into the picture",
        draw=_self_blend,
        changes_surroundings=True,
    ),
    "swap": Forgery(
        summary="the inner face of another person, in the colours of the picture",
        draw=_swap,
        needs_donor=True,
    ),
    "paste": Forgery(
        summary="the person's own face, reduced, enlarged and pasted back under a soft mask",
        draw=_paste,
    ),
    "round_trip": Forgery(
        summary="the whole picture through the autoencoder of a diffusion model and back",
        draw=_round_trip,
        needs_autoencoder=True,
        changes_surroundings=True,
    ),
    "reconstruct": Forgery(
        summary="the whole picture reduced and enlarged by the means of a small generator",
        draw=_reconstruct,
        changes_surroundings=True,
    ),
}
