"""DetectorSpec: the Records of ``detector.json``, a detector's description of itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from faceproof.detector.calibration import Calibration
from faceproof.imaging.preprocessing import InputSpec, Preprocessing
from faceproof.messages import count_noun
from faceproof.networks.heads import HeadSpec
from faceproof.records import Record, VersionedRecord
from faceproof.tables import choose

Sha256 = Annotated[str, Field(pattern=r"\A[0-9a-f]{64}\z")]
Text = Annotated[str, Field(min_length=1, max_length=2_000)]


class Finding(VersionedRecord):
    """A metric's value with its interval ``[low, high]``, on ``n`` pictures of hashed data.

    ``condition`` is the degradation of the pictures ("clean", "jpeg-60"), ``slice`` the counted
    subset ("all", "source=dfdc"), ``caution`` a warning to read with the value.
    """

    ADDED_FIELDS = frozenset({"caution"})
    metric: Text
    value: float
    low: float
    high: float
    n: int = Field(ge=1)
    condition: Text = "clean"
    slice: Text = "all"
    data_sha256: Sha256
    caution: Text | None = None

    def _summarise(self) -> str:
        interval = f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}], n {self.n:,}"
        return f"{self.metric} {interval}, {self.slice}, {self.condition}"

    @model_validator(mode="after")
    def _interval_is_ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"{self.metric}: low {self.low} is above high {self.high}")
        return self


Verdict = Literal["real", "fake", "unsure"]
Probability = Annotated[float, Field(ge=0, le=1)]


class ChosenOn(VersionedRecord):
    """The data that thresholds were chosen on; never the test split."""

    ADDED_FIELDS = frozenset({"groups"})
    data_sha256: Sha256
    split: Literal["calibration", "validation"] = "calibration"
    n: int = Field(ge=1)
    groups: int | None = Field(default=None, ge=1)
    """Number of groups of the faces, None if unknown."""


class OperatingPoint(VersionedRecord):
    """Two thresholds, the promise in words, its budget and its calibration data.

    ``bpcer_budget`` is the promised share of real faces called fake (BPCER in the sense of ISO/IEC
    30107-3), or None for a promise of another kind. ``apcer_budget`` is that of fakes called real.
    ``basis`` is the sense in which the promise holds for new faces.
    """

    ADDED_FIELDS = frozenset({"apcer_budget", "basis"})
    name: Text
    real_below: Probability
    fake_from: Probability
    promise: Text
    bpcer_budget: Probability | None = None
    apcer_budget: Probability | None = None
    basis: Text | None = None
    chosen_on: ChosenOn

    def _summarise(self) -> str:
        thresholds = f"real below {self.real_below:.4g}, fake from {self.fake_from:.4g}"
        return f"{self.name}: {thresholds}; {self.promise.partition(';')[0]}"

    @model_validator(mode="after")
    def _thresholds_are_ordered(self) -> Self:
        if self.real_below > self.fake_from:
            raise ValueError(f"real_below {self.real_below} is above fake_from {self.fake_from}")
        return self


class Unsupported(Record):
    """A promise that the calibration split cannot support, and the data that it needs."""

    name: Text
    bpcer_budget: Probability
    reason: Text


def decide(fake_probability: float, point: OperatingPoint) -> Verdict:
    """Return fake at or above the upper threshold, real below the lower one, else unsure.

    Raises:
        ValueError: the number is not a probability.
    """
    if not 0.0 <= fake_probability <= 1.0:
        raise ValueError(f"{fake_probability} is not a probability")
    if fake_probability >= point.fake_from:
        return "fake"
    return "real" if fake_probability < point.real_below else "unsure"


def picture_probability(face_probabilities: Sequence[float]) -> float | None:
    """Return the picture's probability of fake, the highest of its faces; None without a face.

    >>> picture_probability([0.1, 0.9, 0.3])
    0.9
    >>> picture_probability([]) is None
    True

    Raises:
        ValueError: one of the numbers is NaN.
    """
    if any(math.isnan(p) for p in face_probabilities):
        raise ValueError("a face's probability is NaN")
    return max(face_probabilities, default=None)


SCHEMA: Literal["faceproof.detector/1"] = "faceproof.detector/1"

Name = Annotated[str, Field(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\z")]
Split = Literal["train", "validation", "calibration", "test"]
Count = Annotated[int, Field(ge=0)]


def _file_name_type(suffix: str) -> object:
    """Return the type of a plain file name with this suffix: no folder, no drive, no dot file."""
    return Field(pattern=rf"\A[A-Za-z0-9][A-Za-z0-9._-]{{0,99}}\.{suffix}\z")


class WeightsFile(Record):
    """A safetensors file, with the SHA-256 of its content."""

    name: Annotated[str, _file_name_type("safetensors")]
    sha256: Sha256


class OnnxFile(VersionedRecord):
    """An ONNX file, with the SHA-256 of its content and the method of its heat maps, if any."""

    ADDED_FIELDS = frozenset({"heatmap"})
    name: Annotated[str, _file_name_type("onnx")]
    sha256: Sha256
    heatmap: Literal["grad-cam"] | None = None


class CardFile(Record):
    """A Markdown file, with the SHA-256 of its content."""

    name: Annotated[str, _file_name_type("md")]
    sha256: Sha256


File = WeightsFile | OnnxFile | CardFile


class Member(VersionedRecord):
    """One network of the detector, its two files and its weight in the mean of logits.

    ``input`` is its own normalisation if it differs from the detector's.
    """

    ADDED_FIELDS = frozenset({"input"})
    name: Name
    network: Text
    head: HeadSpec = HeadSpec()
    weight: float = Field(default=1.0, gt=0)
    weights: WeightsFile
    onnx: OnnxFile
    input: InputSpec | None = None


class TrainingData(Record):
    """The manifest that the detector was trained on, by hash, with its rows in each split."""

    data_sha256: Sha256
    rows: dict[Split, Count]


class StartingPoint(Record):
    """The weights that training started from, and their licence."""

    name: Text
    licence: Text
    source: str = ""
    sha256: Sha256 | None = None


class Audited(Record):
    """The audits whose results are in the card, their data, and the detector that they judged.

    ``detector_sha256`` is that of ``detector.json`` before it named this card; the networks are
    the same.
    """

    detector_sha256: Sha256
    data_sha256: Sha256
    audits: tuple[Text, ...]


class DetectorSpec(VersionedRecord):
    """The description of a detector; with the files that it names it is a bundle."""

    ADDED_FIELDS = frozenset({"audited", "unsupported"})
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    schema_: Literal["faceproof.detector/1"] = Field(default=SCHEMA, alias="schema")
    name: Name
    version: Name
    positive_class: Literal["fake"] = "fake"
    members: tuple[Member, ...] = Field(min_length=1, max_length=64)
    preprocessing: Preprocessing
    calibration: Calibration
    operating_points: dict[str, OperatingPoint] = Field(min_length=1)
    default_operating_point: str
    unsupported: tuple[Unsupported, ...] = ()
    trained_on: TrainingData
    generators_seen: tuple[Text, ...]
    started_from: tuple[StartingPoint, ...] = ()
    results: tuple[Finding, ...] = ()
    audited: Audited | None = None
    licence: Text
    notes: tuple[str, ...] = ()
    card: CardFile | None = None

    def _summarise(self) -> str:
        networks = count_noun(len(self.members), "network")
        points = ", ".join(
            f"{name} (default)" if name == self.default_operating_point else name
            for name in self.operating_points
        )
        return f"{self.name} {self.version}: {networks}, operating points {points}"

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        for key, point in self.operating_points.items():
            if key != point.name:
                raise ValueError(f"operating point {key!r} has the name {point.name!r}")
        if self.default_operating_point not in self.operating_points:
            raise ValueError(f"default_operating_point {self.default_operating_point!r} is missing")
        _refuse_repeats("member", [member.name for member in self.members])
        _refuse_repeats("file", [file.name for file in self.files])
        return self

    @property
    def files(self) -> tuple[File, ...]:
        """Every file of the bundle besides detector.json."""
        files: list[File] = [f for member in self.members for f in (member.weights, member.onnx)]
        return (*files, *((self.card,) if self.card else ()))

    def operating_point(self, name: str | None = None) -> OperatingPoint:
        """Return the named operating point, or the default one.

        Raises:
            UnknownChoiceError: no operating point has this name.
        """
        chosen = self.default_operating_point if name is None else name
        return choose(self.operating_points, chosen, what="operating point")

    def preprocessing_of(self, member: Member) -> Preprocessing:
        """Return this member's preprocessing: the crop of the detector, its own normalisation."""
        own = member.input or self.preprocessing.input
        return Preprocessing(crop=self.preprocessing.crop, input=own)

    def to_json(self) -> bytes:
        """Return the bytes of detector.json."""
        return (self.model_dump_json(indent=2, by_alias=True) + "\n").encode()


def _refuse_repeats(what: str, names: list[str]) -> None:
    """Reject two equal names, also those equal on a case-insensitive disk."""
    folded = [name.casefold() for name in names]
    if len(set(folded)) < len(folded):
        repeated = next(name for name in names if folded.count(name.casefold()) > 1)
        raise ValueError(f"{what} {repeated!r} is named twice")
