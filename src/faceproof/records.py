"""Record: the closed, frozen base of all that is written to disk or to the wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Record(BaseModel):
    """A value that is written down: frozen, no unknown field, no NaN or infinity.

    >>> class Point(Record):
    ...     x: float
    >>> Point(x=1.0).model_dump_json()
    '{"x":1.0}'
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def write(self, path: Path) -> None:
        """Write indented JSON with a final newline, UTF-8."""
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote."""
        return cls.model_validate_json(path.read_bytes())


class Grown(Record):
    """A Record with fields that came later, named in ``LATER``: unwritten where they are empty.

    What was written before them reads, is written and so hashes as it always has.

    >>> class Point(Grown):
    ...     LATER = frozenset({"name"})
    ...     x: float
    ...     name: str | None = None
    >>> Point(x=1.0).model_dump_json(), Point(x=1.0, name="a").model_dump_json()
    ('{"x":1.0}', '{"x":1.0,"name":"a"}')
    """

    LATER: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_the_empty(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = written(self)
        return {
            key: value
            for key, value in content.items()
            if key not in self.LATER or value not in (None, [], ())
        }


class Document(Record):
    """A Record that stands alone, as a file or an answer, and names its form in ``schema``.

    A subclass declares it: ``schema_: Literal["faceproof.x/1"]``, with ``schema`` as its alias.

    >>> from typing import Literal
    >>> from pydantic import Field
    >>> class Answer(Document):
    ...     schema_: Literal["faceproof.answer/1"] = Field("faceproof.answer/1", alias="schema")
    >>> Answer().model_dump_json()
    '{"schema":"faceproof.answer/1"}'
    """

    model_config = ConfigDict(
        validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )
