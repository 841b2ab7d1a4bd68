"""`check_resaved`: results of a detector on the same picture after re-encoding and resizing.

It needs no table library, because the page and the case report use it; the audit *stability*,
which does the same for many pictures, is in `faceproof.audits.stability`.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence

import numpy as np

from faceproof.checker import Checker
from faceproof.imaging.decode import decode
from faceproof.imaging.degradations import DEGRADATIONS
from faceproof.results import CheckResult, ResavedResult
from faceproof.tables import choose

CONDITIONS = tuple(
    name
    for name in (
        *("jpeg-95", "jpeg-90", "jpeg-75", "jpeg-60", "jpeg-50", "jpeg-40"),
        *("jpeg-75+jpeg-90", "jpeg-50+jpeg-80"),
        *("webp-90", "webp-75", "webp-50", "avif-75", "avif-50"),
        *("resize-0.75", "resize-0.5", "resize-1.5", "resize-0.75+jpeg-75", "resize-0.5+jpeg-60"),
        *("crop-0.9", "crop-0.9+jpeg-75"),
        *("screenshot", "messenger", "social-media", "repost"),
    )
    if name in DEGRADATIONS
)
"""The 24 ways of saving a picture again, typical of phones, messengers and web sites."""


def check_resaved(
    checker: Checker, data: bytes, *, conditions: Sequence[str] = CONDITIONS
) -> tuple[ResavedResult, ...]:
    """Return the results of ``checker`` on a picture under each condition, in order.

    ``data`` is the picture's file. Faces are detected again. The same file always gives the same
    results: random degradations are seeded by the file's SHA-256. Where a caution withholds the
    verdict on the picture itself, it withholds those on its copies.

    Raises:
        PictureError: the bytes cannot be decoded as a picture.
        UnknownChoiceError: a condition is not in `DEGRADATIONS`.
    """
    picture = decode(data, limits=checker.limits)
    plain = copy.copy(checker)
    plain.heatmaps = False  # they would double the cost, and are not reported
    ways = [(name, choose(DEGRADATIONS, name, what="condition")) for name in conditions]
    # One degraded picture at a time; only its faces are kept in memory.
    opened = [
        plain.open(wear(picture.pixels, _condition_rng(picture.sha256, name)), name=name)
        for name, wear in ways
    ]
    first = plain.open(data)
    withheld = any(quality.withholds_verdict for _, quality in first.faces)
    return tuple(_resaved_record(result, withheld=withheld) for result in plain.judge(opened))


def _condition_rng(sha256: str, condition: str) -> np.random.Generator:
    """Return the random generator for one file under one condition."""
    digest = hashlib.sha256(f"{sha256} {condition}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def _resaved_record(result: CheckResult, *, withheld: bool) -> ResavedResult:
    return ResavedResult(
        condition=result.source,
        status=result.status,
        verdict="unsure" if withheld and result.verdict else result.verdict,
        fake_probability=result.fake_probability,
        faces=len(result.faces),
        withheld=withheld,
    )
