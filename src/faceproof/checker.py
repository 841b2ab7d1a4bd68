"""Checker: the verdicts on one picture or many as CheckResults; every front end calls it."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from faceproof.detector import Detector, OperatingPoint, calibrate, picture_probability
from faceproof.detector.scorers import usable_cores
from faceproof.errors import FaceproofError, UsageError
from faceproof.imaging.decode import DEFAULT_LIMITS, Limits, Picture, Pixels
from faceproof.imaging.faces import Face, FaceFinder, YuNet, smallest_face, whole_picture_face
from faceproof.imaging.fetching import DEFAULT_POLICY, FetchPolicy
from faceproof.imaging.heat import crop_corners
from faceproof.imaging.preprocessing import prepare
from faceproof.imaging.quality import Quality, assess
from faceproof.loading import (
    Source,
    describe_error,
    load_source,
    require_source,
    require_sources,
    source_name,
)
from faceproof.pipeline import batch_by_weight, map_in_order
from faceproof.provenance import read_provenance
from faceproof.results import (
    CheckedBy,
    CheckedFace,
    CheckedImage,
    CheckError,
    CheckResult,
    CheckResults,
    HeatMap,
    Provenance,
    face_verdict,
    picture_verdict,
)
from faceproof.sources import to_printable
from faceproof.tables import choose

__all__ = ["FACES", "Checker", "PreparedPicture", "Source", "check", "make_checker", "source_name"]

#: Provenance of a source without a file: an array, or a source that could not be opened.
_UNREAD = Provenance()


@dataclass(frozen=True)
class PreparedPicture:
    """A source's faces, ready for the networks as float32 [N, 3, S, S], or its error.

    ``seconds`` is the time that opening it took.
    """

    source: str
    inputs: npt.NDArray[np.float32]
    faces: tuple[tuple[Face, Quality], ...] = ()
    image: CheckedImage | None = None
    provenance: Provenance = _UNREAD
    error: CheckError | None = None
    seconds: float = 0.0

    @property
    def weight(self) -> int:
        """Number of faces, at least 1: the source's share of a batch."""
        return max(len(self.faces), 1)


def _all_faces(finder: FaceFinder, pixels: Pixels) -> list[Face]:
    """Return every face, the largest first."""
    return finder.find(pixels)


def _largest_face(finder: FaceFinder, pixels: Pixels) -> list[Face]:
    """Return the largest face, if there is one."""
    return finder.find(pixels)[:1]


def _whole_picture(_: FaceFinder, pixels: Pixels) -> list[Face]:
    """Return the whole picture as one face."""
    return [whole_picture_face(pixels)]


#: Which faces of a picture are scored; `whole` takes the picture itself as a face crop.
FACES: Mapping[str, Callable[[FaceFinder, Pixels], list[Face]]] = {
    "all": _all_faces,
    "largest": _largest_face,
    "whole": _whole_picture,
}


@dataclass(frozen=True)
class _TestedMap:
    """A heat map ``values`` float64 [h, w] and the result of its test, as in `HeatMap`."""

    values: npt.NDArray[np.float64]
    reliable: bool
    hottest_deleted: float
    random_deleted: float


@dataclass(frozen=True)
class _Score:
    """The detector's answer for one face."""

    fake_probability: float
    heatmap: _TestedMap | None = None


def _score_faces(
    detector: Detector, inputs: npt.NDArray[np.float32], *, heatmaps: bool
) -> list[_Score]:
    """Return the detector's score of each face of ``inputs``, float32 [N, 3, S, S].

    Raises:
        NoHeatMapError: ``heatmaps`` is True and the detector has none.
    """
    if not heatmaps:
        return [_Score(one) for one in detector.fake_probabilities(inputs).tolist()]
    found = detector.explain(inputs)
    columns = (found.values, found.reliable, found.hottest_deleted, found.random_deleted)
    maps = [
        _TestedMap(values, bool(reliable), float(hottest), float(random))
        for values, reliable, hottest, random in zip(*columns, strict=True)
    ]
    probabilities = calibrate(found.logits, detector.spec.calibration).tolist()
    return [_Score(*one) for one in zip(probabilities, maps, strict=True)]


class _ResultBuilder:
    """Builds the results of one detector at one operating point."""

    def __init__(self, detector: Detector, point: OperatingPoint, *, whole: bool = False) -> None:
        """Take the detector; ``whole``: each picture is one face crop, without landmarks."""
        self._point = point
        self._whole = whole
        self._crop = detector.preprocessing.crop
        self._by = CheckedBy.of(detector)

    def build_result(
        self, opened: PreparedPicture, scored: Sequence[_Score], seconds: float
    ) -> CheckResult:
        """Return the result of one source; its probability is the highest of its faces."""
        pairs = zip(opened.faces, scored, strict=True)
        faces = tuple(self._build_face(*found, score, opened.image) for found, score in pairs)
        most = picture_probability([score.fake_probability for score in scored])
        return CheckResult(
            source=opened.source,
            status="error" if opened.error else "ok" if faces else "no_face",
            error=opened.error,
            image=opened.image,
            verdict=picture_verdict(faces),
            fake_probability=most,
            faces=faces,
            provenance=opened.provenance,
            detector=self._by,
            operating_point=self._point.name,
            elapsed_ms=round(1000 * seconds, 3),
        )

    def _build_face(
        self, face: Face, quality: Quality, score: _Score, image: CheckedImage | None
    ) -> CheckedFace:
        """Return one face with its verdict."""
        return CheckedFace(
            box=tuple(_round_numbers(face.box)),
            landmarks=None if self._whole else _round_numbers(face.landmarks),
            detection_score=None if self._whole else round(min(face.detection_score, 1.0), 4),
            quality=quality,
            verdict=face_verdict(score.fake_probability, quality, self._point),
            fake_probability=score.fake_probability,
            heatmap=score.heatmap and self._build_heatmap(score.heatmap, face, image),
        )

    def _build_heatmap(self, found: _TestedMap, face: Face, image: CheckedImage | None) -> HeatMap:
        """Return a heat map at its place in the picture."""
        shape = (image.height, image.width) if image else (0, 0)
        points = None if self._whole else face.landmarks
        return HeatMap(
            values=_round_numbers(found.values, digits=4),
            corners=_round_numbers(crop_corners(shape, points, self._crop)),
            reliable=found.reliable,
            hottest_deleted=round(found.hottest_deleted, 4),
            random_deleted=round(found.random_deleted, 4),
        )


def _round_numbers(numbers: npt.ArrayLike, *, digits: int = 2) -> Any:
    """Return numbers as lists, rounded to ``digits`` decimals.

    >>> _round_numbers([1.006, 2])
    [1.01, 2.0]
    """
    return np.round(np.asarray(numbers, np.float64), digits).tolist()


_MOST_WORKERS = 8
#: Faces of a run of the networks. On a CPU two at a time cost less than one, and more save nothing
#: (docs/decisions/0014-inference-backends.md).
BATCH = 2


class Checker:
    """Checks pictures with a detector at one of its operating points; thread-safe.

    >>> from faceproof import Checker, Detector
    >>> checker = Checker(Detector.load("default"), at="1-in-20")
    >>> checker.check("samples/real-astronaut.jpg").verdict
    'real'
    >>> names = ["samples/no-face-cat.jpg", "samples/no-such-file.jpg"]
    >>> [result.status for result in checker.check_many(names)]
    ['no_face', 'error']
    """

    def __init__(
        self,
        detector: Detector,
        *,
        faces: str = "all",
        at: str | None = None,
        limits: Limits = DEFAULT_LIMITS,
        finder: FaceFinder | None = None,
        heatmaps: bool = False,
        addresses: FetchPolicy | None = DEFAULT_POLICY,
    ) -> None:
        """Take a detector and the options of the check.

        ``heatmaps`` adds the heat map of each face, which takes a few more runs of the networks.
        ``addresses`` is the policy for fetching URLs; None disables fetching.

        Raises:
            UnknownChoiceError: an unknown choice of faces or operating point.
            NoHeatMapError: the detector has no heat maps.
        """
        if heatmaps:
            detector.refuse_without_maps()
        self.detector = detector
        self.operating_point = detector.operating_point(at)
        self.limits = limits
        self.heatmaps = heatmaps
        self.addresses = addresses
        self._choose_faces = choose(FACES, faces, what="choice of faces")
        self._whole = faces == "whole"
        self._finder = finder or YuNet()
        side = detector.preprocessing.crop.size
        self._nothing = np.empty((0, 3, side, side), np.float32)

    def __repr__(self) -> str:
        spec = self.detector.spec
        return f"<Checker {spec.name} {spec.version} at {self.operating_point.name}>"

    def at(self, name: str | None) -> Checker:
        """Return this checker at another operating point; it shares the networks.

        Raises:
            UnknownChoiceError: no operating point has this name.
        """
        other = copy.copy(self)
        other.operating_point = self.detector.operating_point(name)
        return other

    def verdicts_at(self, result: CheckResult, name: str | None) -> CheckResult:
        """Return a result of this detector with the verdicts of another operating point.

        Raises:
            UnknownChoiceError: no operating point has this name.
            UsageError: the result is from another detector.
        """
        if result.detector.sha256 != self.detector.sha256:
            raise UsageError(
                f"{result.source} was checked by {result.detector.name} {result.detector.version} "
                f"({result.detector.sha256[:12]}), not by this detector: check it again"
            )
        return result.at(self.detector.operating_point(name))

    def check(self, source: Source, *, name: str | None = None) -> CheckResult:
        """Return the verdict on one picture: a path, address, bytes, stream, image or array.

        Images are Pillow's, arrays uint8 [H, W, 3] in sRGB. ``name`` is the result's ``source``;
        give it with bytes to report them under the name of their file. A picture that cannot be
        checked gives a result with an error.

        Raises:
            UsageError: the source is an empty text, a path as bytes, or several sources.
        """
        if name is None:
            require_source(source)
        return self.judge([self.open(source, name=name)])[0]

    def check_many(
        self,
        sources: Iterable[Source],
        *,
        batch_size: int | None = None,
        workers: int | None = None,
    ) -> CheckResults:
        """Return an iterator of the verdicts, in order, each as `check` would give it.

        ``workers`` threads (None: one per usable core; 0: none) open pictures and find faces
        while as many run the networks on ``batch_size`` faces or more (None: 2, which suits a
        CPU; 64 suits a GPU). Sources are read lazily: at most two batches, two pictures per worker
        and two batches per worker are in memory.

        Raises:
            UsageError: ``sources`` is one source, ``batch_size`` below 1 or ``workers`` below 0.
        """
        require_sources(sources)
        size = BATCH if batch_size is None else batch_size
        threads = min(usable_cores(), _MOST_WORKERS) if workers is None else workers
        if size < 1 or threads < 0:
            raise UsageError(f"batch_size {size} must be 1 or more, workers {threads} 0 or more")
        return CheckResults(self._check_many(sources, size, threads))

    def open(self, source: Source, *, name: str | None = None) -> PreparedPicture:
        """Return the source with its faces ready for `judge`, or with its error; runs no network.

        The first half of `check`, for callers that join several requests into one batch.
        """
        started = time.perf_counter()
        given = None if name is None else to_printable(name)
        called = given or source_name(source)
        try:
            if name is None:
                require_source(source)
            picture = load_source(source, self.limits, self.addresses, name=given)
            opened = self._prepare(called, picture)
        except (FaceproofError, OSError, MemoryError, cv2.error) as error:
            opened = PreparedPicture(called, self._nothing, error=describe_error(error, called))
        return replace(opened, seconds=time.perf_counter() - started)

    def judge(self, batch: Sequence[PreparedPicture]) -> list[CheckResult]:
        """Return the results of opened sources, scored as one batch."""
        started = time.perf_counter()
        inputs = np.concatenate([self._nothing, *(opened.inputs for opened in batch)])
        scored = _score_faces(self.detector, inputs, heatmaps=self.heatmaps)
        each = (time.perf_counter() - started) / max(len(scored), 1)
        answers = _ResultBuilder(self.detector, self.operating_point, whole=self._whole)
        results = []
        for opened in batch:
            count = len(opened.faces)
            own, scored = scored[:count], scored[count:]
            results.append(answers.build_result(opened, own, opened.seconds + each * count))
        return results

    def _check_many(
        self, sources: Iterable[Source], size: int, workers: int
    ) -> Generator[CheckResult, None, None]:
        with (
            closing(
                map_in_order(self.open, sources, workers=workers, ahead=2 * (size + workers))
            ) as opened,
            closing(batch_by_weight(opened, lambda one: one.weight, weight=size)) as batches,
            closing(
                map_in_order(self.judge, batches, workers=workers, ahead=max(2 * workers, 1))
            ) as judged,
        ):
            for results in judged:
                yield from results

    def _prepare(self, name: str, picture: Picture) -> PreparedPicture:
        """Return the picture's faces, their quality and their network inputs."""
        pixels, spec = picture.pixels, self.detector.preprocessing
        faces = self._choose_faces(self._finder, pixels)
        if not faces:
            picture.require_whole(name)
        points = (None if self._whole else face.landmarks for face in faces)
        inputs = [prepare(pixels, landmarks, spec) for landmarks in points]
        return PreparedPicture(
            name,
            np.stack(inputs) if inputs else self._nothing,
            faces=tuple((face, assess(pixels, face, picture.damage)) for face in faces),
            image=_image_record(picture),
            provenance=_provenance_record(picture),
        )


def check(
    source: Source,
    *,
    detector: Detector | str | Path = "default",
    faces: str = "all",
    at: str | None = None,
    name: str | None = None,
    heatmaps: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    addresses: FetchPolicy | None = DEFAULT_POLICY,
) -> CheckResult:
    """Return the verdict on one picture, as `Checker.check` does.

    ``detector`` is a `Detector`, the folder of one, or ``default``. It is loaded at each call:
    make a `Checker` for many pictures, or give a loaded one.

    Raises:
        BundleError: the detector cannot be loaded.
        UnknownChoiceError: an unknown choice of faces or operating point.
        NoHeatMapError: the detector has no heat maps.

    >>> check(np.zeros((64, 64, 3), np.uint8)).status
    'no_face'
    """
    checker = make_checker(
        detector, faces=faces, at=at, heatmaps=heatmaps, limits=limits, addresses=addresses
    )
    return checker.check(source, name=name)


def make_checker(
    detector: Detector | str | Path,
    *,
    faces: str = "all",
    at: str | None = None,
    heatmaps: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    addresses: FetchPolicy | None = DEFAULT_POLICY,
) -> Checker:
    """Return a `Checker` with a detector, which is loaded where it is a name or a folder."""
    loaded = detector if isinstance(detector, Detector) else Detector.load(detector)
    return Checker(
        loaded, faces=faces, at=at, heatmaps=heatmaps, limits=limits, addresses=addresses
    )


def _image_record(picture: Picture) -> CheckedImage:
    """Return the description of the picture in its result."""
    return CheckedImage(
        sha256=picture.sha256,
        width=picture.width,
        height=picture.height,
        format=picture.format,
        pictures=picture.pictures,
        damaged=round(picture.damage.share, 4) if picture.damage else 0.0,
        smallest_face_px=smallest_face(picture.pixels.shape),
    )


def _provenance_record(picture: Picture) -> Provenance:
    """Return the provenance in the picture's file; empty for pixels without a file."""
    if not picture.data:
        return _UNREAD
    credentials, findings = read_provenance(
        picture.data,
        kind=picture.format,
        pixels=picture.pixels,
        container=picture.container,
    )
    return Provenance(content_credentials=credentials, findings=findings)
