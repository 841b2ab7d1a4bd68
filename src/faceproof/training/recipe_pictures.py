"""The sections of a recipe about pictures: data, resolution, made, stages and augment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from faceproof.records import Record
from faceproof.sources import is_address
from faceproof.stores import is_stored
from faceproof.training.origins import Statement

Chance = Annotated[float, Field(ge=0, le=1)]


class DataRecipe(Record):
    """The prepared data set, how often its rows are drawn, and the licence of a detector of it."""

    prepared: Path = Field(
        default=Path("data/prepared"), description="Folder that `faceproof data prepare` has made."
    )
    licence: Statement = Field(
        description="Licence of a detector that is trained on these pictures."
    )
    shares: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict,
        description="Share of the draws of each source, by name; needs [resolution].",
    )
    allow_shortcuts: bool = Field(
        default=False,
        description="Train although the shortcut report of the training stream refuses it.",
    )
    balance: tuple[Literal["class", "generator", "source"], ...] = Field(
        default=(),
        description="What is evened out in training, one inside of the other; empty: the "
        "prepared weights apply.",
    )
    reading: Literal["files", "shards"] = Field(
        default="files", description="Read picture files, or the shards of the prepared folder."
    )
    store: str | None = Field(
        default=None,
        description="Address of a prepared folder with shards, such as s3://bucket/faces; they "
        "are copied into data.prepared before the training.",
    )

    @field_validator("prepared", mode="before")
    @classmethod
    def _refuse_address(cls, value: object) -> object:
        if isinstance(value, str) and is_address(value):
            raise ValueError(
                f"{value} is an address: name it as data.store, and as data.prepared the folder "
                "of this machine that shall get its shards"
            )
        return value

    @model_validator(mode="after")
    def _require_shards_of_a_store(self) -> Self:
        if self.store is None:
            return self
        if not is_stored(self.store):
            raise ValueError(
                f"store {self.store!r} is not an address of object storage: use s3://, gs:// or "
                "hf://, or for a folder data.prepared without data.store"
            )
        if self.reading != "shards":
            raise ValueError('a store is read by its shards: set data.reading = "shards"')
        return self


class ResolutionRecipe(Record):
    """One distribution of face widths for both classes, in px; even on a logarithmic scale.

    A face is as wide as the side of the square that a crop without margin shows.
    """

    narrowest: float = Field(default=72, ge=16, description="Narrowest face in px.")
    widest: float = Field(default=320, le=1024, description="Widest face in px.")
    own_width: dict[str, Chance] = Field(
        default_factory=dict,
        description="Share of a source's draws that keep their width, for sources whose two "
        "classes share one distribution.",
    )
    fixed_width: tuple[str, ...] = Field(
        default=(), description="Sources whose pictures exist at one width only."
    )

    @model_validator(mode="after")
    def _require_ascending(self) -> Self:
        if self.narrowest >= self.widest:
            raise ValueError(f"narrowest {self.narrowest:g} is not below widest {self.widest:g}")
        return self


class MadeRecipe(Record):
    """How many fakes of one forgery are made before the first step, into ``data.prepared``."""

    autoencoder: Path | None = Field(
        default=None, description="Weights of the autoencoder, for forgeries that need one."
    )
    widest: float = Field(
        default=200,
        ge=32,
        description="Widest face in px; the time of a round trip grows with its area.",
    )
    counts: dict[Literal["train", "validation", "calibration", "test"], int] = Field(
        description="How many are made for each split, of its own real faces."
    )
    latent_noise: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Largest standard deviation of the noise on the latents.",
    )
    threads: int = Field(default=1, ge=1, description="Threads that make fakes.")


class StageRecipe(Record):
    """What changes from a step on; what is not named stays as it was before that step."""

    from_step: int = Field(ge=0, description="Step at which the stage begins.")
    shares: dict[str, Annotated[float, Field(gt=0)]] | None = Field(
        default=None, description="Shares of the sources from this step on."
    )
    forgeries: dict[str, Chance] | None = Field(
        default=None, description="Shares of all draws that are made into fakes, by forgery."
    )
    strength: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Factor on the chances of augmentation: 0 none, 1 as in [augment].",
    )


class AugmentRecipe(Record):
    """Chances and strengths of what is done to a training picture; all drawn per picture."""

    history_steps: int = Field(
        default=3,
        ge=0,
        le=8,
        description="Most steps of a random file history: resize, JPEG, WebP, forward, screenshot.",
    )
    save: Chance = Field(default=0.0, description="Chance of one save at the drawn width.")
    save_quality: tuple[int, int] = Field(
        default=(50, 96), description="Range of the JPEG or WebP quality of that save."
    )
    self_blend: Chance = Field(
        default=0.05, description="Chance that a real face becomes a self-blended fake."
    )
    swap: Chance = Field(
        default=0.03,
        description="Chance that a real face gets the inner face of another one, as a fake.",
    )
    reconstruct: Chance = Field(
        default=0.0,
        description="Chance that a real face is reduced and enlarged as by an autoencoder, as a "
        "fake.",
    )
    cut: Chance = Field(default=0.3, description="Chance that the border is cut near the face.")
    flip: Chance = Field(default=0.5, description="Chance of a mirrored picture.")
    colour: Chance = Field(
        default=0.4, description="Chance of another gain, offset, gamma and saturation."
    )
    grey: Chance = Field(default=0.03, description="Chance of a picture without colour.")
    blur: Chance = Field(default=0.1, description="Chance of a Gaussian blur.")
    noise: Chance = Field(default=0.1, description="Chance of Gaussian noise.")
    shift: float = Field(
        default=0.03,
        ge=0,
        le=0.3,
        description="Most by which landmarks are moved, as a share of the crop's side.",
    )
    scale: float = Field(
        default=0.08, ge=0, le=0.5, description="Most by which landmarks are scaled."
    )
    turn_degrees: float = Field(
        default=5.0, ge=0, le=180, description="Most by which landmarks are turned, in degrees."
    )
    mixup: Chance = Field(
        default=0.0, description="Chance that a batch is mixed pairwise by mixup."
    )
    cutmix: Chance = Field(
        default=0.0, description="Chance that a batch is mixed pairwise by CutMix."
    )
    mix_alpha: float = Field(
        default=0.3,
        gt=0,
        description="Both parameters of the Beta distribution that draws the share of a mix.",
    )

    @model_validator(mode="after")
    def _chances_add_up(self) -> Self:
        for names in (("self_blend", "swap", "reconstruct"), ("mixup", "cutmix")):
            if sum(getattr(self, name) for name in names) > 1:
                raise ValueError(f"{', '.join(names)} exclude one another: together at most 1")
        return self
