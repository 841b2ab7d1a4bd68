"""`prepare_picture`: read, verify, equalise, crop and write one picture.

The earlier size, resampling kernel and compression of a picture predict its class if the two
classes have different sources. After preparation, the last reduction and the last save of all
pictures have the same distribution. They depend only on a seed and the picture's own hash, not on
the order of rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import polars as pl
from PIL import Image

from faceproof.data.duplicates import perceptual_hash
from faceproof.data.preparing.spec import DroppedPicture, Equalising, PicturesSpec, WrittenPicture
from faceproof.errors import SourceError
from faceproof.imaging.decode import DEFAULT_LIMITS, decode, read_file
from faceproof.imaging.degradations import encode_jpeg
from faceproof.imaging.faces import SMALLEST_FACE_PX, FaceFinder
from faceproof.imaging.preprocessing import CropSpec, crop_face, face_matrix
from faceproof.sources import to_printable
from faceproof.tables import choose

Pixels = npt.NDArray[np.uint8]

#: All of them average over the source pixels: other kernels leave more aliasing in larger pictures,
#: and the original size would remain detectable.
KERNELS = (
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
    Image.Resampling.HAMMING,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)


@dataclass(frozen=True)
class _SaveHistory:
    """The history of one picture: the kernel of its reduction, the quality of its save."""

    kernel: Image.Resampling
    quality: int


def draw_history(sha256: str, *, seed: int, quality: tuple[int, int]) -> _SaveHistory:
    """Return the history of the picture with this hash, both ends of ``quality`` included.

    >>> draw_history("ab" * 32, seed=0, quality=(80, 80)).quality
    80
    """
    rng = np.random.default_rng([seed, int(sha256[:16], 16)])
    kernel = KERNELS[int(rng.integers(len(KERNELS)))]
    return _SaveHistory(kernel, int(rng.integers(quality[0], quality[1] + 1)))


def apply_history(pixels: Pixels, history: _SaveHistory, *, factor: float) -> bytes:
    """Return the JPEG file of uint8 [H, W, 3] pixels, both sides scaled by ``factor``.

    A picture is never enlarged: at a factor of 1 or more it keeps its size, but is still saved.
    """
    return encode_jpeg(_reduce(pixels, history.kernel, factor), history.quality)


def _reduce(pixels: Pixels, kernel: Image.Resampling, factor: float) -> Pixels:
    """Return the picture with both sides scaled by ``factor``, if that is below 1."""
    height, width = pixels.shape[:2]
    if factor >= 1:
        return pixels
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(pixels).resize(size, kernel), np.uint8)


_JPEG_QUALITY = 95


@dataclass(frozen=True)
class _PictureFormat:
    """A file format of crops: its name as `decode` gives it, its suffix and its encoder."""

    name: str
    suffix: str
    encode: Callable[[Pixels], bytes]
    quality: int | None = None


def _encode_png(pixels: Pixels) -> bytes:
    """Return a lossless PNG file."""
    # On faces, run lengths are both smaller and twice as fast as the default search for matches.
    strategy = (cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
    return _encode(pixels, ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1, *strategy])


def encode_webp(pixels: Pixels) -> bytes:
    """Return a lossless WebP file."""
    # For OpenCV, any quality above 100 means lossless.
    return _encode(pixels, ".webp", [cv2.IMWRITE_WEBP_QUALITY, 101])


def _encode(pixels: Pixels, suffix: str, options: list[int]) -> bytes:
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(suffix, bgr, options)[1])


FORMATS: dict[str, _PictureFormat] = {
    "png": _PictureFormat("PNG", "png", _encode_png),
    "webp": _PictureFormat("WEBP", "webp", encode_webp),
    "jpeg": _PictureFormat(
        "JPEG", "jpg", lambda pixels: encode_jpeg(pixels, _JPEG_QUALITY), _JPEG_QUALITY
    ),
}


Points = npt.NDArray[np.float32]

# A file is kept unchanged if the region around the face is a larger share of it than this.
_KEPT_WHOLE = 0.6
_PLAIN_FORMATS = frozenset({"JPEG", "PNG", "WEBP"})


@dataclass(frozen=True)
class PictureJob:
    """One row to prepare: the path of its picture, its hash, and the path of the result.

    ``target`` is relative to the prepared folder and lacks the suffix.
    """

    path: str
    sha256: str
    target: str


@dataclass(frozen=True)
class PrepareContext:
    """Settings for all pictures; ``side`` is the common side, if there is one."""

    root: Path
    output: Path
    spec: PicturesSpec
    side: int | None
    finder: FaceFinder


@dataclass(frozen=True)
class _PictureFile:
    """The bytes of a picture file and its decoded picture."""

    data: bytes
    pixels: Pixels
    format: str
    quality: int | None = None
    outside: float = 0.0


def picture_jobs(table: pl.DataFrame) -> Iterator[PictureJob]:
    """Yield the job of each row of a manifest's table, in order.

    A result is named by its origin's hash, with a number if several rows have the same.
    """
    copy = pl.int_range(pl.len()).over("sha256").alias("copy")
    columns = table.select("path", "sha256", "label", copy)
    for path, sha256, label, number in columns.iter_rows():
        name = f"{sha256}-{number + 1}" if number else sha256
        yield PictureJob(path, sha256, f"pictures/{label}/{sha256[:2]}/{name}")


def prepare_picture(job: PictureJob, context: PrepareContext) -> WrittenPicture | DroppedPicture:
    """Write the prepared picture of one row and return it, or the problem.

    Raises:
        OSError: the result cannot be written.
    """
    try:
        file = _read(job, context)
    except SourceError as error:
        place = str(context.root / job.path)
        return DroppedPicture(
            code=error.code, reason=to_printable(str(error).replace(place, job.path))
        )
    if isinstance(file, DroppedPicture):
        return file
    faces = context.finder.find(file.pixels)
    if not faces:
        return DroppedPicture(code="no_face", reason="no face was found in the picture")
    landmarks = faces[0].landmarks
    if context.spec.equalise is not None and context.side is not None:
        file, landmarks = _equalise(file, landmarks, job, context.spec.equalise, context)
    return _write_picture(_select_region(file, landmarks, context.spec), job, context, len(faces))


def face_width(landmarks: Points) -> float:
    """Return the side in px of the square that a crop of this face without margin shows."""
    unit = face_matrix(landmarks, CropSpec(size=112, margin=0.0))
    return 112 / float(np.sqrt(np.linalg.det(unit[:, :2])))


def region_around(
    landmarks: Points, size: tuple[int, int], spec: CropSpec
) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of the upright box around a crop, inside (width, height)."""
    matrix = face_matrix(landmarks, spec)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64) * spec.size
    points = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    low = np.floor(points.min(axis=0)).astype(int)
    high = np.ceil(points.max(axis=0)).astype(int)
    left, top = np.clip(low, 0, [size[0] - 1, size[1] - 1])
    right, bottom = np.clip(high, [left + 1, top + 1], size)
    return int(left), int(top), int(right), int(bottom)


def equalised_side(pixels: Pixels, landmarks: Points, spec: PicturesSpec) -> float:
    """Return the side that is equalised, in px: the face's side, or the picture's longest.

    The side of a face is that of the square of a crop without margin.
    """
    if spec.keep == "picture":
        return float(max(pixels.shape[:2]))
    return face_width(landmarks)


def crop_landmarks(landmarks: Points, spec: CropSpec) -> Points:
    """Return the landmarks float32 [5, 2] in the crop of `crop_face`."""
    matrix = face_matrix(landmarks, spec)
    points = landmarks.astype(np.float64) @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(points, np.float32)


def share_outside(landmarks: Points, size: tuple[int, int], spec: CropSpec) -> float:
    """Return the share of a crop, 0 to 1, outside a picture of (width, height)."""
    width, height = size
    matrix = face_matrix(landmarks, spec)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    picture = np.asarray(corners @ matrix[:, :2].T + matrix[:, 2], np.float32)
    crop = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32) * spec.size
    inside, _ = cv2.intersectConvexConvex(picture, crop)
    return float(np.clip(1 - inside / spec.size**2, 0, 1))


def _read(job: PictureJob, context: PrepareContext) -> _PictureFile | DroppedPicture:
    """Return the row's file, which must be the one that was imported."""
    data = read_file(context.root / job.path, DEFAULT_LIMITS)
    if hashlib.sha256(data).hexdigest() != job.sha256:
        reason = "the file is not the one that was imported (its sha256 differs): import it again"
        return DroppedPicture(code="changed", reason=reason)
    picture = decode(data, name=job.path).require_whole(job.path)
    if min(picture.width, picture.height) < SMALLEST_FACE_PX:
        size = f"{picture.width} x {picture.height}"
        reason = f"{size} pixels; faces under {SMALLEST_FACE_PX} px are not detected"
        return DroppedPicture(code="too_small", reason=reason)
    return _PictureFile(data, picture.pixels, picture.format)


def _equalise(
    file: _PictureFile,
    landmarks: Points,
    job: PictureJob,
    spec: Equalising,
    context: PrepareContext,
) -> tuple[_PictureFile, Points]:
    """Return the picture after the history drawn from its hash, and the landmarks in it."""
    history = draw_history(job.sha256, seed=context.spec.seed, quality=spec.quality)
    factor = (context.side or 0) / equalised_side(file.pixels, landmarks, context.spec)
    data = apply_history(file.pixels, history, factor=factor)
    pixels = decode(data).pixels
    ratio = np.array(pixels.shape[1::-1]) / file.pixels.shape[1::-1]
    # Coordinates are of pixel centres: 0 is the centre of the first pixel, not its corner.
    moved = np.asarray((landmarks + 0.5) * ratio - 0.5, np.float32)
    return _PictureFile(data, pixels, "JPEG", history.quality), moved


def _select_region(
    file: _PictureFile, landmarks: Points, spec: PicturesSpec
) -> tuple[_PictureFile, Points]:
    """Return the stored part of a picture, and the landmarks in it."""
    if spec.keep == "picture":
        return file, landmarks
    if spec.keep == "face":
        return _face_region(file, landmarks, spec)
    crop = crop_face(file.pixels, landmarks, spec.crop)
    kind = choose(FORMATS, spec.format, what="format")
    outside = share_outside(landmarks, (file.pixels.shape[1], file.pixels.shape[0]), spec.crop)
    made = _PictureFile(kind.encode(crop), crop, kind.name, kind.quality, outside)
    return made, crop_landmarks(landmarks, spec.crop)


def _face_region(
    file: _PictureFile, landmarks: Points, spec: PicturesSpec
) -> tuple[_PictureFile, Points]:
    """Return the part of the picture around the face, at most ``crop.size`` px wide a face."""
    height, width = file.pixels.shape[:2]
    outside = share_outside(landmarks, (width, height), spec.crop)
    left, top, right, bottom = region_around(landmarks, (width, height), spec.crop)
    scale = min(1.0, spec.crop.size / face_width(landmarks))
    share = (right - left) * (bottom - top) / (width * height)
    if scale == 1.0 and share > _KEPT_WHOLE and file.format in _PLAIN_FORMATS:
        return replace(file, outside=outside), landmarks
    part = np.ascontiguousarray(file.pixels[top:bottom, left:right])
    points = landmarks - np.array([left, top], np.float32)
    if scale < 1.0:
        size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
        ratio = np.array(size, np.float32) / part.shape[1::-1]
        part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
        points = np.asarray((points + 0.5) * ratio - 0.5, np.float32)
    kind = choose(FORMATS, spec.format, what="format")
    return _PictureFile(kind.encode(part), part, kind.name, kind.quality, outside), points


def _write_picture(
    kept: tuple[_PictureFile, Points], job: PictureJob, context: PrepareContext, faces: int
) -> WrittenPicture:
    """Write the result, and return its record."""
    file, landmarks = kept
    path = f"{job.target}.{_suffix_of_format(file.format)}"
    place = context.output / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(file.data)
    left, right, nose, mouth_left, mouth_right = ((float(x), float(y)) for x, y in landmarks)
    return WrittenPicture(
        path=path,
        sha256=hashlib.sha256(file.data).hexdigest(),
        bytes=len(file.data),
        width=int(file.pixels.shape[1]),
        height=int(file.pixels.shape[0]),
        format=file.format,
        jpeg_quality=file.quality,
        phash=perceptual_hash(file.pixels).hex(),
        faces=faces,
        outside=round(file.outside, 4),
        landmarks=(left, right, nose, mouth_left, mouth_right),
    )


def _suffix_of_format(name: str) -> str:
    """Return the suffix of a format that `decode` names.

    >>> _suffix_of_format("JPEG"), _suffix_of_format("PNG")
    ('jpg', 'png')
    """
    return {"JPEG": "jpg", "TIFF": "tif"}.get(name, name.lower())
