"""From folders of public pictures to a prepared data set: faces found, history equalised, split.

A prepared data set is a folder: ``manifest.parquet``, ``faces.parquet`` (landmarks of the
largest face), ``pictures/`` and ``problems.jsonl`` (what was left out, and why).
Pictures larger than the common size are reduced to it and saved once as JPEG, as the smaller
sets were: otherwise size and sharpness alone would give the class away.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from pydantic import Field, ValidationError

from faceproof.data.duplicates import clusters, dct_hash_64, near_pairs
from faceproof.data.manifest import Manifest, Row
from faceproof.data.manifest_files import read_manifest, write_manifest
from faceproof.data.public import LAYOUTS, Listed
from faceproof.data.splitting.stratified import assign_splits, unit_hash
from faceproof.errors import FaceproofError
from faceproof.imaging.decode import decode
from faceproof.imaging.degradations import encode_jpeg, resize
from faceproof.imaging.faces import YuNet
from faceproof.pipeline import in_order
from faceproof.records import Record
from faceproof.tables import choose

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
Points = np.ndarray[tuple[int, int], np.dtype[np.float32]]
Progress = Callable[[str], None]

_TOLD_EVERY = 1000
_KERNELS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


class SourceSpec(Record):
    """One public set: how many pictures to take of each class (None: all)."""

    layout: str
    real: int | None = Field(default=None, ge=0)
    fake: int | None = Field(default=None, ge=0)


class PrepareSpec(Record):
    """What decides a prepared data set, together with the files themselves."""

    sources: dict[str, SourceSpec]
    seed: int = 0
    largest_side: int = 256
    quality: int = 75
    near_duplicate_bits: int = 4
    darkest_luma: float = 25.0


@dataclass(frozen=True)
class _Prepared:
    """One usable picture: its row (without split), its largest face and its perceptual hash."""

    row: Row
    landmarks: Points
    perceptual: int


@dataclass(frozen=True)
class _Problem:
    """One picture left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class _Place:
    """Where pictures come from, where they go, and who looks for faces."""

    root: Path
    output: Path
    finder: YuNet


def prepare_data(root: Path, spec: PrepareSpec, output: Path, *, progress: Progress) -> Manifest:
    """Return the manifest of the prepared data set in ``output``, making it where it is missing.

    A data set that was made by an equal ``spec`` is taken as it is, whatever was added to
    ``root`` since: delete ``output`` to prepare it anew.

    Raises:
        ManifestError: a source's folder is missing or empty.
        UnknownChoiceError: there is no such layout.
    """
    stamp = output / "spec.json"
    if _made_by(stamp) == spec:
        return read_manifest(output / "manifest.parquet")
    (output / "pictures").mkdir(parents=True, exist_ok=True)
    # From here on the folder is no data set, until all of it is written again.
    stamp.unlink(missing_ok=True)
    prepared, problems = _all_sources(root, spec, output, progress)
    kept, doubled = _without_duplicates(prepared, spec)
    manifest = Manifest(assign_splits(tuple(item.row for item in kept), seed=spec.seed))
    write_manifest(manifest, output / "manifest.parquet")
    _write_faces(kept, output / "faces.parquet")
    _write_problems([*problems, *doubled], output / "problems.jsonl")
    spec.write(stamp)
    return manifest


def read_faces(path: Path) -> dict[str, Points]:
    """Return path -> landmarks float32 [5, 2] of ``faces.parquet``."""
    from pyarrow import parquet

    table = parquet.read_table(path)
    points = np.asarray(table["landmarks"].to_pylist(), np.float32).reshape(-1, 5, 2)
    return dict(zip(table["path"].to_pylist(), points, strict=True))


def _made_by(stamp: Path) -> PrepareSpec | None:
    """Return what the data set was made by; None where there is none, or by another version."""
    try:
        return PrepareSpec.read(stamp)
    except (FileNotFoundError, ValidationError):
        return None


def _all_sources(
    root: Path, spec: PrepareSpec, output: Path, progress: Progress
) -> tuple[list[_Prepared], list[_Problem]]:
    """Prepare every source in turn."""
    place = _Place(root, output, YuNet())
    prepared: list[_Prepared] = []
    problems: list[_Problem] = []
    for name, source in spec.sources.items():
        listed = list(choose(LAYOUTS, source.layout, what="layout")(root / name))
        chosen = [
            *_chosen(listed, "real", source.real, spec),
            *_chosen(listed, "fake", source.fake, spec),
        ]
        one = partial(_prepare, source=name, spec=spec, place=place)
        results = list(_parallel(one, chosen, name, progress))
        good = [result for result in results if isinstance(result, _Prepared)]
        prepared += good
        problems += [result for result in results if isinstance(result, _Problem)]
        progress(f"{name}: {len(listed)} listed, {len(chosen)} chosen, {len(good)} prepared")
    return prepared, problems


def _parallel(
    function: Callable[[Listed], _Prepared | _Problem],
    items: list[Listed],
    name: str,
    progress: Progress,
) -> Iterator[_Prepared | _Problem]:
    """Yield the results in order; decoding and face finding let go of the interpreter's lock."""
    workers = min(16, os.cpu_count() or 1)
    with closing(in_order(function, items, workers=workers, ahead=8 * workers)) as results:
        for number, result in enumerate(results, start=1):
            if number % _TOLD_EVERY == 0:
                progress(f"{name}: {number} of {len(items)}")
            yield result


def _chosen(
    listed: Iterable[Listed], label: str, most: int | None, spec: PrepareSpec
) -> Iterator[Listed]:
    """Yield at most ``most`` pictures of a class, in an order of their groups' hashes.

    Where a group has several fakes of one original, the first of each group come first.
    """
    of_class = [item for item in listed if (item.generator == "none") == (label == "real")]
    of_class.sort(
        key=lambda item: (int(item.attributes.get("take", 0)), unit_hash(item.group, spec.seed + 1))
    )
    yield from islice(of_class, most)


def _prepare(item: Listed, source: str, spec: PrepareSpec, place: _Place) -> _Prepared | _Problem:
    """Return one picture ready for training, or why it is not."""
    try:
        data = (place.root / item.path).read_bytes()
        picture = decode(data, name=item.path)
    except (FaceproofError, OSError) as error:
        return _Problem(item.path, f"{getattr(error, 'code', 'source_unreadable')}: {error}")
    pixels, suffix = picture.pixels, picture.format.lower().replace("jpeg", "jpg")
    if max(pixels.shape[:2]) > spec.largest_side:
        data, pixels, suffix = *_equalised(pixels, item, spec), "jpg"
    if cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).mean() < spec.darkest_luma:
        return _Problem(item.path, "too dark")
    faces = place.finder.find(pixels)
    if not faces:
        return _Problem(item.path, "no face found")
    digest = hashlib.sha256(data).hexdigest()
    path = f"pictures/{source}/{digest[:2]}/{digest}.{suffix}"
    (place.output / path).parent.mkdir(parents=True, exist_ok=True)
    (place.output / path).write_bytes(data)
    return _Prepared(_row(item, source, path, digest), faces[0].landmarks, dct_hash_64(pixels))


def _row(item: Listed, source: str, path: str, digest: str) -> Row:
    """Return the row of a prepared picture; its split is decided later."""
    return Row(
        path=path,
        label="real" if item.generator == "none" else "fake",
        generator=item.generator,
        source=source,
        group=f"{source}/{item.group}",
        sha256=digest,
        attributes={**item.attributes, "origin": item.path},
    )


def _equalised(pixels: Pixels, item: Listed, spec: PrepareSpec) -> tuple[bytes, Pixels]:
    """Return the file and pixels of a large picture at the common size and quality."""
    kernel = _KERNELS[int(unit_hash(item.path, spec.seed) * len(_KERNELS))]
    factor = spec.largest_side / max(pixels.shape[:2])
    data = encode_jpeg(resize(pixels, factor, kernel), spec.quality)
    return data, decode(data).pixels


def _without_duplicates(
    prepared: list[_Prepared], spec: PrepareSpec
) -> tuple[list[_Prepared], list[_Problem]]:
    """Drop repeated files, and put near-duplicates into one group.

    A picture that stands in both classes is dropped from both.
    """
    labels: dict[str, set[str]] = defaultdict(set)
    for item in prepared:
        labels[item.row.sha256].add(item.row.label)
    kept: dict[str, _Prepared] = {}
    problems: list[_Problem] = []
    for item in prepared:
        digest, origin = item.row.sha256, item.row.attributes["origin"]
        if len(labels[digest]) > 1:
            problems.append(_Problem(origin, "the same file stands in both classes"))
        elif digest in kept:
            first = kept[digest].row.attributes["origin"]
            problems.append(_Problem(origin, f"the same file as {first}"))
        else:
            kept[digest] = item
    return _grouped(list(kept.values()), spec.near_duplicate_bits), problems


def _grouped(items: list[_Prepared], bits: int) -> list[_Prepared]:
    """Return the items with groups joined where pictures are near-duplicates."""
    hashes = np.array([item.perceptual for item in items], ">u8").view(np.uint8).reshape(-1, 8)
    groups = {group: i for i, group in reversed(list(enumerate(item.row.group for item in items)))}
    own = [(groups[item.row.group], i) for i, item in enumerate(items)]
    near = near_pairs(hashes, distance=bits).tolist()
    roots = clusters(len(items), [*own, *near])
    return [
        replace(item, row=replace(item.row, group=items[root].row.group))
        for item, root in zip(items, roots, strict=True)
    ]


def _write_faces(items: list[_Prepared], path: Path) -> None:
    """Write path and landmarks of every picture."""
    import pyarrow as pa
    from pyarrow import parquet

    points = [item.landmarks.ravel().tolist() for item in items]
    columns = {
        "path": [item.row.path for item in items],
        "landmarks": pa.array(points, pa.list_(pa.float32())),
    }
    parquet.write_table(pa.table(columns), path)


def _write_problems(problems: list[_Problem], path: Path) -> None:
    """Write one JSON object a line: path and reason."""
    with path.open("w", encoding="utf-8") as lines:
        for problem in problems:
            lines.write(json.dumps({"path": problem.path, "reason": problem.reason}) + "\n")
