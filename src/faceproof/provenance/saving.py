"""Findings on how a file was saved, and whether repeatedly: camera, preview, compression."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import numpy.typing as npt

from faceproof.errors import PictureError
from faceproof.imaging.containers.jpeg_header import JpegHeader, standard_table
from faceproof.imaging.decode import Limits, Pixels, decode
from faceproof.provenance.metadata import Exif
from faceproof.provenance.records import ProvenanceFinding, Statement, bound_text

# Some generators write their names or workflows into the camera's fields.
_NO_CAMERA = re.compile(
    r"(?i)^\s*(?:(?:prompt|workflow)\s*:|\{"
    r"|(?:Black Forest Labs|Ideogram AI|AI generated|Qwen-Image)\b)"
)


def camera_finding(exif: Exif, where: str = "EXIF") -> ProvenanceFinding | None:
    """Return the camera, lens and time that EXIF names; None if it names no camera."""
    texts = {name: bound_text(text, 80) for name, text in exif.texts.items()}
    camera = _camera_name(texts.get("Make", ""), texts.get("Model", ""))
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
        value=bound_text("; ".join(filter(None, details))),
        where=f"{where} Make, Model",
        points_to="captured",
    )


def _camera_name(make: str, model: str) -> str:
    """Return the name of a camera, its maker's name only once.

    >>> _camera_name("Canon", "Canon EOS R5"), _camera_name("Apple", "iPhone 15")
    ('Canon EOS R5', 'Apple iPhone 15')
    """
    first = make.split(" ", maxsplit=1)[0].lower()
    return model if first and model.lower().startswith(first) else f"{make} {model}".strip()


_LIMITS = Limits(max_bytes=1 << 18, max_pixels=1 << 20, max_side=2000)
_SIDE = 32
_WHERE = "EXIF preview"
# Previews of the same picture correlate above 0.9 with any scaler; other pictures about 0.
LEAST_CORRELATION = 0.5
_DARK = 16
_FLAT = 4.0  # grey levels (standard deviation), below which pictures cannot be compared

Grey = npt.NDArray[np.float32]


def preview_finding(exif: Exif, pixels: Pixels) -> ProvenanceFinding | None:
    """Return a finding if the preview shows another picture; None otherwise.

    Rotated previews count as the same picture: some programs rotate a picture but not its preview.
    So do previews with black bars, which cameras add if the picture is wider than the preview.
    """
    if not exif.thumbnail:
        return None
    try:
        preview = decode(exif.thumbnail, limits=_LIMITS).pixels
    except PictureError as error:
        return ProvenanceFinding(
            kind="unreadable", says=f"The EXIF preview cannot be read: {error}."[:600], where=_WHERE
        )
    alike = _preview_correlation(preview, pixels)
    if alike is None or alike >= LEAST_CORRELATION:
        return None
    return ProvenanceFinding(
        kind="metadata",
        says="The small preview inside the file does not show what the picture shows: the picture"
        " was changed, cropped or replaced after the preview was made.",
        value=f"correlation {alike:.2f} of 1",
        where=_WHERE,
        points_to="edited",
    )


def _preview_correlation(preview: Pixels, pixels: Pixels) -> float | None:
    """Return the best correlation over quarter turns, in [-1, 1]; None if one is flat."""
    picture = _small_grey(pixels)
    tries = [
        np.rot90(small, turns)
        for small in (_small_grey(preview), _small_grey(_strip_bars(preview)))
        for turns in range(4)
    ]
    if picture.std() < _FLAT or tries[0].std() < _FLAT:
        return None
    return max(float(np.corrcoef(picture.ravel(), turned.ravel())[0, 1]) for turned in tries)


def _small_grey(pixels: Pixels) -> Grey:
    """Return grey levels, float32 [32, 32]."""
    step = max(min(pixels.shape[:2]) // (8 * _SIDE), 1)
    square = cv2.resize(pixels[::step, ::step], (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(square.mean(axis=2), np.float32)


def _strip_bars(preview: Pixels) -> Pixels:
    """Return the preview without rows and columns that are black from end to end."""
    lit = preview.max(axis=2) >= _DARK
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    if not rows.size:
        return preview
    return preview[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


_SAMPLING = {
    (1, 1): "colour at full size (4:4:4)",
    (2, 1): "colour at half width (4:2:2)",
    (2, 2): "colour at half size (4:2:0)",
    (0, 0): "without colour",
}
# Facebook and Instagram write this into the captions of pictures that they save again. Source: many
# published listings of such files.
_META_MARK = "FBMD"


def saving_findings(
    header: JpegHeader | None, statements: Iterable[Statement]
) -> Iterator[ProvenanceFinding]:
    """Yield the signs of saving in a JPEG's header (None for other formats) and in the captions."""
    if header and header.luma:
        yield _compression_finding(header)
    for statement in statements:
        if statement.key == "iim:SpecialInstructions" and statement.text.startswith(_META_MARK):
            yield ProvenanceFinding(
                kind="saved_again",
                says="The file bears the mark of pictures that Facebook or Instagram saved again.",
                value=bound_text(statement.text, 40),
                where=statement.where,
            )
            return


def _compression_finding(header: JpegHeader) -> ProvenanceFinding:
    quality, usual = int(header.quality), _is_usual(header)
    tables = "the usual tables" if usual else "tables of its maker's own"
    facts = [
        f"{'' if usual else 'about '}{quality} of 100",
        tables,
        _SAMPLING.get(header.sampling, "colour sampled in a rare way"),
        *(["progressive"] if header.progressive else []),
    ]
    who = (
        "most programs and web sites save so, cameras seldom"
        if usual
        else "cameras, phones, Photoshop and some web sites do"
    )
    return ProvenanceFinding(
        kind="saved_again",
        says=f"Last saved as a JPEG of quality {facts[0]}, with {tables} ({who}). "
        "How often it was saved before, and by whom, this does not tell.",
        value="; ".join(["quality " + facts[0], *facts[1:]]),
        where="JPEG tables",
    )


def _is_usual(header: JpegHeader) -> bool:
    """Return whether both tables are exactly those that libjpeg writes for a quality."""
    quality = int(header.quality)
    return header.standard == 1 and (
        not header.chroma or header.chroma == standard_table(quality, chroma=True)
    )
