"""Record: the closed, frozen base of all that is written to disk or to the wire."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict


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
