"""`annotate`: a result's picture with its faces marked; as a file, and as HTML for a notebook."""

from __future__ import annotations

import base64
import io
import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from faceproof.errors import FaceproofError, UsageError
from faceproof.imaging.decode import DEFAULT_LIMITS, Picture
from faceproof.imaging.fetching import DEFAULT_POLICY
from faceproof.loading import load_source
from faceproof.messages import count_noun, shorten_text
from faceproof.outputs import is_regular, write_error
from faceproof.reports.marked_files import read_mark, write_marked
from faceproof.reports.marked_picture import LONGEST, LOOKS, mark_picture, picture_words
from faceproof.reports.words import (
    OUTCOMES,
    VERDICTS,
    outcome_of,
    percent_words,
    signed_words,
)
from faceproof.sources import ANNOTATED_MARK, to_printable

if TYPE_CHECKING:
    from faceproof.loading import Source
    from faceproof.results import CheckedFace, CheckResult

_NOTEBOOK_SIDE = 480  # px; a picture of that size is 20 to 60 KB of JPEG
_MOST_ROWS = 12


def annotate(
    result: CheckResult, picture: Source | None = None, *, longest: int = LONGEST
) -> Image.Image:
    """Return the picture that was checked, with its faces marked; see `CheckResult.annotate`.

    Raises:
        UsageError: the picture is not at hand, or is not the one that was checked.
        SourceError: it cannot be read.
    """
    return Image.fromarray(mark_picture(_load(result, picture).pixels, result, longest=longest))


def save_annotated(result: CheckResult, path: Path, picture: Source | None = None) -> None:
    """Write the picture of `annotate` as PNG; replace only an earlier one of the same picture.

    Raises:
        UsageError: the ending is not .png, another file is there, or as `annotate` does.
        SourceError: as `annotate` does.
        OutputError: the disk is full.
    """
    shown, mark = to_printable(str(path)), annotated_mark(result)
    if path.suffix.lower() != ".png":
        raise UsageError(f"{shown}: an annotated picture is a PNG file; end its name in .png")
    image = annotate(result, picture)
    if os.path.lexists(path) and read_mark(path, ANNOTATED_MARK) != mark:
        raise UsageError(f"{shown} exists and is not overwritten; name a new file")
    try:
        write_marked(image, path, ANNOTATED_MARK, mark)
    except OSError as error:
        raise write_error(path, error) from error


def annotated_mark(result: CheckResult) -> str:
    """Return the mark of a result's annotated picture: the SHA-256 of what was checked."""
    return result.image.sha256 if result.image else ""


def notebook_html(result: CheckResult) -> str:
    """Return the verdict, the faces and, if it is at hand, the picture, as a part of a page.

    The picture is only shown where ``source`` is a file with the SHA-256 of the one that was
    checked. Nothing is fetched, and names are escaped.
    """
    name = escape(shorten_text(result.source))
    detector = f"{result.detector.name} {result.detector.version} at {result.operating_point}"
    parts = [f"<p>{_headline(result)} <b>{name}</b>, detector {escape(detector)}</p>"]
    if result.error:
        parts.append(f"<p>{escape(result.error.code)}: {escape(result.error.message)}</p>")
    else:
        parts.append(_picture_tag(result))
    if result.faces:
        parts.append(_faces_table(result))
    return f"<div>{''.join(parts)}</div>"


def _load(result: CheckResult, picture: Source | None) -> Picture:
    """Return the picture that was checked, decoded."""
    source = shorten_text(result.source)
    if result.image is None:
        raise UsageError(f"{source} has no picture: {result.error and result.error.message}")
    if picture is None:
        if not is_regular(Path(result.source)):
            raise UsageError(f"{source} is not a file here: pass the picture that was checked")
        picture = result.source
    loaded = load_source(picture, DEFAULT_LIMITS, DEFAULT_POLICY)
    if loaded.sha256 != result.image.sha256:
        raise UsageError(
            f"{source} was checked with SHA-256 {result.image.sha256[:12]}, and this picture has "
            f"{loaded.sha256[:12]}: pass it as it was checked, or check it again"
        )
    return loaded


def _headline(result: CheckResult) -> str:
    """Return the verdict as a coloured label with its sign, or why there is none."""
    if result.verdict is None or result.fake_probability is None:
        return f"<b>{OUTCOMES[outcome_of(result)].word}</b>"
    look = LOOKS[result.verdict]
    colours = f"background:rgb{look.fill};color:rgb{look.text}"
    words = signed_words(result.verdict)
    label = f'<span style="{colours};padding:2px 8px;border-radius:3px">{words}</span>'
    faces = count_noun(len(result.faces), "face")
    return f"{label} probability of a fake {percent_words(result.fake_probability)}, {faces}:"


def _picture_tag(result: CheckResult) -> str:
    """Return the marked picture as an image, or why it is not shown."""
    try:
        image = annotate(result, longest=_NOTEBOOK_SIDE)
    except (FaceproofError, OSError, ValueError) as error:
        return f"<p>Without its picture: {escape(str(error))}</p>"
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    words = escape(picture_words(result), quote=True)
    return f'<img src="data:image/jpeg;base64,{data}" alt="{words}">'


def _faces_table(result: CheckResult) -> str:
    """Return a row for each face, at most twelve."""
    titles = ("face", "verdict", "probability of a fake", "width in px", "cautions")
    head = "".join(f"<th>{title}</th>" for title in titles)
    rows = "".join(_face_row(n, one) for n, one in enumerate(result.faces[:_MOST_ROWS], start=1))
    left = len(result.faces) - _MOST_ROWS
    more = f"<p>and {count_noun(left, 'more face')}</p>" if left > 0 else ""
    return f"<table><tr>{head}</tr>{rows}</table>{more}"


def _face_row(number: int, face: CheckedFace) -> str:
    cautions = ", ".join(one.replace("_", " ") for one in face.quality.cautions)
    width = f"{face.box[2]:.0f}"
    verdict, probability = VERDICTS[face.verdict].word, percent_words(face.fake_probability)
    cells = (f"{number}", verdict, probability, width, cautions)
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
