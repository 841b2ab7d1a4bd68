"""`NetworkRecipe`: the network of a recipe, what it starts from and which of its weights learn."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from faceproof.errors import UnknownChoiceError
from faceproof.imaging.preprocessing import Preprocessing
from faceproof.networks import input_defaults
from faceproof.networks.heads import HeadSpec
from faceproof.records import Record
from faceproof.training.origins import Statement

AUTO = BeforeValidator(lambda value: None if value == "auto" else value)
"""``auto`` in a recipe is the same as leaving the key out."""


class NetworkRecipe(Record):
    """The network, what it starts from, what it is shown and which of its weights learn."""

    name: str = Field(
        default="densenet121",
        description="densenet121, inception_resnet_v1 or a model name of timm.",
    )
    head: HeadSpec = Field(
        default=HeadSpec(), description="Head between the features and the logit."
    )
    preprocessing: Preprocessing = Field(
        description="Crop and normalisation; what is left open is what the network was made for."
    )
    starting_weights: str | None = Field(
        default=None,
        description="default (the shipped detector), a name of timm's hub, a file of tensors or "
        "the folder of a detector; left out: random weights.",
    )
    started_from: Annotated[Statement | None, AUTO] = Field(
        default=None,
        description="Name of the starting weights; left out, or auto: as the weights state it.",
    )
    started_from_licence: Annotated[Statement | None, AUTO] = Field(
        default=None,
        description="Licence of the starting weights; left out, or auto: as the weights state it.",
    )
    averaged_with: tuple[str, ...] = Field(
        default=(),
        description="Detectors, or files, of the same network whose weights are averaged with the "
        "trained ones at the end, in equal parts.",
    )
    trainable: Literal["all", "head", "head_and_norms"] = Field(
        default="all", description="Which weights learn."
    )
    frozen_stages: int = Field(
        default=0,
        ge=0,
        description="Stages of the backbone, from the input on, whose weights stay as they are; "
        "each makes a step faster.",
    )
    batch_norm: Literal["precise", "train", "frozen"] = Field(
        default="precise",
        description="precise: statistics are measured again before each validation; train: they "
        "follow the batches; frozen: they stay as at the start.",
    )
    batch_norm_momentum: float = Field(
        default=0.1, gt=0, le=1, description="How fast the statistics follow the batches."
    )
    batch_norm_pictures: int = Field(
        default=512,
        ge=0,
        description="Training faces whose statistics batch norm starts with; 0: those of the "
        "weights.",
    )

    @model_validator(mode="after")
    def _random_weights_have_no_origin(self) -> Self:
        given = self.started_from or self.started_from_licence
        if given and self.starting_weights is None:
            raise ValueError(
                f"started_from is {given!r}, but the network starts from random weights: name "
                "them as network.starting_weights, or delete started_from and started_from_licence"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _fill_input_defaults(cls, content: Any) -> Any:
        """Fill in the side and normalisation of the network's own record where none is given."""
        if not isinstance(content, dict):
            return content
        given = content.get("preprocessing", {})
        if not isinstance(given, dict) or not isinstance(given.get("crop", {}), dict):
            return content
        try:
            own = input_defaults(content.get("name", "densenet121"))
        except UnknownChoiceError as error:
            raise ValueError(str(error)) from error
        crop = {"size": own.size, **given.get("crop", {})}
        filled = {"input": {"mean": own.mean, "std": own.std}, **given, "crop": crop}
        return {**content, "preprocessing": filled}
