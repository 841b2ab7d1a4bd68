"""Checker: from a picture, or from very many, to CheckResults; every front end calls it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from os import PathLike, fsdecode
from typing import TYPE_CHECKING, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt

from faceproof.detector import Detector, decide, picture_probability
from faceproof.detector.scorers import usable_cores
from faceproof.errors import CorruptPictureError, FaceproofError, PictureTooLargeError, UsageError
from faceproof.imaging.decode import load
from faceproof.imaging.faces import Face, FaceFinder, YuNet
from faceproof.imaging.picture import DEFAULT_LIMITS, Limits, Picture
from faceproof.imaging.preprocessing import TEMPLATE_112, prepare
from faceproof.imaging.quality import Quality, assess
from faceproof.pipeline import in_batches, in_order
from faceproof.results import CheckedBy, CheckedFace, CheckedImage, CheckError, CheckResult
from faceproof.sources import Refused, printable, refuse_address, unreadable
from faceproof.tables import choose

if TYPE_CHECKING:
    from PIL.Image import Image

    Source = str | PathLike[str] | bytes | BinaryIO | Image | npt.NDArray[np.uint8] | Refused

Pixels = npt.NDArray[np.uint8]
Inputs = npt.NDArray[np.float32]

MOST_WORKERS = 8
BATCH = 1  # on a processor, more faces at once cost as much a face and only delay the first


@dataclass(frozen=True)
class Opened:
    """A source on its way to the networks: its faces as float32 [N, 3, S, S], or its error."""

    source: str
    inputs: Inputs
    faces: tuple[tuple[Face, Quality], ...] = ()
    image: CheckedImage | None = None
    error: CheckError | None = None
    seconds: float = 0.0


def _all(finder: FaceFinder, pixels: Pixels) -> list[Face]:
    """Return every face, the largest first."""
    return finder.find(pixels)


def _largest(finder: FaceFinder, pixels: Pixels) -> list[Face]:
    """Return the largest face, if there is one."""
    return finder.find(pixels)[:1]


def _whole(_: FaceFinder, pixels: Pixels) -> list[Face]:
    """Return the whole picture as one face, with landmarks where an aligned crop has them."""
    height, width = pixels.shape[:2]
    side = max(height, width)
    corner = np.array([(width - side) / 2, (height - side) / 2])
    landmarks = (TEMPLATE_112 * (side / 112) + corner).astype(np.float32)
    return [Face((0.0, 0.0, float(width), float(height)), landmarks, 1.0)]


#: Which faces of a picture are judged; `whole` takes the picture for a face crop as it is.
FACES: Mapping[str, Callable[[FaceFinder, Pixels], list[Face]]] = {
    "all": _all,
    "largest": _largest,
    "whole": _whole,
}


class Checker:
    """A detector at one of its operating points, ready for pictures; safe between threads."""

    def __init__(
        self,
        detector: Detector,
        *,
        faces: str = "all",
        at: str | None = None,
        limits: Limits = DEFAULT_LIMITS,
        finder: FaceFinder | None = None,
    ) -> None:
        """Raise UnknownChoiceError for an unknown choice of faces or operating point."""
        self.detector = detector
        self.operating_point = detector.operating_point(at)
        self.limits = limits
        self._choose_faces = choose(FACES, faces, what="choice of faces")
        self._whole = faces == "whole"
        self._finder = finder or YuNet()
        side = detector.preprocessing.crop.size
        self._nothing = np.empty((0, 3, side, side), np.float32)
        self._by = CheckedBy(
            name=detector.spec.name, version=detector.spec.version, sha256=detector.sha256
        )

    def check(self, source: Source, *, name: str | None = None) -> CheckResult:
        """Return the verdict on one picture: a path, bytes, stream, Pillow image or array.

        Arrays are uint8 [H, W, 3] in sRGB. ``name`` is the result's ``source``, for pictures
        that have none of their own. What cannot be checked is a result with an error.
        """
        result = next(self._judge([self._open(source)]))
        return result if name is None else result.model_copy(update={"source": printable(name)})

    def check_many(
        self,
        sources: Iterable[Source],
        *,
        batch_size: int | None = None,
        workers: int | None = None,
    ) -> Iterator[CheckResult]:
        """Return an iterator of the verdicts, in order, each as `check` would give it.

        ``workers`` threads (None: one per usable core; 0: none) open pictures and find faces
        while as many run the networks on ``batch_size`` faces or more (None: 1, which suits a
        processor; a graphics card wants 64). Sources are taken as they are needed, and no more
        than two batches, two pictures a worker and a batch a worker are held at once.

        Raises:
            UsageError: ``batch_size`` is below 1 or ``workers`` below 0.
        """
        size = BATCH if batch_size is None else batch_size
        threads = min(usable_cores(), MOST_WORKERS) if workers is None else workers
        if size < 1 or threads < 0:
            raise UsageError(f"batch_size {size} must be 1 or more, workers {threads} 0 or more")
        return self._check_many(sources, size, threads)

    def _check_many(
        self, sources: Iterable[Source], size: int, workers: int
    ) -> Iterator[CheckResult]:
        with (
            closing(
                in_order(self._open, sources, workers=workers, ahead=2 * (size + workers))
            ) as opened,
            closing(in_batches(opened, _weight, weight=size)) as batches,
            closing(
                in_order(self._judged, batches, workers=workers, ahead=max(workers, 1))
            ) as judged,
        ):
            for results in judged:
                yield from results

    def _judged(self, batch: Sequence[Opened]) -> list[CheckResult]:
        """Return the results of a batch, all at once: it is judged in a thread of its own."""
        return list(self._judge(batch))

    def _open(self, source: Source) -> Opened:
        """Return the source with its faces ready for the networks, or with its error."""
        started = time.perf_counter()
        name = source_name(source)
        try:
            opened = self._prepared(name, _load(source, self.limits))
        except (FaceproofError, OSError, MemoryError, cv2.error) as error:
            opened = Opened(name, self._nothing, error=_told(error, name))
        return replace(opened, seconds=time.perf_counter() - started)

    def _prepared(self, name: str, picture: Picture) -> Opened:
        """Return the picture's faces, their quality and their network inputs."""
        pixels, spec = picture.pixels, self.detector.preprocessing
        faces = self._choose_faces(self._finder, pixels)
        points = (None if self._whole else face.landmarks for face in faces)
        inputs = [prepare(pixels, landmarks, spec) for landmarks in points]
        return Opened(
            name,
            np.stack(inputs) if inputs else self._nothing,
            faces=tuple((face, assess(pixels, face)) for face in faces),
            image=_image(picture),
        )

    def _judge(self, batch: Sequence[Opened]) -> Iterator[CheckResult]:
        """Yield the results of opened sources, whose faces meet the networks together."""
        started = time.perf_counter()
        inputs = np.concatenate([opened.inputs for opened in batch])
        scored = self.detector.fake_probabilities(inputs).tolist()
        each = (time.perf_counter() - started) / max(len(scored), 1)
        for opened in batch:
            count = len(opened.faces)
            own, scored = scored[:count], scored[count:]
            yield self._result(opened, own, opened.seconds + each * count)

    def _result(
        self, opened: Opened, probabilities: Sequence[float], seconds: float
    ) -> CheckResult:
        """Return what is said about one source; it is as fake as its most fake face."""
        faces = tuple(map(self._face, opened.faces, probabilities))
        most = picture_probability(probabilities)
        return CheckResult(
            source=opened.source,
            status="error" if opened.error else "ok" if faces else "no_face",
            error=opened.error,
            image=opened.image,
            verdict=None if most is None else decide(most, self.operating_point),
            fake_probability=most,
            faces=faces,
            detector=self._by,
            operating_point=self.operating_point.name,
            elapsed_ms=round(1000 * seconds, 3),
        )

    def _face(self, found: tuple[Face, Quality], fake_probability: float) -> CheckedFace:
        """Return one face with its verdict; places in the picture to a hundredth of a pixel."""
        face, quality = found
        points = np.round(face.landmarks.astype(np.float64), 2).tolist()
        return CheckedFace(
            box=tuple(np.round(face.box, 2).tolist()),
            landmarks=None if self._whole else points,
            detection_score=None if self._whole else round(min(face.detection_score, 1.0), 4),
            quality=quality,
            verdict=decide(fake_probability, self.operating_point),
            fake_probability=fake_probability,
        )


def source_name(source: Source) -> str:
    """Return what a result calls its source: the path, or the kind of thing in brackets.

    >>> source_name("party.jpg"), source_name(bytes(3))
    ('party.jpg', '<bytes>')
    """
    if isinstance(source, Refused):
        return printable(source.source)
    path = source if isinstance(source, str | PathLike) else getattr(source, "filename", None)
    return printable(fsdecode(path)) if path else f"<{type(source).__name__}>"


def _load(source: Source, limits: Limits) -> Picture:
    """Return the decoded picture.

    Raises:
        SourceError: it cannot be had.
    """
    if isinstance(source, Refused):
        raise source.error
    if isinstance(source, str):
        refuse_address(source)
    return load(source, limits=limits)


def _told(error: Exception, name: str) -> CheckError:
    """Return the code and words of an error; those of other libraries are translated."""
    if isinstance(error, OSError):
        error = unreadable(name, error)
    elif isinstance(error, MemoryError):
        error = PictureTooLargeError(f"{name}: there is not enough memory for this picture")
    elif not isinstance(error, FaceproofError):
        error = CorruptPictureError(f"{name}: no face can be looked for in this picture: {error}")
    return CheckError(code=error.code, message=printable(str(error)))


def _image(picture: Picture) -> CheckedImage:
    """Return what a result says about the picture."""
    return CheckedImage(
        sha256=picture.sha256, width=picture.width, height=picture.height, format=picture.format
    )


def _weight(opened: Opened) -> int:
    """Return how much of a batch a source fills: its faces, and one where there is none."""
    return max(len(opened.faces), 1)
