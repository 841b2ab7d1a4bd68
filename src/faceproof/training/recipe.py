"""The recipe: one TOML file that decides a training, read into closed Records."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeGuard, get_args

from pydantic import AfterValidator, Field, ValidationError, model_validator

from faceproof.data.prepare import PrepareSpec, SourceSpec
from faceproof.data.public import LAYOUTS
from faceproof.detector.findings import Text
from faceproof.detector.spec import Name
from faceproof.errors import RecipeError, UnknownChoiceError
from faceproof.imaging.degradations import DEGRADATIONS
from faceproof.imaging.preprocessing import Preprocessing
from faceproof.networks.heads import HeadSpec
from faceproof.records import Record
from faceproof.tables import choose, nearest


def _named_in(table: Mapping[str, object], what: str) -> Callable[[str], str]:
    """Return a check that a name stands in ``table``: told now, not after hours of training."""

    def check(name: str) -> str:
        try:
            choose(table, name, what=what)
        except UnknownChoiceError as error:
            raise ValueError(str(error)) from error
        return name

    return check


Condition = Annotated[str, AfterValidator(_named_in(DEGRADATIONS, "condition"))]
LayoutName = Annotated[str, AfterValidator(_named_in(LAYOUTS, "layout"))]
Place = tuple[str | int, ...]
Share = Annotated[float, Field(gt=0, lt=1)]


class TrainingSource(SourceSpec):
    """One public set and its share of what the network sees in training."""

    layout: LayoutName
    share: float = Field(gt=0)


class DataRecipe(Record):
    """Where pictures lie, which are taken, and the licence of a detector made of them.

    Without ``sources``, ``prepared`` is a folder that `faceproof data prepare` has made.
    """

    root: Path = Path("data/raw")
    prepared: Path = Path("data/prepared")
    licence: Text
    sources: dict[str, TrainingSource] = Field(default_factory=dict)
    split_seed: int = 0

    def prepare_spec(self) -> PrepareSpec:
        """Return what decides the prepared data set."""
        plain = {
            name: SourceSpec(layout=source.layout, real=source.real, fake=source.fake)
            for name, source in self.sources.items()
        }
        return PrepareSpec(sources=plain, seed=self.split_seed)


class NetworkRecipe(Record):
    """The network, what it starts from and what it is shown."""

    name: str = "densenet121"
    head: HeadSpec = HeadSpec()
    preprocessing: Preprocessing = Preprocessing()
    starting_weights: str | None = None
    started_from: Text = "random initialisation"
    started_from_licence: Text = "none"
    batch_norm_pictures: int = Field(default=1024, ge=0)


class AugmentRecipe(Record):
    """Chances and strengths of what is done to a training picture; all drawn per picture."""

    history_steps: int = Field(default=3, ge=0, le=8)
    self_blend: float = Field(default=0.05, ge=0, le=1)
    swap: float = Field(default=0.03, ge=0, le=1)
    cut: float = Field(default=0.3, ge=0, le=1)
    flip: float = Field(default=0.5, ge=0, le=1)
    colour: float = Field(default=0.4, ge=0, le=1)
    grey: float = Field(default=0.03, ge=0, le=1)
    blur: float = Field(default=0.1, ge=0, le=1)
    noise: float = Field(default=0.1, ge=0, le=1)
    shift: float = Field(default=0.03, ge=0, le=0.3)
    scale: float = Field(default=0.08, ge=0, le=0.5)
    turn_degrees: float = Field(default=5.0, ge=0, le=180)


class ScheduleRecipe(Record):
    """How long, in optimiser steps; the learning rate warms up, then falls as a cosine."""

    steps: int = Field(default=2000, ge=1)
    batch_size: int = Field(default=48, ge=2)
    head_first_steps: int = Field(default=50, ge=0)
    warmup_steps: int = Field(default=150, ge=0)
    validate_steps: int = Field(default=200, ge=1)
    validation_pictures: int = Field(default=1000, ge=2)
    checkpoint_steps: int = Field(default=50, ge=1)


class OptimizerRecipe(Record):
    """AdamW; the backbone learns at a fraction of the head's rate."""

    learning_rate: float = Field(default=1e-3, gt=0)
    backbone_factor: float = Field(default=0.3, gt=0)
    weight_decay: float = Field(default=0.02, ge=0)
    label_smoothing: float = Field(default=0.03, ge=0, lt=0.5)
    clip_norm: float = Field(default=1.0, gt=0)
    average_decay: float = Field(default=0.998, ge=0, lt=1)


class DeviceRecipe(Record):
    """Where it runs; ``precision = "auto"`` is bf16 where the device has it."""

    accelerator: Literal["auto", "cpu", "cuda", "gpu", "mps"] = "auto"
    devices: int = Field(default=1, ge=1)
    precision: Literal["auto", "bf16-mixed", "32-true"] = "auto"
    loader_workers: int = Field(default=1, ge=0)
    threads: int | None = Field(default=None, ge=1)


class CalibrationRecipe(Record):
    """Which conditions calibration looks at, and the false-alarm budgets to promise."""

    conditions: tuple[Condition, ...] = Field(("clean", "jpeg-60", "resize-0.5"), min_length=1)
    budgets: tuple[Share, ...] = Field((0.05, 0.02, 0.01), min_length=1)
    default_budget: Share = 0.01

    @model_validator(mode="after")
    def _the_default_is_a_budget(self) -> Self:
        if self.default_budget not in self.budgets:
            raise ValueError(f"default_budget {self.default_budget} is none of {self.budgets}")
        return self


class ExportRecipe(Record):
    """The detector's name, the command that makes it, and the conditions of its final report."""

    name: Name
    version: Name
    command: str = "faceproof train RECIPE.toml"
    notes: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = Field(("clean", "jpeg-60", "resize-0.5"), min_length=1)


class Recipe(Record):
    """All that decides a training."""

    seed: int = Field(default=0, ge=0)
    data: DataRecipe
    network: NetworkRecipe = NetworkRecipe()
    augment: AugmentRecipe = AugmentRecipe()
    schedule: ScheduleRecipe = ScheduleRecipe()
    optimizer: OptimizerRecipe = OptimizerRecipe()
    device: DeviceRecipe = DeviceRecipe()
    calibration: CalibrationRecipe = CalibrationRecipe()
    export: ExportRecipe


def read_recipe(path: Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Return the recipe of a TOML file with ``key.path=value`` overrides applied.

    Raises:
        RecipeError: naming the key at fault and the nearest right one.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} cannot be read as a recipe: {error}") from error
    written = dict(_override(content, override) for override in overrides)
    try:
        return _validated(content, written)
    except ValidationError as error:
        raise RecipeError(f"{path}: {_explain(error)}") from error


def _override(content: dict[str, Any], override: str) -> tuple[Place, str]:
    """Set one ``section.key=value``, and return the key's parts and the value as written.

    The value is TOML, or text where it is no TOML.
    """
    key, equals, value = override.partition("=")
    if not equals:
        raise RecipeError(f"--set {override}: write it as section.key=value")
    place = tuple(key.strip().split("."))
    for section in place[:-1]:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise RecipeError(f"--set {override}: {section!r} is no section")
    content[place[-1]] = _toml_value(value)
    return place, value.strip()


def _validated(content: dict[str, Any], written: Mapping[Place, str]) -> Recipe:
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


def _toml_value(text: str) -> Any:
    """Return the TOML value of ``text``, or the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(error: ValidationError) -> str:
    """Return one fault in words, a misspelt key before any other, with the nearest right one."""
    faults = error.errors()
    fault = next((one for one in faults if one["type"] == "extra_forbidden"), faults[0])
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] != "extra_forbidden":
        return f"{where}: {fault['msg'].removeprefix('Value error, ')}"
    *section, key = (str(part) for part in fault["loc"])
    guess = nearest(key, list(_record_at(section).model_fields)) or nearest(
        key, list(_keys(Recipe))
    )
    return f"{where} is no key of a recipe{guess}"


def _record_at(section: list[str]) -> type[Record]:
    """Return the Record that a section of the recipe is read into."""
    kind: Any = Recipe
    for part in section:
        # In a table such as data.sources any key holds the same Record.
        kind = kind.model_fields[part].annotation if _is_record(kind) else get_args(kind)[1]
    record: type[Record] = kind
    return record


def _keys(record: type[Record]) -> Iterator[str]:
    """Yield every key that may stand in a recipe, with its sections: ``schedule.steps``."""
    for name, field in record.model_fields.items():
        yield name
        if _is_record(field.annotation):
            yield from (f"{name}.{key}" for key in _keys(field.annotation))


def _is_record(kind: Any) -> TypeGuard[type[Record]]:
    return isinstance(kind, type) and issubclass(kind, Record)
