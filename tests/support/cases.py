"""A picture and what was said of it, as a case report gets them; no network runs."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime

import numpy as np
from PIL import Image

from faceproof.detector import DetectorSpec, Finding, Verdict
from faceproof.imaging.quality import Quality
from faceproof.provenance.records import ContentCredentials, ProvenanceFinding
from faceproof.results import (
    CheckedBy,
    CheckedFace,
    CheckedImage,
    CheckError,
    CheckResult,
    HeatMap,
    Provenance,
    ResavedResult,
)

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DETECTOR_SHA = "b" * 64
SCORES: dict[Verdict, float] = {"real": 0.1, "unsure": 0.5, "fake": 0.9}


def picture(width: int = 400, height: int = 300, seed: int = 0) -> bytes:
    """Return a PNG of soft noise."""
    small = np.random.default_rng(seed).integers(0, 255, (height // 50, width // 50, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).save(
        stream, "PNG", compress_level=1
    )
    return stream.getvalue()


def heatmap(*, reliable: bool = True) -> HeatMap:
    """Return a map over the first face of `checked`."""
    return HeatMap(
        values=((0.0, 1.0), (0.0, 0.5)),
        corners=((40.0, 50.0), (120.0, 50.0), (120.0, 130.0), (40.0, 130.0)),
        reliable=reliable,
        hottest_deleted=-1.0,
        random_deleted=-0.5,
    )


def face(number: int, verdict: Verdict, **more: object) -> CheckedFace:
    """Return a face whose place follows from its number."""
    actual = {
        "box": (40.0 + 60 * (number % 5), 50.0 + 70 * (number // 5), 50.0, 60.0),
        "landmarks": None,
        "detection_score": None,
        "quality": Quality(side_px=50, cautions=("small", "dark")),
        "verdict": verdict,
        "fake_probability": SCORES[verdict],
    }
    return CheckedFace(**(actual | more))


def checked(file: bytes, *verdicts: Verdict, **more: object) -> CheckResult:
    """Return the result on a file with a face for each verdict."""
    faces = tuple(face(number, verdict) for number, verdict in enumerate(verdicts))
    most = max(faces, key=lambda one: one.fake_probability, default=None)
    with Image.open(io.BytesIO(file)) as image:
        width, height = image.size
    actual = {
        "source": "party.png",
        "status": "ok" if faces else "no_face",
        "image": CheckedImage(
            sha256=hashlib.sha256(file).hexdigest(), width=width, height=height, format="PNG"
        ),
        "verdict": most.verdict if most else None,
        "fake_probability": most.fake_probability if most else None,
        "faces": faces,
        "detector": CheckedBy(name="bright", version="1.0", sha256=DETECTOR_SHA),
        "operating_point": "balanced",
        "elapsed_ms": 1.0,
    }
    return CheckResult(**(actual | more))


def failed(source: str = "broken.png") -> CheckResult:
    """Return the result on a file that could not be read."""
    return CheckResult(
        source=source,
        status="error",
        error=CheckError(code="empty_file", message=f"{source}: the file is empty"),
        detector=CheckedBy(name="bright", version="1.0", sha256=DETECTOR_SHA),
        operating_point="balanced",
        elapsed_ms=1.0,
    )


def origin(
    says: str = "Settings of a generator stand in the file.", value: str = "x"
) -> Provenance:
    """Return what a file says of its origin."""
    return Provenance(
        content_credentials=ContentCredentials(state="untrusted", says=says, signer="Shop"),
        findings=(
            ProvenanceFinding(
                kind="generator_trace", says=says, value=value, where="PNG", points_to="made_by_ai"
            ),
        ),
    )


def saved_again(*verdicts: Verdict) -> tuple[ResavedResult, ...]:
    """Return answers on the picture saved again."""
    ways = ("jpeg-90", "jpeg-60", "webp-75", "screenshot")
    return tuple(
        ResavedResult(
            condition=way, status="ok", verdict=one, fake_probability=SCORES[one], faces=1
        )
        for way, one in zip(ways, verdicts, strict=False)
    )


def with_figures(spec: DetectorSpec) -> DetectorSpec:
    """Return a detector of which error rates are known."""

    def finding(metric: str, value: float, **more: object) -> Finding:
        return Finding(
            metric=metric,
            value=value,
            low=value / 2,
            high=min(1, 2 * value),
            n=1234,
            data_sha256="c" * 64,
            **more,
        )

    results = (
        finding("bpcer@balanced", 0.01),
        finding("recall@balanced", 0.6),
        finding("apcer@balanced", 0.1),
        finding("bpcer@balanced", 0.03, slice="source=shop"),
        finding("recall@balanced", 0.4, slice="generator=lamp"),
        finding("recall@balanced", 0.5, condition="jpeg-60"),
    )
    return spec.model_copy(update={"results": results})
