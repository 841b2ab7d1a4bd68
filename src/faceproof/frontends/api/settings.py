"""`ServiceSettings`: settings of the service, from the environment or from arguments."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from faceproof.errors import UsageError
from faceproof.frontends.api.feedback import FeedbackSettings
from faceproof.frontends.api.routing import parse_root_path
from faceproof.frontends.api.security import SecuritySettings
from faceproof.imaging.decode import Limits
from faceproof.imaging.fetching import FetchPolicy
from faceproof.tables import did_you_mean

PREFIX = "FACEPROOF_SERVE_"
_DELIMITER = "__"
MEGABYTE = 1024 * 1024


class ServiceSettings(BaseSettings):
    """Limits and timeouts; each is read from the variable ``FACEPROOF_SERVE_`` plus its name."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=_DELIMITER,
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
    )

    max_file_bytes: int = Field(
        default=20 * MEGABYTE, ge=1, description="Maximum bytes of one picture."
    )
    max_body_bytes: int = Field(
        default=64 * MEGABYTE, ge=1, description="Maximum bytes of one request body."
    )
    max_files: int = Field(default=16, ge=1, le=1000, description="Maximum pictures in a batch.")
    max_pixels: int = Field(
        default=50_000_000,
        ge=1,
        description="Maximum pixels of one picture; decoding takes up to 16 bytes for each.",
    )
    max_faces: int = Field(
        default=64, ge=1, description="Maximum faces in one picture; beyond it 422."
    )
    addresses: bool = Field(default=True, description="Accept URLs of pictures.")
    fetches: int = Field(default=16, ge=1, le=256, description="URLs fetched in parallel.")
    fetch_seconds: float = Field(
        default=15.0, gt=0, le=300, description="Timeout of fetching a URL in seconds; then 504."
    )
    refused_networks: tuple[str, ...] = Field(
        default=(),
        description="Public networks that URLs must not resolve to; a JSON list.",
    )
    allowed_networks: tuple[str, ...] = Field(
        default=(),
        description="Private networks that URLs may resolve to; a JSON list.",
    )

    max_waiting: int = Field(
        default=128,
        ge=1,
        description="Maximum pictures in the queue; beyond it 429.",
    )
    max_held_bytes: int = Field(
        default=512 * MEGABYTE,
        ge=1,
        description="Maximum bytes of all request bodies in memory; beyond it 429.",
    )
    opening_threads: int | None = Field(
        default=None,
        ge=1,
        description="Threads for decoding and face detection; empty: one per core.",
    )
    judging_threads: int | None = Field(
        default=None, ge=1, description="Threads for inference; empty: one per core."
    )
    batch_faces: int = Field(
        default=8, ge=1, le=1024, description="Maximum faces in one inference batch."
    )
    batch_wait_ms: float = Field(
        default=2.0,
        ge=0,
        le=1000,
        description="Time in milliseconds that a batch waits for pictures being decoded.",
    )

    head_seconds: float = Field(
        default=10.0,
        gt=0,
        description="Timeout of receiving a request's head and of the client reading a response.",
    )
    upload_seconds: float = Field(
        default=30.0, gt=0, description="Timeout of receiving a request body; then 408."
    )
    answer_seconds: float = Field(
        default=30.0,
        gt=0,
        description="Timeout from the end of the body to the response; then 503.",
    )
    keep_alive_seconds: int = Field(default=20, ge=1, description="Timeout of an idle connection.")
    shutdown_seconds: int = Field(
        default=25, ge=0, description="Time to finish running requests at shutdown."
    )
    max_connections: int = Field(
        default=8192,
        ge=1,
        description="Maximum open connections; beyond it the longest idle one is closed.",
    )

    root_path: Annotated[str, AfterValidator(parse_root_path)] = Field(
        default="",
        description="Path below which a proxy serves the service, such as /faces, whether or not "
        "the proxy strips it; empty: none.",
    )

    ready_picture: Path | None = Field(
        default=None,
        description="Picture that the readiness probe judges at start; empty: the built-in one.",
    )
    ready_verdict: Literal["real", "fake", "unsure"] = Field(
        default="real", description="Expected verdict on that picture."
    )

    guard: SecuritySettings = SecuritySettings()
    feedback: FeedbackSettings = FeedbackSettings()

    @model_validator(mode="after")
    def _limits_agree(self) -> Self:
        if self.max_files > self.max_waiting:
            raise ValueError(
                "max_files exceeds max_waiting, so a full batch would always be rejected"
            )
        if self.max_body_bytes > self.max_held_bytes:
            raise ValueError(
                "max_body_bytes exceeds max_held_bytes, so a full body would always be rejected"
            )
        return self

    @property
    def limits(self) -> Limits:
        """Limits for decoding one picture."""
        return Limits(max_bytes=self.max_file_bytes, max_pixels=self.max_pixels)

    @property
    def fetch_policy(self) -> FetchPolicy | None:
        """Policy for fetching URLs; None: fetching is disabled."""
        if not self.addresses:
            return None
        return FetchPolicy(
            max_bytes=self.max_file_bytes,
            seconds=self.fetch_seconds,
            allow_private=self.allowed_networks,
            refuse=self.refused_networks,
        )


def read_settings(**given: object) -> ServiceSettings:
    """Return the settings of the environment, overridden by ``given``.

    Raises:
        UsageError: a variable is unknown, or a value is invalid.
    """
    _refuse_unknown(os.environ)
    try:
        return ServiceSettings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise UsageError("; ".join(_list_faults(error))) from None


def variable_names(model: type[BaseModel] = ServiceSettings, prefix: str = PREFIX) -> Iterator[str]:
    """Yield the names of the environment variables."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from variable_names(inner, f"{prefix}{name}{_DELIMITER}".upper())
        else:
            yield f"{prefix}{name}".upper()


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    """Reject a misspelt variable, which would otherwise be ignored silently."""
    known = list(variable_names())
    for name in environment:
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            raise UsageError(f"{name} is not a setting of the service{did_you_mean(name, known)}")


def _list_faults(error: ValidationError) -> Iterator[str]:
    """Yield each validation error with the name of its variable."""
    for fault in error.errors():
        place = _DELIMITER.join(map(str, fault["loc"])).upper()
        yield f"{PREFIX + place + ': ' if place else ''}{fault['msg']}"
