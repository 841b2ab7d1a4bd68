"""What became of one row: a prepared picture, or the reason why there is none."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from faceproof.records import Record

Point = tuple[float, float]

#: These are facts about a picture, not failures: they are counted, and the run is a success.
STATED = frozenset({"no_face", "too_small", "leak"})


class Done(Record):
    """A prepared picture: where it lies in the folder, what it is, and its largest face.

    ``outside`` is the share of a crop that lies outside of its picture and is filled.
    """

    outcome: Literal["done"] = "done"
    path: str
    sha256: str
    bytes: int
    width: int
    height: int
    format: str
    jpeg_quality: int | None
    phash: str
    faces: int
    outside: float
    landmarks: tuple[Point, Point, Point, Point, Point]


class Dropped(Record):
    """A row without a prepared picture: the code of the reason, and the reason in words."""

    outcome: Literal["dropped"] = "dropped"
    code: str
    reason: str


Outcome = Annotated[Done | Dropped, Field(discriminator="outcome")]
_OUTCOMES: TypeAdapter[Done | Dropped] = TypeAdapter(Outcome)


def parse_outcome(line: bytes) -> Done | Dropped:
    """Return the outcome of a line of JSON.

    Raises:
        ValidationError: the line is none.

    >>> parse_outcome(b'{"outcome": "dropped", "code": "no_face", "reason": "none found"}').code
    'no_face'
    """
    return _OUTCOMES.validate_json(line)
