"""From opened sources and their faces' probabilities to CheckResults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from faceproof.checker.opened import Opened
from faceproof.checker.scoring import Score, TestedMap
from faceproof.detector import Detector, OperatingPoint, decide, picture_probability
from faceproof.errors import UsageError
from faceproof.imaging.faces import Face
from faceproof.imaging.heat import crop_corners
from faceproof.imaging.quality import Quality
from faceproof.results import CheckedBy, CheckedFace, CheckedImage, CheckResult, HeatMap


class Answers:
    """What one detector says at one operating point."""

    def __init__(self, detector: Detector, point: OperatingPoint, *, whole: bool = False) -> None:
        """Take the detector; ``whole``: pictures are faces, without landmarks of their own."""
        self._point = point
        self._whole = whole
        self._crop = detector.preprocessing.crop
        self._by = CheckedBy(
            name=detector.spec.name, version=detector.spec.version, sha256=detector.sha256
        )

    def result(self, opened: Opened, scored: Sequence[Score], seconds: float) -> CheckResult:
        """Return what is said about one source; it is as fake as its most fake face."""
        pairs = zip(opened.faces, scored, strict=True)
        faces = tuple(self._face(*found, score, opened.image) for found, score in pairs)
        most = picture_probability([score.fake_probability for score in scored])
        return CheckResult(
            source=opened.source,
            status="error" if opened.error else "ok" if faces else "no_face",
            error=opened.error,
            image=opened.image,
            verdict=None if most is None else decide(most, self._point),
            fake_probability=most,
            faces=faces,
            provenance=opened.provenance,
            detector=self._by,
            operating_point=self._point.name,
            elapsed_ms=round(1000 * seconds, 3),
        )

    def _face(
        self, face: Face, quality: Quality, score: Score, image: CheckedImage | None
    ) -> CheckedFace:
        """Return one face with its verdict."""
        return CheckedFace(
            box=tuple(rounded(face.box)),
            landmarks=None if self._whole else rounded(face.landmarks),
            detection_score=None if self._whole else round(min(face.detection_score, 1.0), 4),
            quality=quality,
            verdict=decide(score.fake_probability, self._point),
            fake_probability=score.fake_probability,
            heatmap=score.heatmap and self._heatmap(score.heatmap, face, image),
        )

    def _heatmap(self, found: TestedMap, face: Face, image: CheckedImage | None) -> HeatMap:
        """Return a heat map at its place in the picture."""
        shape = (image.height, image.width) if image else (0, 0)
        points = None if self._whole else face.landmarks
        return HeatMap(
            values=rounded(found.values, digits=4),
            corners=rounded(crop_corners(shape, points, self._crop)),
            reliable=found.reliable,
            hottest_deleted=round(found.hottest_deleted, 4),
            random_deleted=round(found.random_deleted, 4),
        )


def rounded(numbers: npt.ArrayLike, *, digits: int = 2) -> Any:
    """Return numbers as lists; places in a picture to a hundredth of a pixel.

    >>> rounded([1.006, 2])
    [1.01, 2.0]
    """
    return np.round(np.asarray(numbers, np.float64), digits).tolist()


def again_at(result: CheckResult, detector: Detector, point: OperatingPoint) -> CheckResult:
    """Return a result with the verdicts of another operating point of the detector that judged.

    Raises:
        UsageError: another detector judged.
    """
    if result.detector.sha256 != detector.sha256:
        raise UsageError(
            f"{result.source} was judged by {result.detector.name} {result.detector.version} "
            f"({result.detector.sha256[:12]}), not by this detector: check it again"
        )
    faces = tuple(
        face.model_copy(update={"verdict": decide(face.fake_probability, point)})
        for face in result.faces
    )
    most = result.fake_probability
    verdict = None if most is None else decide(most, point)
    change = {"faces": faces, "verdict": verdict, "operating_point": point.name}
    return result.model_copy(update=change)
