"""What a detector says of the same picture when it has been saved again."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence

import numpy as np

from faceproof.checker import Checker
from faceproof.imaging.decode import decode
from faceproof.imaging.degradations import DEGRADATIONS
from faceproof.results import CheckResult, Resaved
from faceproof.tables import choose

CONDITIONS = (
    "jpeg-90",
    "jpeg-75",
    "jpeg-60",
    "jpeg-40",
    "webp-75",
    "resize-0.5",
    "resize-0.5+jpeg-60",
    "screenshot",
)
"""The ways of saving again that are tried: what phones, messengers and sites do to a picture."""


def resaved(
    checker: Checker, data: bytes, *, conditions: Sequence[str] = CONDITIONS
) -> tuple[Resaved, ...]:
    """Return what ``checker`` says of a picture worn in each of these ways, in their order.

    ``data`` is the picture's file. Faces are looked for anew. The same file always gives the same
    answers: what is random in a way of wearing is drawn from the file's SHA-256.

    Raises:
        PictureError: the bytes are no usable picture.
        UnknownChoiceError: a condition is not in `DEGRADATIONS`.
    """
    picture = decode(data, limits=checker.limits)
    plain = copy.copy(checker)
    plain.heatmaps = False  # they would cost as much again, and are not told
    ways = [(name, choose(DEGRADATIONS, name, what="condition")) for name in conditions]
    # One worn picture at a time; what is held of each are its faces.
    opened = [
        plain.open(wear(picture.pixels, _dice(picture.sha256, name)), name=name)
        for name, wear in ways
    ]
    return tuple(map(_told, plain.judge(opened)))


def _dice(sha256: str, condition: str) -> np.random.Generator:
    """Return the randomness of one way of wearing one file."""
    digest = hashlib.sha256(f"{sha256} {condition}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def _told(result: CheckResult) -> Resaved:
    return Resaved(
        condition=result.source,
        status=result.status,
        verdict=result.verdict,
        fake_probability=result.fake_probability,
        faces=len(result.faces),
    )
