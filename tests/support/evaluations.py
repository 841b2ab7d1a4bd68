"""A small evaluation whose names are hostile, and one audit, for tests of reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from faceproof.detector import ChosenOn, OperatingPoint
from faceproof.evaluation.audit_result import (
    AuditPlot,
    AuditResult,
    AuditSettings,
    AuditTable,
    Series,
)
from faceproof.evaluation.evaluate import make_evaluation
from faceproof.evaluation.evaluation_record import DatasetRef, DetectorRef, Evaluation
from faceproof.evaluation.predictions import Faces, Origin, Prediction, make_table

EVIL = "<script>alert('x')</script>\"&é"
POINT = OperatingPoint(
    name="<strict>",
    real_below=0.3,
    fake_from=0.6,
    promise="p",
    chosen_on=ChosenOn(data_sha256="c" * 64, n=1),
)


def predictions(
    *,
    labels: Sequence[str] = ("real", "fake"),
    gone: int = 3,
    conditions: Sequence[str] = ("clean", "<worn>"),
) -> Any:
    """Return a table of 60 pictures under each condition, the first ``gone`` without a face."""
    rng = np.random.default_rng(0)
    rows = []
    for condition in conditions:
        for n in range(60):
            label = labels[n % len(labels)]
            p = float(rng.beta(2, 4) + (0.3 if label == "fake" else 0))
            p = 0.95 if n == 58 else p  # a real face called fake
            ok = n >= gone
            rows.append(
                Prediction(
                    path=f"{n}.png",
                    source=EVIL if n < 40 else "home",
                    generator="none" if label == "real" else "<gan>",
                    label=label,
                    split="test",
                    group=f"g{n // 2}",
                    condition=condition,
                    logit=p if ok else None,
                    fake_probability=min(p, 1.0) if ok else None,
                    status="ok" if ok else "no_face",
                )
            )
    return make_table(rows, Origin(detector_sha256="a" * 64, data_sha256="b" * 64, purpose="x"))


def evaluated(answers: Any, **changes: Any) -> Evaluation:
    """Return the evaluation of such a table."""
    settings = {"chosen_faces": "largest", "cautions": ["<b>Beware</b>"], "number": 100, **changes}
    return make_evaluation(
        answers,
        DetectorRef(name=EVIL, version="1", sha256="a" * 64),
        DatasetRef(name="m<1>.csv", sha256="b" * 64, split="test", rows=60),
        POINT,
        **settings,
    )


def audited(name: str = "robustness", **changes: Any) -> AuditResult:
    """Return the result of an audit with a table and a plot of each kind."""
    settings = AuditSettings(
        faceproof="0",
        detector=EVIL,
        detector_version="1",
        detector_sha256="a" * 64,
        data="m<1>.csv",
        data_sha256="b" * 64,
        split="test",
        rows=60,
        operating_point="<strict>",
        faces="largest",
        most=300,
        seed=0,
    )
    fields: dict[str, Any] = {
        "name": name,
        "question": "Does it <hold>?",
        "answer": f"12.5 % flip in {name}.",
        "settings": settings,
        "pictures": 60,
        "cautions": ("A sample of 60.", f"Only {name}."),
        "own_cautions": (f"Only {name}.",),
        "tables": (
            AuditTable(
                name="rates",
                caption="flip_rate: by condition.",
                columns=("condition", "n", "flip_rate", "flip_rate_low", "flip_rate_high", "move"),
                rows=(
                    ("<dark>", 1200, 0.125, 0.1, 0.15, 0.25),
                    ("grey", 0, None, None, None, None),
                ),
            ),
        ),
        "plots": (
            AuditPlot(
                name="flips",
                kind="bar",
                title="Flips",
                x="condition",
                y="flip rate",
                series=(Series(name="flips", x=("<dark>", "grey"), y=(0.125, None)),),
            ),
        ),
    }
    return AuditResult(**(fields | changes))


def faces(fake: Sequence[bool], probabilities: Sequence[float], **columns: Any) -> Faces:
    """Return judged faces of one source, each a group of its own."""
    count = len(fake)
    names = np.array(["lamp" if one else "none" for one in fake])
    given: dict[str, Any] = {
        "fake": np.array(fake),
        "logits": np.zeros(count),
        "probabilities": np.array(probabilities, float),
        "sources": np.full(count, "home"),
        "generators": names,
        "groups": np.array([f"g{n}" for n in range(count)]),
        "conditions": np.full(count, "clean"),
        "splits": np.full(count, "test"),
        "statuses": np.full(count, "ok"),
        "withheld": np.zeros(count, dtype=bool),
    }
    return Faces(**(given | columns))
