"""Finding: one measured fact, never without its interval, its n and its data."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from faceproof.records import Record

Sha256 = Annotated[str, Field(pattern=r"\A[0-9a-f]{64}\z")]
Text = Annotated[str, Field(min_length=1, max_length=2_000)]


class Finding(Record):
    """A metric's value with its interval ``[low, high]``, on ``n`` pictures of hashed data.

    ``condition`` is how the pictures were worn ("clean", "jpeg-60"), ``slice`` which of
    them were counted ("all", "source=dfdc").
    """

    metric: Text
    value: float
    low: float
    high: float
    n: int = Field(ge=1)
    condition: Text = "clean"
    slice: Text = "all"
    data_sha256: Sha256

    @model_validator(mode="after")
    def _interval_is_ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"{self.metric}: low {self.low} is above high {self.high}")
        return self
