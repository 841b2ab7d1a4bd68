"""From opened sources and their faces' probabilities to CheckResults."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faceproof.checker.opened import Opened
from faceproof.detector import Detector, OperatingPoint, decide, picture_probability
from faceproof.errors import UsageError
from faceproof.imaging.faces import Face
from faceproof.imaging.quality import Quality
from faceproof.results import CheckedBy, CheckedFace, CheckResult


class Answers:
    """What one detector says at one operating point."""

    def __init__(self, detector: Detector, point: OperatingPoint, *, whole: bool = False) -> None:
        """Take the detector; ``whole``: pictures are faces, without landmarks of their own."""
        self._point = point
        self._whole = whole
        self._by = CheckedBy(
            name=detector.spec.name, version=detector.spec.version, sha256=detector.sha256
        )

    def result(self, opened: Opened, probabilities: Sequence[float], seconds: float) -> CheckResult:
        """Return what is said about one source; it is as fake as its most fake face."""
        faces = tuple(map(self._face, opened.faces, probabilities))
        most = picture_probability(probabilities)
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

    def _face(self, found: tuple[Face, Quality], fake_probability: float) -> CheckedFace:
        """Return one face with its verdict; places in the picture to a hundredth of a pixel."""
        face, quality = found
        points = np.round(face.landmarks.astype(np.float64), 2).tolist()
        return CheckedFace(
            box=tuple(np.round(face.box, 2).tolist()),
            landmarks=None if self._whole else points,
            detection_score=None if self._whole else round(min(face.detection_score, 1.0), 4),
            quality=quality,
            verdict=decide(fake_probability, self._point),
            fake_probability=fake_probability,
        )


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
