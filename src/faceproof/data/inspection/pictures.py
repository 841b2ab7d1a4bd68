"""One pass over pictures: are they there, unchanged and readable, and what is in them."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from faceproof.data.duplicates import perceptual_hash
from faceproof.data.shortcuts.features import FLOOR, as_row, floor_features, measure_shortcuts
from faceproof.errors import PictureError, SourceError, SourceNotFoundError
from faceproof.imaging.decode import decode
from faceproof.imaging.degradations import reduce_to
from faceproof.imaging.faces import Face, YuNet
from faceproof.imaging.picture import DEFAULT_LIMITS, Picture
from faceproof.imaging.reading import read_file
from faceproof.pipeline import in_order

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

#: Faces are looked for in a copy of this side first, and at full size where it shows none: faces
#: fill most of a face set's pictures, and the small copy costs a third.
FIRST_SIDE = 128
DARKEST_LUMA = 25.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A picture to open: its row's place in the table, where it lies, what it should be.

    ``probe_it`` asks for the features of the shortcut probe, which cost more than all the rest.
    """

    place: int
    path: Path
    sha256: str
    hash_it: bool = False
    probe_it: bool = True


@dataclass(frozen=True, slots=True)
class Look:
    """What one picture was found to be; ``trouble`` is a kind of fault where it is not as it was.

    ``features`` is float64 [F] of the shortcut probe, ``floor`` float64 [5]; both None where they
    were not asked for. ``shape`` is (width, height), zero where the picture could not be read.
    """

    place: int
    trouble: str = ""
    reason: str = ""
    faces: int = 0
    luma: float = math.nan
    shape: tuple[int, int] = (0, 0)
    format: str = ""
    bytes: int = 0
    phash: str | None = None
    features: Floats | None = field(default=None, repr=False)
    floor: Floats | None = field(default=None, repr=False)

    @property
    def is_read(self) -> bool:
        """Whether there are pixels."""
        return self.shape != (0, 0)


def look_at_all(
    wanted: Sequence[Wanted], *, done: Callable[[object], None] = lambda _: None
) -> list[Look]:
    """Return what each picture was found to be; ``done`` is told of each."""
    workers = min(16, os.cpu_count() or 1)
    looks = []
    one = partial(look_at, finder=YuNet())
    with closing(in_order(one, wanted, workers=workers, ahead=8 * workers)) as found:
        for look in found:
            looks.append(look)
            done(look)
    return looks


def look_at(wanted: Wanted, *, finder: YuNet) -> Look:
    """Return what one picture is found to be."""
    try:
        data = read_file(wanted.path, DEFAULT_LIMITS)
    except SourceNotFoundError:
        return Look(wanted.place, "missing", "no such file")
    except SourceError as error:
        return Look(wanted.place, "unreadable", _brief(error, wanted.path))
    changed = hashlib.sha256(data).hexdigest() != wanted.sha256
    try:
        picture = decode(data)
    except PictureError as error:
        reason = f"{_brief(error, wanted.path)}{', and its bytes have changed' * changed}"
        return Look(wanted.place, "unreadable", reason)
    return _measured(wanted, data, picture, finder, "changed" if changed else "")


def find_faces(pixels: Pixels, finder: YuNet) -> list[Face]:
    """Return the faces of uint8 [H, W, 3] sRGB pixels, the largest first; in a small copy first."""
    small = reduce_to(pixels, FIRST_SIDE)
    faces = finder.find(small)
    if small.shape == pixels.shape:
        return faces
    ratio = np.array([pixels.shape[1] / small.shape[1], pixels.shape[0] / small.shape[0]])
    return [_enlarged(face, ratio) for face in faces] or finder.find(pixels)


def thumbnail(path: Path, *, side: int, quality: int = 70) -> bytes | None:
    """Return a WebP of at most ``side`` px; None where the picture cannot be read."""
    try:
        pixels = decode(read_file(path, DEFAULT_LIMITS)).pixels
    except SourceError:
        return None
    small = cv2.cvtColor(reduce_to(pixels, side), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".webp", small, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()


def _measured(wanted: Wanted, data: bytes, picture: Picture, finder: YuNet, trouble: str) -> Look:
    """Return what there is to say of a picture that can be read."""
    faces = find_faces(picture.pixels, finder)
    features, floor = _probed(data, picture, faces) if wanted.probe_it else (None, None)
    return Look(
        wanted.place,
        trouble=trouble,
        reason="its bytes are others than the manifest's sha256" if trouble else "",
        faces=len(faces),
        luma=float(cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2GRAY).mean()),
        shape=(picture.width, picture.height),
        format=picture.format,
        bytes=len(data),
        phash=perceptual_hash(picture.pixels).hex() if wanted.hash_it else None,
        features=features,
        floor=floor,
    )


def _probed(data: bytes, picture: Picture, faces: Sequence[Face]) -> tuple[Floats, Floats]:
    """Return the numbers that the shortcut probe asks for: features and floor."""
    features = as_row(measure_shortcuts(data, picture=picture, faces=faces))
    return features, as_row(floor_features(picture), tuple(FLOOR))


def _enlarged(face: Face, ratio: npt.NDArray[np.float64]) -> Face:
    """Return a face found in a small copy in the picture's own coordinates."""
    (x, y), (width, height) = np.array(face.box).reshape(2, 2) * ratio
    points = (face.landmarks * ratio).astype(np.float32)
    return Face((float(x), float(y), float(width), float(height)), points, face.detection_score)


def _brief(error: SourceError, path: Path) -> str:
    """Return an error's code and what it says, without the path."""
    return f"{error.code}: {str(error).removeprefix(f'{path}: ')}"
