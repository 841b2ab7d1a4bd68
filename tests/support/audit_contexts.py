"""What an audit reads, made from predictions, without pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from faceproof import Detector
from faceproof.audits.context import AuditContext
from faceproof.data.manifest import Manifest, Row
from faceproof.evaluation.audit_result import AuditSettings
from faceproof.evaluation.predictions import Origin, Prediction, make_table
from faceproof.evaluation.scored_faces import take_whole_picture
from faceproof.evaluation.selection import select


def prediction(n: int, label: str, p: float, **changes) -> Prediction:
    """Return face ``n`` of a group of its own; without a probability where it has a reason."""
    ok = not changes.get("reason")
    status = "ok" if ok else "no_face" if changes["reason"] == "no_face" else "error"
    known = {
        "path": f"{n}.png",
        "source": "home",
        "generator": "none" if label == "real" else "lamp",
        "label": label,
        "split": "test",
        "group": f"g{n}",
        "condition": "clean",
        "logit": float(np.log(p / (1 - p))) if ok else None,
        "fake_probability": p if ok else None,
        "status": status,
    }
    return Prediction(**(known | changes))


def make_context(
    bundle: Path, predictions: Mapping[str, Sequence[Prediction]], *, by: tuple[str, ...] = ()
) -> AuditContext:
    """Return the context of an audit of these predictions, by the name of their scoring."""
    detector = Detector.load(bundle)
    rows = {
        one.path: Row(
            *(one.path, one.label, one.generator, one.source, one.group),
            sha256=f"{at:064x}",
            split="test",
            attributes=one.attributes,
        )
        for part in predictions.values()
        for at, one in enumerate(part)
    }
    selection = select(Manifest(rows.values(), root=Path()), None, name="m.csv")
    origin = Origin(
        detector_sha256=detector.sha256, data_sha256=selection.sha256, purpose="final-report"
    )
    settings = AuditSettings(
        faceproof="1",
        detector=detector.spec.name,
        detector_version="1",
        detector_sha256=detector.sha256,
        data="m.csv",
        data_sha256=selection.sha256,
        split="test",
        rows=len(rows),
        operating_point="balanced",
        faces="whole",
        seed=0,
        by=by,
    )
    tables = {name: make_table(part, origin) for name, part in predictions.items()}
    point, find = detector.operating_point(None), take_whole_picture()
    return AuditContext(detector, point, selection, find, settings, None, print, _tables=tables)
