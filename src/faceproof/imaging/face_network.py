"""FaceNetwork: YuNet's network on onnxruntime, from pixels to rows of box, landmarks and score.

OpenCV's FaceDetectorYN gives the same rows from the same network and takes twice the time.

Source: FaceDetectorYN of OpenCV 4.11 (modules/objdetect/src/face_detect.cpp).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from faceproof.errors import FaceproofError
from faceproof.imaging.onnx_runtime import import_onnxruntime, session_options

Pixels = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.float32]

_FILE = "face_detection_yunet_2023mar_any_size.onnx"
_SHA256 = "21642bd2e3f563a5ff4245f72ff8411c590e764ed8a301b9a9f8111ef551348d"
_STRIDES = (8, 16, 32)  # pixels for each cell of the three outputs
_ENDS = tuple(f"{kind}_{stride}" for stride in _STRIDES for kind in ("cls", "obj", "bbox", "kps"))
_SAME_FACE = 0.3  # shared area of two boxes, over that of both, above which the weaker one goes
_MOST_CANDIDATES = 5000
_ROUNDING = 0.99
# Memory for pictures of up to so many pixels is kept for the next one, about 25 MB a thread.
_MOST_KEPT_PIXELS = 640 * 640


class FaceNetwork:
    """YuNet's network with a threshold of the detection score; thread-safe, one core a call."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._session = _session()

    def find(self, pixels: Pixels) -> Rows:
        """Return the faces in uint8 [H, W, 3] sRGB pixels, float32 [N, 15], the surest first.

        A row is the box (x, y, width, height), five landmarks (x, y) and the score.
        """
        inputs = _pad_planes(pixels)
        height, width = inputs.shape[2:]
        options = None if height * width <= _MOST_KEPT_PIXELS else _freeing_memory()
        answers = [answer[0] for answer in self._session.run(_ENDS, {"input": inputs}, options)]
        found = [
            self._read_cells(answers[4 * place : 4 * place + 4], stride, width // stride)
            for place, stride in enumerate(_STRIDES)
        ]
        return self._suppress_weaker(np.concatenate(found))

    def _read_cells(self, answers: Sequence[Rows], stride: int, across: int) -> Rows:
        """Return the rows of the outputs of one stride.

        ``answers`` are for each cell: whether there is a face, [cells, 1], whether there is an
        object, [cells, 1], the box, [cells, 4], and the landmarks, [cells, 10]. ``across`` cells
        lie side by side.
        """
        faces, objects, boxes, points = answers
        # The score is the root of a product of two values up to 1, so neither is below its square.
        likely = np.flatnonzero(faces[:, 0] >= _ROUNDING * self._threshold**2)
        scores = np.sqrt(np.clip(faces[likely, 0], 0, 1) * np.clip(objects[likely, 0], 0, 1))
        kept, scores = likely[scores >= self._threshold], scores[scores >= self._threshold]
        if not len(kept):
            return np.empty((0, 15), np.float32)
        down, along = np.divmod(kept, across)
        corner = np.stack([along, down], axis=1).astype(np.float32)
        sizes = np.exp(boxes[kept, 2:]) * stride
        places = (corner + boxes[kept, :2]) * stride - sizes / 2
        landmarks = (points[kept] + np.tile(corner, 5)) * stride
        return np.hstack([places, sizes, landmarks, scores[:, None]]).astype(np.float32)

    def _suppress_weaker(self, rows: Rows) -> Rows:
        """Return the rows without those whose box another with a higher score shares."""
        if len(rows) < 2:
            return rows
        boxes = rows[:, :4].astype(int).tolist()  # whole pixels, as in OpenCV
        scores = rows[:, 14].tolist()
        kept = cv2.dnn.NMSBoxes(boxes, scores, self._threshold, _SAME_FACE, top_k=_MOST_CANDIDATES)
        return np.asarray(rows[np.asarray(kept, int).ravel()], np.float32)


def _pad_planes(pixels: Pixels) -> Rows:
    """Return the network's input, float32 [1, 3, H, W] of 0..255, blue first, black at the ends.

    Height and width are multiples of the largest stride.
    """
    height, width = pixels.shape[:2]
    most = _STRIDES[-1]
    planes = np.zeros((1, 3, height + -height % most, width + -width % most), np.float32)
    for place, channel in enumerate((2, 1, 0)):
        planes[0, place, :height, :width] = cv2.extractChannel(pixels, channel)
    return planes


@cache
def _session() -> Any:
    """Return the session of the network, whose file is verified; one serves all threads.

    Raises:
        FaceproofError: the file is not the one of this release.
    """
    path = resources.files("faceproof.imaging") / "yunet" / _FILE
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != _SHA256:
        raise FaceproofError(f"{path} is not the YuNet file of this release; reinstall faceproof")
    return import_onnxruntime().InferenceSession(
        data, sess_options=session_options(1), providers=["CPUExecutionProvider"]
    )


@cache
def _freeing_memory() -> Any:
    """Return the options of a run after which the session keeps no memory."""
    options = import_onnxruntime().RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options
