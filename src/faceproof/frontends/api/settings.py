"""What the service may be told, by the environment or by whoever makes the app."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from faceproof.errors import UsageError
from faceproof.frontends.api.feedback import FeedbackSettings
from faceproof.frontends.api.security import GuardSettings
from faceproof.imaging.decode import Limits
from faceproof.imaging.fetching import FetchPolicy
from faceproof.tables import nearest

PREFIX = "FACEPROOF_SERVE_"
DELIMITER = "__"
MEGABYTE = 1024 * 1024


class ServiceSettings(BaseSettings):
    """Limits and times of the service; each is read from ``FACEPROOF_SERVE_`` and its name."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
    )

    max_file_bytes: int = Field(default=20 * MEGABYTE, ge=1, description="Bytes of one picture.")
    max_body_bytes: int = Field(
        default=64 * MEGABYTE, ge=1, description="Bytes of one request's body."
    )
    max_files: int = Field(default=16, ge=1, le=1000, description="Pictures in one batch request.")
    max_pixels: int = Field(
        default=50_000_000,
        ge=1,
        description="Pixels of one picture; decoding takes up to 16 bytes of memory for each.",
    )
    max_faces: int = Field(
        default=64, ge=1, description="Faces of one picture; one with more is refused."
    )
    addresses: bool = Field(
        default=True, description="Whether pictures may be named by their address on the net."
    )
    fetches: int = Field(default=16, ge=1, le=256, description="Addresses fetched at once.")
    fetch_seconds: float = Field(
        default=15.0, gt=0, le=300, description="Time for an address to give its picture; then 504."
    )
    refused_networks: tuple[str, ...] = Field(
        default=(),
        description="Networks no address may lead to, public ones of yours; a JSON list.",
    )
    allowed_networks: tuple[str, ...] = Field(
        default=(),
        description="Networks an address may lead to although they are private; a JSON list.",
    )

    max_waiting: int = Field(
        default=128,
        ge=1,
        description="Pictures taken and not answered yet; one more is answered with 429.",
    )
    max_held_bytes: int = Field(
        default=512 * MEGABYTE,
        ge=1,
        description="Bytes of all requests' bodies held at once; beyond it 429.",
    )
    opening_threads: int | None = Field(
        default=None, ge=1, description="Threads that decode and find faces; empty: one per core."
    )
    judging_threads: int | None = Field(
        default=None, ge=1, description="Threads that run the networks; empty: one per core."
    )
    batch_faces: int = Field(
        default=8, ge=1, le=1024, description="Faces that meet the networks together at most."
    )
    batch_wait_ms: float = Field(
        default=2.0,
        ge=0,
        le=1000,
        description="How long a batch waits for pictures that are being opened, in milliseconds.",
    )

    head_seconds: float = Field(
        default=10.0,
        gt=0,
        description="Time for a request's head to arrive, and for an answer to be read.",
    )
    upload_seconds: float = Field(
        default=30.0, gt=0, description="Time for the body of a request to arrive; then 408."
    )
    answer_seconds: float = Field(
        default=30.0, gt=0, description="Time from the whole body to the answer; then 503."
    )
    keep_alive_seconds: int = Field(
        default=20, ge=1, description="How long an idle connection is kept open."
    )
    shutdown_seconds: int = Field(
        default=25, ge=0, description="Time to finish what was taken, when the service is stopped."
    )
    max_connections: int = Field(
        default=8192,
        ge=1,
        description="Open connections; beyond it the one that has sent nothing longest is closed.",
    )

    ready_picture: Path | None = Field(
        default=None,
        description="Picture that must be judged rightly at the start; empty: the built-in one.",
    )
    ready_verdict: Literal["real", "fake", "unsure"] = Field(
        default="real", description="The right verdict on that picture."
    )

    guard: GuardSettings = GuardSettings()
    feedback: FeedbackSettings = FeedbackSettings()

    @model_validator(mode="after")
    def _limits_agree(self) -> Self:
        if self.max_files > self.max_waiting:
            raise ValueError("max_files is above max_waiting: no full batch would ever be taken")
        if self.max_body_bytes > self.max_held_bytes:
            raise ValueError("max_body_bytes is above max_held_bytes: it would never be taken")
        return self

    @property
    def limits(self) -> Limits:
        """What one picture may cost."""
        return Limits(max_bytes=self.max_file_bytes, max_pixels=self.max_pixels)

    @property
    def fetch_policy(self) -> FetchPolicy | None:
        """Which addresses are fetched, and how; None: none."""
        if not self.addresses:
            return None
        return FetchPolicy(
            max_bytes=self.max_file_bytes,
            seconds=self.fetch_seconds,
            allow_private=self.allowed_networks,
            refuse=self.refused_networks,
        )


def read_settings(**given: object) -> ServiceSettings:
    """Return the settings of the environment, ``given`` ones above them.

    Raises:
        UsageError: a variable that no setting reads, or a value that does not fit.
    """
    _refuse_unknown(os.environ)
    try:
        return ServiceSettings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise UsageError("; ".join(_faults(error))) from None


def variables(model: type[BaseModel] = ServiceSettings, prefix: str = PREFIX) -> Iterator[str]:
    """Yield the names of the environment variables that are read."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from variables(inner, f"{prefix}{name}{DELIMITER}".upper())
        else:
            yield f"{prefix}{name}".upper()


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    """Refuse a misspelt variable, which would otherwise change nothing and say nothing."""
    known = list(variables())
    for name in environment:
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            raise UsageError(f"{name} is no setting of the service{nearest(name, known)}")


def _faults(error: ValidationError) -> Iterator[str]:
    """Yield each fault with the name of its variable."""
    for fault in error.errors():
        place = DELIMITER.join(map(str, fault["loc"])).upper()
        yield f"{PREFIX + place + ': ' if place else ''}{fault['msg']}"
