"""`Feedback`: a user's correction of a wrong verdict.

It contains neither the picture, its name or URL, nor the user.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError

from faceproof.detector.spec import Probability, Sha256, Verdict
from faceproof.errors import DataError
from faceproof.records import Document, Record
from faceproof.sources import decode_text, to_printable

Truth = Literal["real", "fake"]

MOST_NOTE = 500
MOST_FACES = 1000
_JOINERS = "\u200c\u200d"


def _normalise_text(text: str) -> str:
    r"""Return text with each run of white space as one space; reject invisible characters.

    >>> _normalise_text("taken\nby me ")
    'taken by me'

    Raises:
        ValueError: the text has a control or bidirectional formatting character.
    """
    text = " ".join(text.split())
    if any(unicodedata.category(one).startswith("C") and one not in _JOINERS for one in text):
        raise ValueError("contains invisible characters: use plain text")
    return text


Label = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_normalise_text)]
Note = Annotated[str, Field(max_length=MOST_NOTE), AfterValidator(_normalise_text)]
_GeneratorName = Annotated[str, Field(max_length=64, pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*$")]
Box = tuple[float, float, float, float]
Side = Annotated[int, Field(ge=1, le=2**31 - 1)]
Index = Annotated[int, Field(ge=0, lt=MOST_FACES, strict=True)]


class FaceQuality(Record):
    """Quality of a face as the detector reported it."""

    side_px: int = Field(
        ge=0, le=2**31 - 1, description="Shorter side of the face's box in pixels."
    )
    cautions: tuple[Label, ...] = Field(
        default=(), max_length=50, description="What made the face hard to judge."
    )


class JudgedFace(Record):
    """A face as it was judged; box (x, y, width, height) in pixels of the upright picture."""

    box: Box = Field(description="Box (x, y, width, height) in pixels of the upright picture.")
    quality: FaceQuality = Field(description="Quality of the face.")
    verdict: Verdict = Field(description="Verdict on the face.")
    fake_probability: Probability = Field(
        description="Calibrated probability that the face is fake."
    )


class JudgedPicture(Record):
    """The judged file; unknown fields are None."""

    sha256: Sha256 = Field(description="SHA-256 of the file's bytes.")
    width: Side | None = Field(default=None, description="Width in pixels.")
    height: Side | None = Field(default=None, description="Height in pixels.")
    format: Label | None = Field(default=None, description="Format of the file.")


class JudgedBy(Record):
    """The detector of the verdict; ``sha256`` is the hash of its detector.json."""

    name: Label = Field(description="Name of the detector.")
    version: Label = Field(description="Version of the detector.")
    sha256: Sha256 = Field(description="SHA-256 of its detector.json.")


class Feedback(Document):
    """One stored feedback entry; ``face`` is the index of a face from 0, or None.

    ``verdict`` is the verdict on this face, or on the picture; None if no face was found.
    """

    schema_: Literal["faceproof.feedback/1"] = Field(
        default="faceproof.feedback/1",
        alias="schema",
        description="Name and version of this format.",
    )
    id: str = Field(pattern=r"^[0-9a-f]{32}$", description="Name of the entry.")
    received: datetime = Field(description="Time when it was received.")
    truth: Truth = Field(description="True class of the picture or the face.")
    generator: _GeneratorName | None = Field(
        default=None, description="Generator of the fake, if known."
    )
    note: Note | None = Field(default=None, description="Free text, if the service stores notes.")
    face: Index | None = Field(
        default=None, description="Index of the face from 0; null: the whole picture."
    )
    image: JudgedPicture = Field(description="The judged file.")
    verdict: Verdict | None = Field(
        description="Verdict on this face, or on the picture; null without a face."
    )
    fake_probability: Probability | None = Field(
        description="Probability of this face, or of the picture; null without a face."
    )
    faces: tuple[JudgedFace, ...] = Field(
        default=(), max_length=MOST_FACES, description="The judged faces."
    )
    detector: JudgedBy = Field(description="Detector of the verdict.")
    operating_point: Label = Field(description="Operating point of the verdict.")

    @property
    def face_meant(self) -> int | None:
        """Index of the corrected face; None if it is ambiguous or no face was found.

        Without an index it is the only face. If the whole picture is real, it is the face with
        the highest fake probability, which decided the verdict.
        """
        if self.face is not None:
            return self.face
        if len(self.faces) == 1:
            return 0
        if self.truth == "fake" or not self.faces:
            return None
        scores = [face.fake_probability for face in self.faces]
        return scores.index(max(scores))

    @property
    def box(self) -> Box | None:
        """Box of that face, None if the picture has only one."""
        meant = self.face_meant
        return None if meant is None or len(self.faces) < 2 else self.faces[meant].box


def to_timestamp(moment: datetime) -> int:
    """Return a time as whole seconds since 1970, UTC.

    >>> to_timestamp(datetime(1970, 1, 2, tzinfo=UTC))
    86400
    """
    return int(moment.timestamp())


def from_timestamp(seconds: int) -> datetime:
    """Return the time of whole seconds since 1970, UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def to_json_lines(feedback: Iterable[Feedback]) -> Iterator[str]:
    """Yield feedback as JSON Lines, each with its line break."""
    for one in feedback:
        yield one.model_dump_json() + "\n"


def read_feedback(path: Path) -> tuple[Feedback, ...]:
    """Parse a JSON Lines file of feedback, as written by `to_json_lines` and the command line.

    Raises:
        DataError: the file cannot be read, or a line is malformed.
        UsageError: it is not UTF-8.
    """
    shown = to_printable(str(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{shown} cannot be read: {error}") from error
    return tuple(_read(io.StringIO(decode_text(data, shown)), shown))


def _read(file: Iterable[str], name: str) -> Iterator[Feedback]:
    for number, line in enumerate(file, start=1):
        if line.isspace():
            continue
        try:
            yield Feedback.model_validate_json(line)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"])) or "the line"
            raise DataError(
                f"{name}, line {number}: {where}: {fault['msg']}; use a file that "
                "`faceproof feedback export` wrote"
            ) from error
