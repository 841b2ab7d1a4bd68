"""Feedback as tests send and keep it."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta
from typing import Any

from faceproof.evaluation.feedback import Feedback

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)

#: Servers on which the contract of the store is tested as well; the tests make and drop tables.
POSTGRES = tuple(filter(None, [os.environ.get("FACEPROOF_TEST_POSTGRES")]))


def sha(word: object) -> str:
    """Return a SHA-256."""
    return hashlib.sha256(str(word).encode()).hexdigest()


def a_face(probability: float = 0.9, verdict: str = "fake", left: float = 10.0) -> dict[str, Any]:
    return {
        "box": [left, 20.0, 100.0, 120.0],
        "quality": {"side_px": 100, "cautions": ["small"]},
        "verdict": verdict,
        "fake_probability": probability,
    }


def a_result(picture: object = "a", **changed: Any) -> dict[str, Any]:
    """Return what a client may send of a CheckResult."""
    return {
        "image": {"sha256": sha(picture), "width": 640, "height": 480, "format": "JPEG"},
        "verdict": "fake",
        "fake_probability": 0.9,
        "faces": [a_face()],
        "detector": {"name": "bright", "version": "1.0", "sha256": sha("detector")},
        "operating_point": "1-in-100",
    } | changed


def feedback(number: int = 0, *, truth: str = "real", days: float = 0, **changed: Any) -> Feedback:
    """Return feedback on picture ``number``, received so many days after `NOON`."""
    actual = a_result(number, **changed.pop("result", {}))
    return Feedback.model_validate(
        {
            "id": f"{number:032x}",
            "received": NOON + timedelta(days=days),
            "truth": truth,
            **actual,
            **changed,
        }
    )
