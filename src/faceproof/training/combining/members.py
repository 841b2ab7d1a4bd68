"""Members of a combined detector: which detectors go together, and the record that joins them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from faceproof.data.manifest import Manifest
from faceproof.detector import Detector, DetectorSpec, Identity, Member, TrainedOn
from faceproof.detector.inputs import crop_difference
from faceproof.errors import UsageError
from faceproof.training.combining.weighting import Weighting

_LONGEST = 60  # of 64 characters that a name may have: the rest tells two of one name apart


@dataclass(frozen=True)
class Source:
    """A detector that is combined: what to call it, and its record.

    ``names`` are those of its members in the whole; a detector that is a combination itself
    brings all of its own, which keep their shares of its weight.
    """

    label: str
    names: tuple[str, ...]
    detector: Detector
    spec: DetectorSpec


def labelled(detectors: Sequence[Detector]) -> list[Source]:
    """Return the detectors with names under which no two of them, or of their members, are one."""
    taken: set[str] = set()
    return [_labelled(detector, taken) for detector in detectors]


def _labelled(detector: Detector, taken: set[str]) -> Source:
    names = tuple(_unlike(member.name, taken) for member in detector.spec.members)
    label = names[0] if len(names) == 1 else _unlike(detector.spec.name, taken)
    return Source(label, names, detector, detector.spec)


def _unlike(name: str, taken: set[str]) -> str:
    """Return the name, or the name with a number, and remember it; case makes no difference."""
    wanted, number = name, 1
    while wanted.casefold() in taken:
        number += 1
        wanted = f"{name[:_LONGEST]}-{number}"
    taken.add(wanted.casefold())
    return wanted


def refuse_unfit(
    sources: Sequence[Source], manifest: Manifest, *, allow_other_data: bool
) -> tuple[str, ...]:
    """Return what a reader must know of the members' data; refuse those that do not go together.

    Raises:
        UsageError: fewer than two detectors, the same one twice, another crop; or, where that is
            not allowed, one that was trained on other data than ``manifest``.
    """
    if len(sources) < 2:
        raise UsageError("a combination takes two detectors or more: name another one")
    _refuse_repeated(sources)
    for source in sources[1:]:
        _refuse_another_crop(sources[0], source)
    strangers = [s for s in sources if s.spec.trained_on.data_sha256 != manifest.sha256]
    if strangers and not allow_other_data:
        raise UsageError(_stranger(strangers[0], manifest))
    return tuple(_caution(source) for source in strangers)


def _refuse_repeated(sources: Sequence[Source]) -> None:
    seen: dict[str, str] = {}
    for source in sources:
        if (twin := seen.setdefault(source.detector.sha256, source.label)) != source.label:
            raise UsageError(
                f"{twin} and {source.label} are the same detector "
                f"({source.detector.bundle.folder.name}): name each once"
            )


def _refuse_another_crop(first: Source, other: Source) -> None:
    crop = first.spec.preprocessing.crop
    if differs := crop_difference(other.spec.preprocessing.crop, crop):
        raise UsageError(
            f"members of one detector read one crop, and {other.label} does not read that of "
            f"{first.label}: {differs}. Train it again with network.preprocessing.crop = "
            f'{{ method = "{crop.method}", size = {crop.size}, margin = {crop.margin}, '
            f"fill = {list(crop.fill)} }}"
        )


def _stranger(source: Source, manifest: Manifest) -> str:
    return (
        f"{source.label} was trained on other data (SHA-256 "
        f"{source.spec.trained_on.data_sha256[:12]}...) than this ({manifest.sha256[:12]}...), and "
        "a bundle does not say whether it has seen faces of this calibration or test split. Name "
        "with --data what all members were trained on; or, where you know that none has seen "
        "these faces, say --allow-other-data"
    )


def _caution(source: Source) -> str:
    return (
        f"{source.label} was trained on other data (SHA-256 "
        f"{source.spec.trained_on.data_sha256}) than these calibration and test faces. Had it "
        "seen any of them, weights, thresholds and results would flatter it"
    )


def merged(
    sources: Sequence[Source],
    weighting: Weighting,
    manifest: Manifest,
    *,
    name: str,
    version: str,
    cautions: Sequence[str] = (),
) -> tuple[DetectorSpec, dict[str, bytes]]:
    """Return the record, not calibrated yet, and the files of the detector of all members.

    A member without weight is left out, and a note says so.
    """
    specs = [source.spec for source in sources]
    files: dict[str, bytes] = {}
    members: list[Member] = []
    for source, weight in zip(sources, weighting.weights, strict=True):
        if weight > 0:
            for member, contents in _members(source, weight, specs[0]):
                members.append(member)
                files |= contents
    spec = DetectorSpec(
        name=name,
        version=version,
        members=tuple(members),
        preprocessing=specs[0].preprocessing,
        calibration=Identity(),
        operating_points=specs[0].operating_points,
        default_operating_point=specs[0].default_operating_point,
        trained_on=TrainedOn(data_sha256=manifest.sha256, rows=manifest.counts()),
        generators_seen=tuple(sorted({name for one in specs for name in one.generators_seen})),
        started_from=tuple(dict.fromkeys(start for one in specs for start in one.started_from)),
        licence=" AND ".join(dict.fromkeys(one.licence for one in specs)),
        notes=(*_notes(sources, weighting), *cautions, *_own_notes(sources)),
    )
    return spec, files


def _members(
    source: Source, weight: float, first: DetectorSpec
) -> Iterator[tuple[Member, dict[str, bytes]]]:
    """Yield the members of one detector as members of the whole, with the bytes of their files."""
    bundle, total = source.detector.bundle, sum(member.weight for member in source.spec.members)
    for name, member in zip(source.names, source.spec.members, strict=True):
        reads = source.spec.preprocessing_of(member).input
        weights = member.weights.model_copy(update={"name": f"{name}.safetensors"})
        onnx = member.onnx.model_copy(update={"name": f"{name}.onnx"})
        own = {
            "name": name,
            "weight": weight * member.weight / total,
            "weights": weights,
            "onnx": onnx,
            "input": None if reads == first.preprocessing.input else reads,
        }
        contents = {
            weights.name: bundle.read_file(member.weights),
            onnx.name: bundle.read_file(member.onnx),
        }
        yield Member.model_validate({**dict(member), **own}), contents


def _notes(sources: Sequence[Source], weighting: Weighting) -> Iterator[str]:
    """Yield what the weights were made of and chosen for."""
    losses = ", ".join(f"{name} {loss:.4f}" for name, loss in weighting.losses.items())
    yield (
        f"Weights of members: {weighting.name}, the best on unseen groups of the calibration "
        f"split by log loss in nats a face ({losses})."
    )
    for source, weight in zip(sources, weighting.weights, strict=True):
        spec = source.spec
        part = f"weight {weight:g}" if weight else "left out: it got no weight"
        yield (
            f"{source.label} is the detector {spec.name} {spec.version} (detector.json SHA-256 "
            f"{source.detector.sha256}), {part}."
        )


def _own_notes(sources: Sequence[Source]) -> Iterator[str]:
    """Yield what each detector's record notes of it."""
    for source in sources:
        yield from (f"{source.label}: {note}" for note in source.spec.notes)
