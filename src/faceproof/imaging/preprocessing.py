"""Preprocessing: from a picture and a face to the input of a network.

Training, calibration, evaluation, audits, the command line and every front end call `prepare`. The
bundle records its parameters, so that a detector always gets the same preprocessing.
"""

from __future__ import annotations

from typing import Annotated, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from faceproof.records import Record

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

# Never negative: that would invert the brightness of the input.
_Deviation = Annotated[float, Field(gt=0)]

#: Eyes, nose tip and mouth corners in a 112 x 112 face crop.
#: Source: Deng et al., "ArcFace", 2019 (the alignment template published with it).
TEMPLATE_112 = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ],
    np.float64,
)


class CropSpec(Record):
    """How a face is cropped: aligned on five landmarks, or not at all; ``size`` px square.

    ``whole`` fits the whole picture without face detection, for networks trained in that way.
    ``margin`` is the share of the template's side added on each side; ``fill`` is the sRGB colour
    outside the picture.
    """

    method: Literal["five_point", "whole"] = Field(
        default="five_point",
        description="five_point: aligned on five landmarks; whole: the whole picture without "
        "face detection.",
    )
    size: int = Field(default=160, ge=16, le=1024, description="Side of the crop in px.")
    margin: float = Field(
        default=0.0, ge=-0.2, le=1.0, description="Share of the template's side added on each side."
    )
    fill: tuple[int, int, int] = Field(
        default=(124, 116, 104), description="sRGB colour outside the picture."
    )


class InputSpec(Record):
    """How a crop becomes numbers: x / 255, minus ``mean``, over ``std``, channels in RGB order."""

    channels: Literal["rgb"] = Field(default="rgb", description="Order of the channels.")
    mean: tuple[float, float, float] = Field(
        default=(0.485, 0.456, 0.406),
        description="Mean that is subtracted from x / 255, by channel.",
    )
    std: tuple[_Deviation, _Deviation, _Deviation] = Field(
        default=(0.229, 0.224, 0.225), description="Deviation that it is divided by, by channel."
    )


class Preprocessing(Record):
    """The crop and the normalisation: all steps from a picture to a network's input."""

    crop: CropSpec = Field(default=CropSpec(), description="How a face is cropped.")
    input: InputSpec = Field(default=InputSpec(), description="How a crop becomes numbers.")


def prepare(
    pixels: Pixels, landmarks: Points | None, spec: Preprocessing
) -> npt.NDArray[np.float32]:
    """Return the network input for one face, float32 [3, S, S].

    ``pixels`` are uint8 [H, W, 3] sRGB; ``landmarks`` float32 [5, 2], or None if the whole picture
    is a face crop already.
    """
    return network_input(crop_face(pixels, landmarks, spec.crop), spec.input)


def crop_face(pixels: Pixels, landmarks: Points | None, spec: CropSpec) -> Pixels:
    """Return the aligned face crop, uint8 [S, S, 3].

    A face larger than the crop is reduced with area averaging before it is turned, so that
    the crop of a large photograph has no aliasing.
    """
    matrix = crop_matrix(pixels.shape, landmarks, spec)
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if scale < 1.0:
        pixels, matrix = _reduce_picture(pixels, matrix, scale, spec.size)
    crop = cv2.warpAffine(
        pixels,
        matrix,
        (spec.size, spec.size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=spec.fill,
    )
    return np.asarray(crop, np.uint8)


def network_input(
    crop: Pixels | npt.NDArray[np.float32], spec: InputSpec
) -> npt.NDArray[np.float32]:
    """Return [..., S, S, 3], uint8 or of 0..255, as float32 [..., 3, S, S], normalised."""
    std = np.asarray(spec.std, np.float32)
    planes = np.moveaxis(crop, -1, -3)
    numbers = np.empty(planes.shape, np.float32)
    np.multiply(planes, (1 / (255 * std))[:, None, None], out=numbers)
    numbers -= (np.asarray(spec.mean, np.float32) / std)[:, None, None]
    return numbers


def crop_matrix(shape: tuple[int, ...], landmarks: Points | None, spec: CropSpec) -> Matrix:
    """Return the 2 x 3 matrix from a picture of ``shape`` [H, W, ...] to a face's crop."""
    if landmarks is None or spec.method == "whole":
        return _whole_matrix(shape, spec)
    return face_matrix(landmarks, spec)


def face_matrix(landmarks: Points, spec: CropSpec) -> Matrix:
    """Return the 2 x 3 matrix from picture coordinates to crop coordinates."""
    unit = spec.size / (112 * (1 + 2 * spec.margin))
    target = (TEMPLATE_112 + 112 * spec.margin) * unit
    return similarity(np.asarray(landmarks, np.float64), target)


def similarity(source: Matrix, target: Matrix) -> Matrix:
    """Return the 2 x 3 similarity (scale, rotation, shift) that best maps source to target.

    Points are [N, 2]; the fit is least squares. If all points coincide, or no rotation improves the
    fit, the result is only the shift.

    Source: Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns", PAMI 1991.

    >>> square = np.array([[0.0, 0.0], [1, 0], [1, 1], [0, 1]])
    >>> (similarity(square, 2 * square + 3).round(6) + 0.0).tolist()
    [[2.0, 0.0, 3.0], [0.0, 2.0, 3.0]]
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    x, y = source - source_mean, target - target_mean
    variance = (x**2).sum()
    # In two dimensions the best rotation has a closed form; no SVD is needed.
    aligned, turned = (x * y).sum(), (x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0]).sum()
    fits = variance > 1e-9 and np.hypot(aligned, turned) > 1e-9 * variance
    cosine, sine = (aligned / variance, turned / variance) if fits else (1.0, 0.0)
    linear = np.array([[cosine, -sine], [sine, cosine]])
    return np.hstack([linear, (target_mean - linear @ source_mean)[:, None]])


def _whole_matrix(shape: tuple[int, ...], spec: CropSpec) -> Matrix:
    """Return the matrix that fits a whole picture, centred, into the crop."""
    height, width = shape[:2]
    scale = spec.size / max(height, width)
    shift = [(spec.size - scale * width) / 2, (spec.size - scale * height) / 2]
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])


def _reduce_picture(
    pixels: Pixels, matrix: Matrix, scale: float, size: int
) -> tuple[Pixels, Matrix]:
    """Return the needed part of the picture, reduced by ``scale``, and the matrix for it."""
    left, top, right, bottom = _needed_region(pixels.shape, matrix, size)
    part = pixels[top:bottom, left:right]
    wide, high = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
    small = np.asarray(cv2.resize(part, (wide, high), interpolation=cv2.INTER_AREA), np.uint8)
    # small pixel centre -> part pixel centre -> picture
    ratio = np.array([part.shape[1] / wide, part.shape[0] / high])
    shift = 0.5 * ratio - 0.5 + np.array([left, top])
    linear = matrix[:, :2] * ratio
    return small, np.hstack([linear, (matrix[:, :2] @ shift + matrix[:, 2])[:, None]])


def _needed_region(shape: tuple[int, ...], matrix: Matrix, size: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the part of the picture inside the crop."""
    corners = np.array([[0.0, 0.0], [size, 0], [size, size], [0, size]])
    points = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    reach = 2 / np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    low = np.floor(points.min(axis=0) - reach).astype(int)
    high = np.ceil(points.max(axis=0) + reach).astype(int)
    left, top = np.clip(low, 0, [shape[1] - 1, shape[0] - 1])
    right, bottom = np.clip(high, [left + 1, top + 1], [shape[1], shape[0]])
    return int(left), int(top), int(right), int(bottom)
