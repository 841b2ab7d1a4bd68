"""What EXIF says of a camera, in one finding; where it was, and whose it is, is never told."""

from __future__ import annotations

import re

from faceproof.provenance.exif import Exif
from faceproof.provenance.findings import ProvenanceFinding, bounded

# Generators write their names or their workflows into the camera's fields.
_NO_CAMERA = re.compile(r"^\s*(?:prompt|workflow)\s*:|\{|Black Forest Labs|AI generated", re.I)


def camera_finding(exif: Exif, where: str = "EXIF") -> ProvenanceFinding | None:
    """Return the camera, lens and time that EXIF names; None where it names no camera."""
    texts = {name: bounded(text, 80) for name, text in exif.texts.items()}
    camera = _camera(texts.get("Make", ""), texts.get("Model", ""))
    if not camera or _NO_CAMERA.search(camera):
        return None
    taken = texts.get("DateTimeOriginal", "")
    details = [
        camera,
        f"lens {texts['LensModel']}" if "LensModel" in texts else "",
        f"taken {taken}" if taken else "no time taken",
        f"exposure recorded: {'yes' if exif.exposure else 'no'}",
        f"position recorded: {'yes' if exif.position else 'no'}",
    ]
    return ProvenanceFinding(
        kind="camera",
        says=f"The file says that it was taken with {camera}. "
        "Such fields stay in a picture that was edited, and can be copied into any other.",
        value=bounded("; ".join(filter(None, details))),
        where=f"{where} Make, Model",
        points_to="captured",
    )


def _camera(make: str, model: str) -> str:
    """Return the name of a camera without its maker's name twice.

    >>> _camera("Canon", "Canon EOS R5"), _camera("Apple", "iPhone 15")
    ('Canon EOS R5', 'Apple iPhone 15')
    """
    first = make.split(" ", maxsplit=1)[0].lower()
    return model if first and model.lower().startswith(first) else f"{make} {model}".strip()
