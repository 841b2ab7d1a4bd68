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

# In Rust's patterns, as in those of JSON Schema, $ matches only at the very end of a text.
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Field(min_length=1, max_length=2_000)]


class Finding(VersionedRecord):
    """A metric's value with its interval ``[low, high]``, on ``n`` pictures of hashed data."""

    ADDED_FIELDS = frozenset({"caution"})
    metric: Text = Field(
        description="Name of the metric, with its operating point after an @ if it needs one."
    )
    value: float = Field(description="Measured value.")
    low: float = Field(description="Lower end of the 95 % interval.")
    high: float = Field(description="Upper end of the 95 % interval.")
    n: int = Field(ge=1, description="Number of faces.")
    condition: Text = Field(
        default="clean", description="Degradation of the pictures: clean, jpeg-60 ..."
    )
    slice: Text = Field(default="all", description="Counted subset: all, source=dfdc ...")
    data_sha256: Sha256 = Field(description="SHA-256 of the data that it was measured on.")
    caution: Text | None = Field(default=None, description="Warning to read with the value.")

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
    data_sha256: Sha256 = Field(description="SHA-256 of the data.")
    split: Literal["calibration", "validation"] = Field(
        default="calibration", description="Split of the data; never test."
    )
    n: int = Field(ge=1, description="Number of faces.")
    groups: int | None = Field(
        default=None, ge=1, description="Number of groups of the faces; null if unknown."
    )


class OperatingPoint(VersionedRecord):
    """Two thresholds, the promise in words, its budget and its calibration data."""

    ADDED_FIELDS = frozenset({"apcer_budget", "basis"})
    name: Text = Field(description="Name of the operating point.")
    real_below: Probability = Field(description="Real below this probability.")
    fake_from: Probability = Field(
        description="Fake from this probability on; unsure between the two."
    )
    promise: Text = Field(description="The promise in words.")
    bpcer_budget: Probability | None = Field(
        default=None,
        description="Promised share of real faces called fake (BPCER in the sense of ISO/IEC "
        "30107-3); null for a promise of another kind.",
    )
    apcer_budget: Probability | None = Field(
        default=None, description="Promised share of fakes called real."
    )
    basis: Text | None = Field(
        default=None, description="In which sense the promise holds for new faces."
    )
    chosen_on: ChosenOn = Field(description="Data that the thresholds were chosen on.")

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

    name: Text = Field(description="Name that the operating point would have.")
    bpcer_budget: Probability = Field(
        description="Share of real faces called fake that was asked for."
    )
    reason: Text = Field(
        description="Why the data does not support it, and the data that it needs."
    )


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

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Split = Literal["train", "validation", "calibration", "test"]
Count = Annotated[int, Field(ge=0)]


def _file_name_type(suffix: str) -> object:
    """Return the type of a plain file name with this suffix: no folder, no drive, no dot file."""
    return Field(pattern=rf"^[A-Za-z0-9][A-Za-z0-9._-]{{0,99}}\.{suffix}$")


class WeightsFile(Record):
    """A safetensors file, with the SHA-256 of its content."""

    name: Annotated[str, _file_name_type("safetensors")] = Field(
        description="Name of the file in the folder."
    )
    sha256: Sha256 = Field(description="SHA-256 of its content.")


class OnnxFile(VersionedRecord):
    """An ONNX file, with the SHA-256 of its content and the method of its heat maps, if any."""

    ADDED_FIELDS = frozenset({"heatmap"})
    name: Annotated[str, _file_name_type("onnx")] = Field(
        description="Name of the file in the folder."
    )
    sha256: Sha256 = Field(description="SHA-256 of its content.")
    heatmap: Literal["grad-cam"] | None = Field(
        default=None, description="Method of its heat maps; null if it has none."
    )


class CardFile(Record):
    """A Markdown file, with the SHA-256 of its content."""

    name: Annotated[str, _file_name_type("md")] = Field(
        description="Name of the file in the folder."
    )
    sha256: Sha256 = Field(description="SHA-256 of its content.")


File = WeightsFile | OnnxFile | CardFile


class Member(VersionedRecord):
    """One network of the detector, its two files and its weight in the mean of logits."""

    ADDED_FIELDS = frozenset({"input"})
    name: Name = Field(description="Name of the member.")
    network: Text = Field(description="Architecture, an entry of the table of networks.")
    head: HeadSpec = Field(
        default=HeadSpec(), description="Head between the features and the logit."
    )
    weight: float = Field(default=1.0, gt=0, description="Weight in the mean of the logits.")
    weights: WeightsFile = Field(description="File of the weights.")
    onnx: OnnxFile = Field(description="File of the network that runs.")
    input: InputSpec | None = Field(
        default=None, description="Its own normalisation; null: the detector's."
    )


class TrainingData(Record):
    """The manifest that the detector was trained on, by hash, with its rows in each split."""

    data_sha256: Sha256 = Field(description="SHA-256 of the manifest.")
    rows: dict[Split, Count] = Field(description="Rows of each split.")


class StartingPoint(Record):
    """The weights that training started from, and their licence."""

    name: Text = Field(description="Name of the weights.")
    licence: Text = Field(description="Licence of the weights.")
    source: str = Field(default="", description="Where they are from.")
    sha256: Sha256 | None = Field(default=None, description="SHA-256 of the file.")


class Audited(Record):
    """The audits whose results are in the card, their data, and the detector that they judged."""

    detector_sha256: Sha256 = Field(
        description="SHA-256 of detector.json before it named this card; the networks are the same."
    )
    data_sha256: Sha256 = Field(description="SHA-256 of the data of the audits.")
    audits: tuple[Text, ...] = Field(description="Names of the audits.")


class DetectorSpec(VersionedRecord):
    """The description of a detector; with the files that it names it is a bundle."""

    ADDED_FIELDS = frozenset({"audited", "unsupported"})
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    schema_: Literal["faceproof.detector/1"] = Field(
        default=SCHEMA, alias="schema", description="Name and version of this format."
    )
    name: Name = Field(description="Name of the detector.")
    version: Name = Field(description="Version of the detector.")
    positive_class: Literal["fake"] = Field(
        default="fake", description="Class whose probability is given."
    )
    members: tuple[Member, ...] = Field(
        min_length=1,
        max_length=64,
        description="Its networks; a single network is an ensemble of one.",
    )
    preprocessing: Preprocessing = Field(
        description="All steps from a picture to the input of a network."
    )
    calibration: Calibration = Field(description="From the mean of the logits to a probability.")
    operating_points: dict[str, OperatingPoint] = Field(
        min_length=1, description="Thresholds and their promises, by name."
    )
    default_operating_point: str = Field(
        description="Operating point that applies unless another is chosen."
    )
    unsupported: tuple[Unsupported, ...] = Field(
        default=(), description="Promises that the calibration split could not support."
    )
    trained_on: TrainingData = Field(description="Data that it was trained on.")
    generators_seen: tuple[Text, ...] = Field(
        description="Generators of the fakes that it was trained on."
    )
    started_from: tuple[StartingPoint, ...] = Field(
        default=(), description="Weights that training started from."
    )
    results: tuple[Finding, ...] = Field(
        default=(), description="Measured results, each with its interval."
    )
    audited: Audited | None = Field(
        default=None, description="The audits whose results are in the card."
    )
    licence: Text = Field(description="Licence of the weights.")
    notes: tuple[str, ...] = Field(default=(), description="Notes on its card.")
    card: CardFile | None = Field(default=None, description="Its card, in Markdown.")

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
