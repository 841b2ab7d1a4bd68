"""Faces of a calibration split, drawn from known distributions."""

import numpy as np

from faceproof.detector import sigmoid
from faceproof.evaluation import predictions
from faceproof.evaluation.predictions import Faces, Origin, Prediction

CONDITIONS = ("clean", "jpeg-60", "resize-0.5")


def made(logits, fake, *, sources="s", groups=None, conditions="clean", generators=None) -> Faces:
    """Return calibration faces with uncalibrated probabilities."""
    logits, fake = np.asarray(logits, float), np.asarray(fake, bool)

    def texts(value):
        return np.broadcast_to(np.asarray(value, np.str_), fake.shape).copy()

    return Faces(
        fake=fake,
        logits=logits,
        probabilities=sigmoid(logits),
        sources=texts(sources),
        generators=texts(np.where(fake, "g", "none") if generators is None else generators),
        groups=texts(np.arange(len(fake)) if groups is None else groups),
        conditions=texts(conditions),
        splits=texts("calibration"),
        statuses=texts("ok"),
        withheld=np.zeros(fake.shape, dtype=bool),
    )


def drawn(n=2000, *, slope=2.0, intercept=-1.0, seed=0) -> Faces:
    """Return as many real as fake faces whose true probability is sigmoid(slope x + intercept)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=1.5, size=10 * n) + 0.5
    fake = rng.uniform(size=10 * n) < sigmoid(slope * logits + intercept)
    keep = np.concatenate([np.flatnonzero(fake)[:n], np.flatnonzero(~fake)[:n]])
    return made(logits[keep], fake[keep])


def degraded_faces(n=1000, *, seed=0, groups=None) -> Faces:
    """Return n real and n fake faces under the three conditions, JPEG making reals look faker."""
    rng = np.random.default_rng(seed)
    fake = np.repeat([False, True], n)
    clean = rng.normal(size=2 * n) + 4 * fake - 2
    logits = [clean, clean + 0.8 * ~fake, clean - 0.3]
    return made(
        np.concatenate(logits),
        np.tile(fake, 3),
        groups=np.tile(np.arange(2 * n) if groups is None else groups, 3),
        conditions=np.repeat(CONDITIONS, 2 * n),
    )


def answers(faces: Faces, *, split="calibration", purpose="calibrate"):
    """Return the predictions table of these faces, two sources in turn."""
    columns = (faces.fake, faces.groups, faces.conditions, faces.logits, faces.probabilities)
    rows = [
        Prediction(
            path=f"{split}-{group}.jpg",
            source="shop" if number % 2 else "press",
            generator="gan" if fake else "none",
            label="fake" if fake else "real",
            split=split,
            group=f"{split}-{group}",
            condition=condition,
            logit=logit,
            fake_probability=probability,
            status="ok",
        )
        for number, (fake, group, condition, logit, probability) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True)
        )
    ]
    origin = Origin(detector_sha256="a" * 64, data_sha256="b" * 64, purpose=purpose)
    return predictions.make_table(rows, origin)
