"""The recipe: all that decides a training, in closed Records, read from TOML and ``--set``."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeGuard, get_args, get_origin

from pydantic import AfterValidator, Field, ValidationError, model_validator

from faceproof.detector.spec import Name
from faceproof.errors import RecipeError, UnknownChoiceError, UsageError
from faceproof.imaging.degradations import DEGRADATIONS
from faceproof.records import Record
from faceproof.sources import decode_text
from faceproof.tables import choose, did_you_mean
from faceproof.training.overrides import Place, apply_override, name_overrides
from faceproof.training.promises import COARSE, LADDER
from faceproof.training.recipe_network import AUTO, NetworkRecipe
from faceproof.training.recipe_pictures import (
    AugmentRecipe,
    Chance,
    DataRecipe,
    MadeRecipe,
    ResolutionRecipe,
    StageRecipe,
)


def _require_name_in(table: Mapping[str, object], what: str) -> Callable[[str], str]:
    """Return a check that a name is in ``table``; it fails before training starts."""

    def check(name: str) -> str:
        try:
            choose(table, name, what=what)
        except UnknownChoiceError as error:
            raise ValueError(str(error)) from error
        return name

    return check


_Condition = Annotated[str, AfterValidator(_require_name_in(DEGRADATIONS, "condition"))]
Share = Annotated[float, Field(gt=0, lt=1)]


class ScheduleRecipe(Record):
    """How long, in optimiser steps, or in ``epochs``: the training faces seen that often."""

    steps: int = Field(
        default=2000,
        ge=0,
        description="Steps of the optimiser; 0: the starting weights become the detector.",
    )
    epochs: float | None = Field(
        default=None, gt=0, description="Times that the training faces are seen; replaces steps."
    )
    batch_size: int = Field(default=48, ge=2, description="Pictures of a batch.")
    accumulate: int = Field(default=1, ge=1, description="Batches whose gradients make one step.")
    shape: Literal["cosine", "constant", "step"] = Field(
        default="cosine",
        description="How the learning rate falls after the warm-up: half a cosine, constant, or "
        "in steps.",
    )
    falls_at: tuple[Share, ...] = Field(
        default=(0.5, 0.75),
        description="Shares of the training from which on the rate is a tenth, for shape = step.",
    )
    head_first_steps: int = Field(
        default=50, ge=0, description="Steps in which only the head learns."
    )
    thaw_steps: int = Field(
        default=0,
        ge=0,
        description="Steps over which the stages of the backbone thaw, the last first.",
    )
    warmup_steps: int = Field(
        default=150, ge=0, description="Steps in which the learning rate rises."
    )
    validate_steps: int = Field(default=200, ge=1, description="Steps between two validations.")
    validation_pictures: int = Field(default=1000, ge=2, description="Most faces of a validation.")
    patience: int = Field(
        default=0,
        ge=0,
        description="Validations without a better one that end the training; 0: none do.",
    )
    keep: Literal["best", "last"] = Field(
        default="best",
        description="Whether the best validation's weights become the detector, or the last ones. "
        "Best is the highest AUC, of equal ones the lowest loss.",
    )
    snapshots: bool = Field(
        default=False, description="Keep the weights of every validation, in half precision."
    )
    checkpoint_steps: int = Field(default=50, ge=1, description="Steps between two checkpoints.")


class OptimizerRecipe(Record):
    """Optimiser and loss; the backbone learns at a fraction of the head's rate."""

    name: Literal["adamw", "adam", "sgd"] = Field(default="adamw", description="Optimiser.")
    learning_rate: float = Field(
        default=1e-3, gt=0, description="Learning rate of the head at its highest."
    )
    backbone_factor: float = Field(
        default=0.3, gt=0, description="Factor on the head's rate for the backbone."
    )
    layer_decay: float = Field(
        default=1.0, gt=0, le=1, description="Further factor for each stage before the last one."
    )
    weight_decay: float = Field(default=0.02, ge=0, description="Weight decay.")
    loss: Literal["cross_entropy", "focal"] = Field(default="cross_entropy", description="Loss.")
    focal_gamma: float = Field(default=2.0, ge=0, description="Exponent of the focal loss.")
    label_smoothing: float = Field(
        default=0.03, ge=0, lt=0.5, description="Distance of the targets from 0 and 1."
    )
    cvar: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Share of each batch, the worst, whose mean loss is learned from; 1: all.",
    )
    sam_radius: float = Field(
        default=0.0, ge=0, description="Radius of sharpness-aware minimisation; 0: without."
    )
    clip_norm: float = Field(default=1.0, gt=0, description="Largest norm of the gradient.")
    average_decay: float = Field(
        default=0.998,
        ge=0,
        lt=1,
        description="Decay of the moving average of the weights; 0: without.",
    )


class AdversarialRecipe(Record):
    """Attacks on a share of each batch."""

    share: Chance = Field(default=0.0, description="Share of each batch that is attacked; 0: none.")
    attack: Literal["fgsm", "pgd"] = Field(default="pgd", description="Attack.")
    budget: float = Field(
        default=2.0,
        gt=0,
        le=64,
        description="Largest change of a pixel, in grey levels of 0 to 255.",
    )
    steps: int = Field(default=3, ge=1, le=100, description="Steps of the attack.")
    step: float = Field(default=1.0, gt=0, le=64, description="Size of a step in grey levels.")


class _DistilRecipe(Record):
    """Another detector to learn from."""

    teacher: str | None = Field(
        default=None,
        description="Detector to learn from: default, or the folder of one; left out: none.",
    )
    weight: Chance = Field(default=0.5, description="Part of the teacher in the loss.")
    follow: Literal["always", "where_right"] = Field(
        default="always",
        description="Whether the teacher is followed always, or only where it is right about the "
        "picture.",
    )
    temperature: float = Field(
        default=2.0, gt=0, description="Temperature that softens both answers."
    )


class DeviceRecipe(Record):
    """Where it runs."""

    accelerator: Literal["auto", "cpu", "cuda", "gpu", "mps"] = Field(
        default="auto", description="Kind of device."
    )
    devices: int = Field(default=1, ge=1, description="Devices of each machine.")
    nodes: int = Field(default=1, ge=1, description="Machines.")
    precision: Literal["auto", "bf16-mixed", "32-true"] = Field(
        default="auto", description="Precision of the numbers; auto: bf16 where the device has it."
    )
    loader_workers: int = Field(default=1, ge=0, description="Processes that load pictures.")
    threads: int | None = Field(
        default=None, ge=1, description="Threads of a process; left out: those of torch."
    )


class CalibrationRecipe(Record):
    """How probabilities are calibrated, under which conditions, and which promises are made.

    Budgets left out are those of `promises.LADDER` that the data supports, or else of `COARSE`; the
    others are logged. A default budget left out is `promises.default_share`.
    """

    method: Literal["best", "temperature", "platt", "isotonic"] = Field(
        default="best",
        description="How logits become probabilities; best: the method with the lowest loss on "
        "unseen groups.",
    )
    conditions: tuple[_Condition, ...] = Field(
        default=("clean", "jpeg-60", "resize-0.5"),
        min_length=1,
        description="Conditions under which a promise holds.",
    )
    budgets: Annotated[tuple[Share, ...] | None, AUTO] = Field(
        default=None,
        min_length=1,
        description="Shares of real faces called fake; named ones are kept or refused; left out, "
        "or auto: those that the data supports.",
    )
    default_budget: Annotated[Share | None, AUTO] = Field(
        default=None,
        description="Budget of the default operating point; left out, or auto: chosen from those "
        "kept.",
    )
    families: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Sources of real faces that are pooled, by name of the family; a budget then "
        "holds for each family.",
    )

    @model_validator(mode="after")
    def _a_source_has_one_family(self) -> Self:
        sources = [source for family in self.families.values() for source in family]
        if twice := sorted({source for source in sources if sources.count(source) > 1}):
            raise ValueError(f"families: {twice[0]!r} is in two families")
        return self

    @model_validator(mode="after")
    def _the_default_is_a_budget(self) -> Self:
        if self.budgets and self.default_budget and self.default_budget not in self.budgets:
            raise ValueError(f"default_budget {self.default_budget} is none of {self.budgets}")
        return self

    @property
    def required(self) -> tuple[float, ...]:
        """The shares that were named: each is kept, or the recipe is refused."""
        default = () if self.default_budget is None else (self.default_budget,)
        return tuple(dict.fromkeys((*(self.budgets or ()), *default)))

    @property
    def asked(self) -> tuple[float, ...]:
        """All shares that are promised where the data supports them; those named and no others."""
        if self.budgets is not None:
            return self.required
        return tuple(sorted({*LADDER, *self.required}, reverse=True))

    @property
    def fallback(self) -> tuple[float, ...]:
        """The shares promised where the data supports none of those asked."""
        return () if self.required else COARSE


class _ExportRecipe(Record):
    """The detector's name, the command that makes it, and the conditions of its final report."""

    name: Name = Field(description="Name of the detector.")
    version: Name = Field(description="Version of the detector.")
    command: str = Field(
        default="faceproof train RECIPE.toml",
        description="Command that makes the detector, for its card.",
    )
    notes: tuple[str, ...] = Field(default=(), description="Notes on its card.")
    replaces: str | None = Field(
        default=None,
        description="Detector that it replaces; more false alarms in any of calibration.families "
        "are refused.",
    )
    conditions: tuple[_Condition, ...] = Field(
        default=("clean", "jpeg-60", "resize-0.5"),
        min_length=1,
        description="Conditions of the final report.",
    )
    most: dict[Literal["validation", "calibration", "test"], Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict,
        description="Most faces of each source, label and generator of a split that are predicted "
        "after the training; splits left out: all faces.",
    )


class Recipe(Record):
    """All that decides a training."""

    seed: int = Field(default=0, ge=0, description="Seed of all random draws.")
    data: DataRecipe = Field(description="The prepared data set, and how often its rows are drawn.")
    resolution: ResolutionRecipe | None = Field(
        default=None,
        description="One distribution of face widths for both classes; left out: pictures keep "
        "their size.",
    )
    made: dict[str, MadeRecipe] = Field(
        default_factory=dict, description="Fakes that are made before the first step, by forgery."
    )
    forgeries: dict[str, Chance] = Field(
        default_factory=dict,
        description="Shares of all draws that are made into fakes while training, by forgery.",
    )
    stages: tuple[StageRecipe, ...] = Field(default=(), description="What changes from a step on.")
    network: NetworkRecipe = Field(
        default_factory=lambda: NetworkRecipe.model_validate({}),
        description="The network, what it starts from, and which of its weights learn.",
    )
    augment: AugmentRecipe = Field(
        default=AugmentRecipe(), description="What is done to a training picture."
    )
    schedule: ScheduleRecipe = Field(default=ScheduleRecipe(), description="How long.")
    optimizer: OptimizerRecipe = Field(default=OptimizerRecipe(), description="Optimiser and loss.")
    adversarial: AdversarialRecipe = Field(
        default=AdversarialRecipe(), description="Training on attacked pictures."
    )
    distil: _DistilRecipe = Field(
        default=_DistilRecipe(), description="Another detector to learn from."
    )
    device: DeviceRecipe = Field(default=DeviceRecipe(), description="Where it runs.")
    calibration: CalibrationRecipe = Field(
        default=CalibrationRecipe(),
        description="How probabilities are calibrated, and which promises are made.",
    )
    export: _ExportRecipe = Field(
        description="The detector's name, and the conditions of its final report."
    )

    @model_validator(mode="after")
    def _stages_ascend(self) -> Self:
        steps = [stage.from_step for stage in self.stages]
        if steps != sorted(set(steps)):
            raise ValueError(f"stages begin at steps {steps}: each must begin after the one before")
        if self.schedule.steps == 0 and self.network.starting_weights is None:
            raise ValueError("schedule.steps = 0 trains nothing: name network.starting_weights")
        if self.export.replaces and not self.calibration.families:
            raise ValueError("export.replaces compares families: add calibration.families")
        if (self.stages or self.forgeries) and self.resolution is None:
            raise ValueError("stages and forgeries need a section [resolution]")
        if self.data.shares and self.resolution is None:
            raise ValueError("data.shares needs a section [resolution]")
        return self


#: Keys of the preparation that a recipe once contained, and what replaces them.
_REMOVED_KEYS = ("data.sources", "data.root", "data.split_seed")
_SUCCESSOR = "run `faceproof data import`, `split`, `prepare`, and name the folder as data.prepared"


def read_recipe(path: Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Return the recipe of a TOML file with ``key.path=value`` overrides applied.

    Raises:
        RecipeError: naming the key at fault and the nearest right one.
    """
    try:
        content = tomllib.loads(decode_text(path.read_bytes(), "it"))
    except (OSError, tomllib.TOMLDecodeError, UsageError) as error:
        raise RecipeError(f"{path} cannot be read as a recipe: {error}") from error
    written = dict(apply_override(content, override) for override in overrides)
    try:
        recipe = _validate(content, written)
    except ValidationError as error:
        raise RecipeError(f"{path}: {_explain(error)}") from error
    return name_overrides(recipe, overrides)


def _validate(content: dict[str, Any], written: Mapping[Place, str]) -> Recipe:
    """Return the recipe; where text is wanted, ``--set export.version=2.0`` means the text."""
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        texts = {fault["loc"] for fault in error.errors() if fault["type"] == "string_type"}
        if texts.isdisjoint(written):
            raise
    for place in texts & written.keys():
        section: Any = content
        for part in place[:-1]:
            section = section[part]
        section[place[-1]] = written[place]
    return Recipe.model_validate(content)


def _explain(error: ValidationError) -> str:
    """Return one fault in words, a misspelt key before any other, with the nearest right one."""
    faults = error.errors()
    faults.sort(key=lambda one: ".".join(map(str, one["loc"])) not in _REMOVED_KEYS)
    fault = next((one for one in faults if one["type"] == "extra_forbidden"), faults[0])
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] != "extra_forbidden":
        return f"{where}: {fault['msg'].removeprefix('Value error, ')}"
    if where in _REMOVED_KEYS:
        return f"{where} is not a key any more: {_SUCCESSOR}"
    *section, key = (str(part) for part in fault["loc"])
    guess = did_you_mean(key, list(_record_at(section).model_fields)) or did_you_mean(
        key, list(_keys(Recipe))
    )
    return f"{where} is no key of a recipe{guess}"


def _record_at(section: list[str]) -> type[Record]:
    """Return the Record that a section of the recipe is read into."""
    record: type[Record] = Recipe
    for part in section:
        # The number of a stage is no field.
        if part in record.model_fields:
            record = record_in(record.model_fields[part].annotation) or record
    return record


def recipe_keys(record: type[Record] | None = None) -> Iterator[str]:
    """Yield the keys that hold one value: ``seed``, ``schedule.steps``; none in tables of names."""
    for name, field in (record or Recipe).model_fields.items():
        section = record_in(field.annotation)
        if section is None:
            yield name
        elif get_origin(field.annotation) not in (dict, tuple):
            yield from (f"{name}.{key}" for key in recipe_keys(section))


def _keys(record: type[Record]) -> Iterator[str]:
    """Yield every key that may stand in a recipe, with its sections: ``schedule.steps``."""
    for name, field in record.model_fields.items():
        yield name
        if section := record_in(field.annotation):
            yield from (f"{name}.{key}" for key in _keys(section))


def record_in(kind: Any) -> type[Record] | None:
    """Return the Record that a field holds, alone, in a tuple or instead of None."""
    return next((one for one in (kind, *get_args(kind)) if _is_record(one)), None)


def _is_record(kind: Any) -> TypeGuard[type[Record]]:
    return isinstance(kind, type) and issubclass(kind, Record)
