"""From folders of public pictures to a prepared data set: faces found, history equalised, split.

A prepared data set is a folder: ``manifest.parquet``, ``faces.parquet`` (landmarks of the
largest face), ``pictures/`` and ``problems.jsonl`` (what was left out, and why).
Pictures larger than the common size are reduced to it and saved once as JPEG, as the smaller
sets were: otherwise size and sharpness alone would give the class away.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from pydantic import Field

from faceproof.data.duplicates import clusters, near_pairs, perceptual_hash
from faceproof.data.manifest import Manifest, Row, read_manifest, write_manifest
from faceproof.data.public import LAYOUTS, Listed
from faceproof.data.splits import assign_splits, unit_hash
from faceproof.errors import FaceproofError
from faceproof.imaging.decode import decode
from faceproof.imaging.degradations import encode_jpeg, resize
from faceproof.imaging.faces import YuNet
from faceproof.records import Record
from faceproof.tables import choose

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
    """One usable picture: its row (without split), its bytes, its face and its hash."""

    row: Row
    landmarks: np.ndarray[tuple[int, int], np.dtype[np.float32]]
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


def prepare_data(
    root: Path, spec: PrepareSpec, output: Path, *, progress: Callable[[str], None]
) -> Manifest:
    """Return the manifest of the prepared data set in ``output``, making it where it is missing.

    Raises:
        ManifestError: a source's folder is missing or empty.
    """
    stamp = output / "spec.json"
    if stamp.exists() and PrepareSpec.read(stamp) == spec:
        return read_manifest(output / "manifest.parquet")
    (output / "pictures").mkdir(parents=True, exist_ok=True)
    prepared, problems = _all_sources(root, spec, output, progress)
    kept, doubled = _without_duplicates(prepared, spec)
    rows = assign_splits(tuple(item.row for item in kept), seed=spec.seed)
    manifest = Manifest(rows)
    write_manifest(manifest, output / "manifest.parquet")
    _write_faces(kept, output / "faces.parquet")
    _write_problems([*problems, *doubled], output / "problems.jsonl")
    spec.write(stamp)
    return manifest


def read_faces(path: Path) -> dict[str, np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
    """Return path -> landmarks float32 [5, 2] of ``faces.parquet``."""
    from pyarrow import parquet

    table = parquet.read_table(path)
    points = np.asarray(table["landmarks"].to_pylist(), np.float32).reshape(-1, 5, 2)
    return dict(zip(table["path"].to_pylist(), points, strict=True))


def _all_sources(
    root: Path, spec: PrepareSpec, output: Path, progress: Callable[[str], None]
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
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(one, chosen))
        good = [result for result in results if isinstance(result, _Prepared)]
        prepared += good
        problems += [result for result in results if isinstance(result, _Problem)]
        progress(f"{name}: {len(listed)} listed, {len(chosen)} chosen, {len(good)} prepared")
    return prepared, problems


def _chosen(
    listed: Iterable[Listed], label: str, most: int | None, spec: PrepareSpec
) -> Iterator[Listed]:
    """Yield at most ``most`` pictures of a class: whole groups in an order of their hashes.

    Where a group has several fakes of one original, the first of each group come first.
    """
    of_class = [item for item in listed if (item.generator == "none") == (label == "real")]
    of_class.sort(
        key=lambda item: (int(item.attributes.get("take", 0)), unit_hash(item.group, spec.seed + 1))
    )
    yield from islice(of_class, most)


def _prepare(item: Listed, source: str, spec: PrepareSpec, place: _Place) -> _Prepared | _Problem:
    """Return one picture ready for training, or why it is not."""
    root, output = place.root, place.output
    try:
        data = (root / item.path).read_bytes()
        pixels = decode(data, name=item.path).pixels
    except (FaceproofError, OSError) as error:
        return _Problem(item.path, f"{getattr(error, 'code', 'source_unreadable')}: {error}")
    if max(pixels.shape[:2]) > spec.largest_side:
        data, pixels = _equalised(pixels, item, spec)
    if cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).mean() < spec.darkest_luma:
        return _Problem(item.path, "too dark")
    faces = place.finder.find(pixels)
    if not faces:
        return _Problem(item.path, "no face found")
    digest = hashlib.sha256(data).hexdigest()
    path = f"pictures/{source}/{digest[:2]}/{digest}.jpg"
    (output / path).parent.mkdir(parents=True, exist_ok=True)
    (output / path).write_bytes(data)
    label = "real" if item.generator == "none" else "fake"
    attributes = {**item.attributes, "origin": item.path}
    row = Row(path, label, item.generator, source, f"{source}/{item.group}", digest, "", attributes)
    return _Prepared(row, faces[0].landmarks, perceptual_hash(pixels))


def _equalised(
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], item: Listed, spec: PrepareSpec
) -> tuple[bytes, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
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
    by_hash: dict[str, list[_Prepared]] = {}
    for item in prepared:
        by_hash.setdefault(item.row.sha256, []).append(item)
    kept = [items[0] for items in by_hash.values() if len({i.row.label for i in items}) == 1]
    first = {id(item) for item in kept}
    problems = [
        _Problem(item.row.attributes["origin"], "the same file stands in the set before")
        for item in prepared
        if id(item) not in first
    ]
    return _grouped(kept, spec.near_duplicate_bits), problems


def _grouped(items: list[_Prepared], bits: int) -> list[_Prepared]:
    """Return the items with groups joined where pictures are near-duplicates."""
    hashes = np.array([item.perceptual for item in items], np.uint64)
    groups = {group: i for i, group in reversed(list(enumerate(item.row.group for item in items)))}
    own = ((groups[item.row.group], i) for i, item in enumerate(items))

    def links() -> Iterator[tuple[int, int]]:
        yield from own
        yield from near_pairs(hashes, distance=bits)

    roots = clusters(len(items), links())
    return [
        _Prepared(_regrouped(item.row, items[root].row.group), item.landmarks, item.perceptual)
        for item, root in zip(items, roots, strict=True)
    ]


def _regrouped(row: Row, group: str) -> Row:
    """Return the row in another group."""
    return Row(
        row.path, row.label, row.generator, row.source, group, row.sha256, "", row.attributes
    )


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
