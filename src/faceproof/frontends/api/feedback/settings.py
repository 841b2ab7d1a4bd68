"""What may be said of the keeping of feedback: where, how long, how much."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from faceproof.frontends.api.feedback.address import DEFAULT

OFF = "off"
RETENTION_DAYS = 180
MAX_ROWS = 100_000


class FeedbackSettings(BaseModel):
    """How the service keeps feedback; nothing is written before somebody sends some."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    database: str = Field(
        default=DEFAULT,
        min_length=1,
        description="Where feedback is kept: an SQLite file or postgresql:// address; `default` "
        "is a file in the user's data folder, `off` keeps none.",
    )
    retention_days: int = Field(
        default=RETENTION_DAYS,
        ge=1,
        le=36_500,
        description="Days after which feedback is deleted.",
    )
    max_rows: int = Field(
        default=MAX_ROWS, ge=1, description="Feedback kept at most; more is refused with 503."
    )
    keep_notes: bool = Field(
        default=False,
        description="Whether the free text of a note is kept; it may name people.",
    )
