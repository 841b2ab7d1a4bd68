"""The recipe: all that decides a training, in closed Records, read from TOML and ``--set``."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeGuard, get_args

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from faceproof.detector.spec import Name
from faceproof.errors import RecipeError, UnknownChoiceError, UsageError
from faceproof.imaging.degradations import DEGRADATIONS
from faceproof.imaging.preprocessing import Preprocessing
from faceproof.networks import input_defaults
from faceproof.networks.heads import HeadSpec
from faceproof.records import Record
from faceproof.sources import refuse_utf16
from faceproof.tables import choose, did_you_mean
from faceproof.training.origins import Statement
from faceproof.training.overrides import Place, apply_override, name_overrides
from faceproof.training.promises import COARSE, LADDER


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
_AUTO = BeforeValidator(lambda value: None if value == "auto" else value)
_Chance = Annotated[float, Field(ge=0, le=1)]


class DataRecipe(Record):
    """The prepared data set, how often its rows are drawn, and the licence of a detector of it.

    ``prepared`` is a folder that `faceproof data prepare` has made. ``balance`` evens out what is
    drawn in training, one inside of the other; empty, the prepared weights apply. ``reading``
    chooses between picture files and shards.
    ``shares`` are the shares of the sources of a prepared folder, for `ResolutionRecipe`;
    ``allow_shortcuts`` trains although the stream's shortcut report refuses it.
    """

    prepared: Path = Path("data/prepared")
    licence: Statement
    shares: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    allow_shortcuts: bool = False
    balance: tuple[Literal["class", "generator", "source"], ...] = ()
    reading: Literal["files", "shards"] = "files"


class ResolutionRecipe(Record):
    """One distribution of face widths for both classes, in px; even on a logarithmic scale.

    A face is as wide as the side of the square that a crop without margin shows. ``own_width`` is
    the share of a source's draws that keep the width they have, for sources whose two classes
    share one distribution. The pictures of ``fixed_width`` exist at one width only.
    """

    narrowest: float = Field(default=72, ge=16)
    widest: float = Field(default=320, le=1024)
    own_width: dict[str, _Chance] = Field(default_factory=dict)
    fixed_width: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _require_ascending(self) -> Self:
        if self.narrowest >= self.widest:
            raise ValueError(f"narrowest {self.narrowest:g} is not below widest {self.widest:g}")
        return self


class MadeRecipe(Record):
    """How many fakes of one forgery are made before the first step and kept in ``data.prepared``.

    ``counts`` is how many are made for each split, of its own real faces. ``widest`` is the widest
    face in px: the time of a round trip grows with its area. ``autoencoder`` is for forgeries that
    need one, and ``latent_noise`` the largest standard deviation of the noise on its latents.
    """

    autoencoder: Path | None = None
    widest: float = Field(default=200, ge=32)
    counts: dict[Literal["train", "validation", "calibration", "test"], int]
    latent_noise: float = Field(default=0.1, ge=0, le=1)
    threads: int = Field(default=1, ge=1)


class StageRecipe(Record):
    """What changes from a step on; what is not named stays as it was before that step.

    ``strength`` multiplies the chances of augmentation, from 0 (none) to 1 (as `AugmentRecipe`
    has them). ``forgeries`` are shares of all draws.
    """

    from_step: int = Field(ge=0)
    shares: dict[str, Annotated[float, Field(gt=0)]] | None = None
    forgeries: dict[str, _Chance] | None = None
    strength: float | None = Field(default=None, ge=0, le=1)


class _NetworkRecipe(Record):
    """The network, what it starts from, what it is shown and which of its weights learn.

    What ``preprocessing`` leaves open (side, mean, deviation) is what the network was made for.
    ``started_from`` and ``started_from_licence`` are only for files that do not state their origin
    (`origins.resolve_origin`); left out, or "auto", name and licence are those of the weights.
    ``trainable`` is an entry of `networks.TRAINABLE`. ``batch_norm_pictures`` are the training
    faces whose statistics batch norm starts with; ``precise`` measures them again before each
    validation, ``train`` leaves them to follow the batches (``batch_norm_momentum`` is how fast),
    and ``frozen`` keeps the backbone's as they are at the start.
    """

    name: str = "densenet121"
    head: HeadSpec = HeadSpec()
    preprocessing: Preprocessing
    starting_weights: str | None = None
    started_from: Annotated[Statement | None, _AUTO] = None
    started_from_licence: Annotated[Statement | None, _AUTO] = None
    trainable: Literal["all", "head", "head_and_norms"] = "all"
    batch_norm: Literal["precise", "train", "frozen"] = "precise"
    batch_norm_momentum: float = Field(default=0.1, gt=0, le=1)
    batch_norm_pictures: int = Field(default=512, ge=0)

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


class AugmentRecipe(Record):
    """Chances and strengths of what is done to a training picture; all drawn per picture.

    ``mixup`` and ``cutmix`` are chances per batch, and ``mix_alpha`` both parameters of the Beta
    distribution that draws their share. ``save`` is the chance of one save at the drawn width, and
    ``save_quality`` the range of its JPEG or WebP quality.
    """

    history_steps: int = Field(default=3, ge=0, le=8)
    save: _Chance = 0.0
    save_quality: tuple[int, int] = (50, 96)
    self_blend: _Chance = 0.05
    swap: _Chance = 0.03
    reconstruct: _Chance = 0.0
    cut: _Chance = 0.3
    flip: _Chance = 0.5
    colour: _Chance = 0.4
    grey: _Chance = 0.03
    blur: _Chance = 0.1
    noise: _Chance = 0.1
    shift: float = Field(default=0.03, ge=0, le=0.3)
    scale: float = Field(default=0.08, ge=0, le=0.5)
    turn_degrees: float = Field(default=5.0, ge=0, le=180)
    mixup: _Chance = 0.0
    cutmix: _Chance = 0.0
    mix_alpha: float = Field(default=0.3, gt=0)

    @model_validator(mode="after")
    def _chances_add_up(self) -> Self:
        for names in (("self_blend", "swap", "reconstruct"), ("mixup", "cutmix")):
            if sum(getattr(self, name) for name in names) > 1:
                raise ValueError(f"{', '.join(names)} exclude one another: together at most 1")
        return self


class ScheduleRecipe(Record):
    """How long, in optimiser steps, or in ``epochs``: the training faces seen that often.

    The learning rate warms up, then follows ``shape``: half a cosine, constant, or a tenth from
    each share of ``falls_at`` on. The backbone rests for ``head_first_steps``, then its stages thaw
    one after another, the last first, over ``thaw_steps``. ``patience`` is the number of
    validations without a better one that ends the training; 0 means none does. ``keep`` says
    whether the best validation's weights become the detector, or the last ones. ``snapshots``
    keeps the weights of every validation, in half precision (`run.snapshots`).
    """

    steps: int = Field(default=2000, ge=1)
    epochs: float | None = Field(default=None, gt=0)
    batch_size: int = Field(default=48, ge=2)
    accumulate: int = Field(default=1, ge=1)
    shape: Literal["cosine", "constant", "step"] = "cosine"
    falls_at: tuple[Share, ...] = (0.5, 0.75)
    head_first_steps: int = Field(default=50, ge=0)
    thaw_steps: int = Field(default=0, ge=0)
    warmup_steps: int = Field(default=150, ge=0)
    validate_steps: int = Field(default=200, ge=1)
    validation_pictures: int = Field(default=1000, ge=2)
    patience: int = Field(default=0, ge=0)
    keep: Literal["best", "last"] = "best"
    snapshots: bool = False
    checkpoint_steps: int = Field(default=50, ge=1)


class OptimizerRecipe(Record):
    """Optimiser and loss; the backbone learns at a fraction of the head's rate.

    ``layer_decay`` slows each stage before the last one once more. ``cvar`` is the share of each
    batch, the worst, whose mean loss is learned from; 1 means all. ``sam_radius`` is the radius of
    sharpness-aware minimisation; 0 means without.
    """

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: float = Field(default=1e-3, gt=0)
    backbone_factor: float = Field(default=0.3, gt=0)
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    weight_decay: float = Field(default=0.02, ge=0)
    loss: Literal["cross_entropy", "focal"] = "cross_entropy"
    focal_gamma: float = Field(default=2.0, ge=0)
    label_smoothing: float = Field(default=0.03, ge=0, lt=0.5)
    cvar: float = Field(default=1.0, gt=0, le=1)
    sam_radius: float = Field(default=0.0, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    average_decay: float = Field(default=0.998, ge=0, lt=1)


class AdversarialRecipe(Record):
    """Attacks on a share of each batch; ``budget`` and ``step`` are grey levels of 0..255."""

    share: _Chance = 0.0
    attack: Literal["fgsm", "pgd"] = "pgd"
    budget: float = Field(default=2.0, gt=0, le=64)
    steps: int = Field(default=3, ge=1, le=100)
    step: float = Field(default=1.0, gt=0, le=64)


class _DistilRecipe(Record):
    """Another detector to learn from: ``teacher`` is a bundle; ``weight`` its part of the loss.

    ``follow`` says whether it is followed always, or only where it is right about the picture.
    """

    teacher: str | None = None
    weight: _Chance = 0.5
    follow: Literal["always", "where_right"] = "always"
    temperature: float = Field(default=2.0, gt=0)


class DeviceRecipe(Record):
    """Where it runs; ``precision = "auto"`` is bf16 where the device has it."""

    accelerator: Literal["auto", "cpu", "cuda", "gpu", "mps"] = "auto"
    devices: int = Field(default=1, ge=1)
    nodes: int = Field(default=1, ge=1)
    precision: Literal["auto", "bf16-mixed", "32-true"] = "auto"
    loader_workers: int = Field(default=1, ge=0)
    threads: int | None = Field(default=None, ge=1)


class CalibrationRecipe(Record):
    """How probabilities are calibrated, under which conditions, and which promises are made.

    ``budgets`` are shares of real faces called fake. Named ones are kept or refused; left out, or
    "auto", those of `promises.LADDER` that the data supports are used (or else of `COARSE`), and
    the others logged. ``default_budget`` is that of the default operating point; left out,
    `promises.default_share` says. ``families`` pool sources of real faces (name to sources): a
    budget then holds for each with enough calibration groups; the promise names the others.
    """

    method: Literal["best", "temperature", "platt", "isotonic"] = "best"
    conditions: tuple[_Condition, ...] = Field(("clean", "jpeg-60", "resize-0.5"), min_length=1)
    budgets: Annotated[tuple[Share, ...] | None, _AUTO] = Field(None, min_length=1)
    default_budget: Annotated[Share | None, _AUTO] = None
    families: dict[str, tuple[str, ...]] = Field(default_factory=dict)

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
    """The detector's name, the command that makes it, and the conditions of its final report.

    A detector with more false alarms in any of ``calibration.families``, on validation, than
    ``replaces`` (a detector's name or folder) is refused.
    """

    name: Name
    version: Name
    command: str = "faceproof train RECIPE.toml"
    notes: tuple[str, ...] = ()
    replaces: str | None = None
    conditions: tuple[_Condition, ...] = Field(("clean", "jpeg-60", "resize-0.5"), min_length=1)


class Recipe(Record):
    """All that decides a training."""

    seed: int = Field(default=0, ge=0)
    data: DataRecipe
    resolution: ResolutionRecipe | None = None
    made: dict[str, MadeRecipe] = Field(default_factory=dict)
    forgeries: dict[str, _Chance] = Field(default_factory=dict)
    stages: tuple[StageRecipe, ...] = ()
    network: _NetworkRecipe = Field(default_factory=lambda: _NetworkRecipe.model_validate({}))
    augment: AugmentRecipe = AugmentRecipe()
    schedule: ScheduleRecipe = ScheduleRecipe()
    optimizer: OptimizerRecipe = OptimizerRecipe()
    adversarial: AdversarialRecipe = AdversarialRecipe()
    distil: _DistilRecipe = _DistilRecipe()
    device: DeviceRecipe = DeviceRecipe()
    calibration: CalibrationRecipe = CalibrationRecipe()
    export: _ExportRecipe

    @model_validator(mode="after")
    def _stages_ascend(self) -> Self:
        steps = [stage.from_step for stage in self.stages]
        if steps != sorted(set(steps)):
            raise ValueError(f"stages begin at steps {steps}: each must begin after the one before")
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
        data = path.read_bytes()
        refuse_utf16(data, "it")
        content = tomllib.loads(data.decode("utf-8-sig"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, UsageError) as error:
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
            record = _record_in(record.model_fields[part].annotation) or record
    return record


def _keys(record: type[Record]) -> Iterator[str]:
    """Yield every key that may stand in a recipe, with its sections: ``schedule.steps``."""
    for name, field in record.model_fields.items():
        yield name
        if section := _record_in(field.annotation):
            yield from (f"{name}.{key}" for key in _keys(section))


def _record_in(kind: Any) -> type[Record] | None:
    """Return the Record that a field holds, alone, in a tuple or instead of None."""
    return next((one for one in (kind, *get_args(kind)) if _is_record(one)), None)


def _is_record(kind: Any) -> TypeGuard[type[Record]]:
    return isinstance(kind, type) and issubclass(kind, Record)
