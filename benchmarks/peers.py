r"""Published detectors against the default detector, on the same pictures, clean and degraded.

Draws a sample of a manifest, scores it with each peer of `peer_detectors.py`, and writes one score
file for each peer, view and condition (`jireh-jam-whole-jpeg-60.csv`: path, score, condition),
which `faceproof evaluate --scores` and `faceproof compare` read. A view is what the network gets:
`whole` picture, the face's `box`, or faceproof's face `crop`.

    uv run --extra data --with onnx --with h5py --with ai-edge-litert \
        python benchmarks/peers.py MANIFEST --root PICTURES --weights WEIGHTS --output OUT
    uv run --extra data python benchmarks/peers.py --table OUT --validation OUT2 \
        > docs/explanation/peers.md

That page says where the weights come from. An interrupted run resumes. `--validation` is the
output of the first command with `--split validation --conditions clean`: it shows that no score is
upside down. `--time N` measures processor time instead, on the first N pictures.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl

from faceproof.data.manifest import Manifest, Row
from faceproof.data.manifest_files import read_manifest, write_manifest
from faceproof.errors import FaceproofError, UsageError
from faceproof.evaluation.scored_faces import closest_face, move_box
from faceproof.imaging.decode import Picture, load
from faceproof.imaging.degradations import DEGRADATIONS
from faceproof.imaging.faces import Face, FaceFinder, YuNet
from faceproof.tables import choose
from peer_detectors import DETECTORS, VIEWS, Network, Pixels

CONDITIONS = ("clean", "jpeg-60", "resize-0.5")
SAMPLE, TIMES = "sample.parquet", "cpu_ms.csv"
COLUMNS = ("path", "score", "condition")
SAME_FACE = 0.5
"""Least intersection over union of one face in two versions of a picture, as in `evaluate`."""
CHUNK = 25
"""Pictures between two writes."""

Answer = TypeVar("Answer")
Key = tuple[str, str, str]
"""Peer, view and condition: one score file."""


def draw_sample(manifest: Manifest, split: str, most: int, sources: Sequence[str] = ()) -> Manifest:
    """Return at most ``most`` pictures of each source and label of a split, drawn by a hash.

    ``sources`` are the wanted ones; all if empty.

    The first of each come first, then the second and so on, so that the start of the sample is a
    smaller sample.
    """
    table = manifest.table.filter(pl.col("split") == split)
    if sources:
        table = table.filter(pl.col("source").is_in(list(sources)))
    drawn = [hashlib.sha256(f"peers {path}".encode()).hexdigest() for path in table["path"]]
    ranked = table.with_columns(pl.Series("drawn", drawn)).with_columns(
        pl.col("drawn").rank("ordinal").over("source", "label").alias("place")
    )
    kept = ranked.filter(pl.col("place") <= most).sort("place", "drawn")
    if kept.is_empty():
        raise UsageError(f"the manifest has no rows in the split {split!r}")
    return manifest.with_table(kept.drop("drawn", "place"))


def keep_sample(sample: Manifest, folder: Path) -> None:
    """Write the sample, or check that the folder has the same one.

    Raises:
        UsageError: its score files are of another sample.
    """
    path = folder / SAMPLE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_manifest(sample, path)
    elif read_manifest(path).sha256 != sample.sha256:
        raise UsageError(f"{path} is another sample; name another folder with --output")


class ScoreFile:
    """The score file of one peer, view and condition: rows are only added."""

    def __init__(self, folder: Path, key: Key) -> None:
        """Open the file; a row that an interruption left incomplete is cut off."""
        self.path, self._condition = folder / f"{'-'.join(key)}.csv", key[2]
        if not self.path.exists():
            self.path.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
        text = self.path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            self.path.write_text(whole, encoding="utf-8", newline="\n")
        self.done = {row["path"] for row in csv.DictReader(io.StringIO(whole))}
        self._new: list[tuple[str, str, str]] = []

    def add(self, path: str, score: float | None) -> None:
        """Add a score; None where there is no face or no picture."""
        self._new.append((path, "" if score is None else repr(score), self._condition))
        self.done.add(path)

    def save(self) -> None:
        """Append what was added since the last call."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(self._new)
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(text.getvalue())
        self._new = []


def degrade(picture: Picture, condition: str) -> Pixels:
    """Return the degraded picture, the same as `faceproof evaluate` judges."""
    if condition == "clean":
        return picture.pixels
    seed = [int(picture.sha256[:16], 16), zlib.crc32(condition.encode())]
    return DEGRADATIONS[condition](picture.pixels, np.random.default_rng(seed))


def read_conditions(
    path: Path, sha256: str, conditions: Sequence[str], finder: FaceFinder
) -> Iterator[tuple[str, Pixels | None, Face | None]]:
    """Yield each condition with its pixels and the face that `faceproof evaluate` judges there.

    No pixels where the file is broken or not the manifest's; no face where it was not found.
    """
    try:
        picture = load(path).require_whole(str(path))
    except FaceproofError:
        picture = None
    if picture is None or sha256 not in {"", picture.sha256}:
        yield from ((condition, None, None) for condition in conditions)
        return
    clean = finder.find(picture.pixels)
    target = closest_face(clean, None, SAME_FACE)
    for condition in conditions:
        pixels = degrade(picture, condition)
        faces = clean if condition == "clean" else finder.find(pixels)
        moved = target and move_box(target.box, condition, picture.pixels.shape, pixels.shape)
        yield condition, pixels, closest_face(faces, moved, SAME_FACE)


def score(
    sample: Manifest,
    networks: Mapping[str, Network],
    folder: Path,
    conditions: Sequence[str],
    *,
    finder: FaceFinder,
    until: float = float("inf"),
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Score what the score files lack; return how many pictures are left at the time ``until``."""
    files = {
        key: ScoreFile(folder, key)
        for name in networks
        for view in DETECTORS[name].views
        for key in ((name, view, condition) for condition in conditions)
    }
    left = [row for row in sample.rows if any(row.path not in one.done for one in files.values())]
    for number, row in enumerate(left):
        if clock() >= until:
            _save(files)
            return len(left) - number
        _score_picture(sample, row, networks, files, conditions=conditions, finder=finder)
        if number % CHUNK == CHUNK - 1:
            _save(files)
    _save(files)
    return 0


def _save(files: Mapping[Key, ScoreFile]) -> None:
    for file in files.values():
        file.save()


def _score_picture(
    sample: Manifest,
    row: Row,
    networks: Mapping[str, Network],
    files: Mapping[Key, ScoreFile],
    *,
    conditions: Sequence[str],
    finder: FaceFinder,
) -> None:
    path = sample.picture_path(row.path)
    for condition, pixels, face in read_conditions(path, row.sha256, conditions, finder):
        for (name, view, wanted), file in files.items():
            if wanted != condition or row.path in file.done:
                continue
            seen = None if pixels is None else VIEWS[view](pixels, face, DETECTORS[name])
            file.add(row.path, None if seen is None else networks[name](seen))


def measure_times(
    sample: Manifest, networks: Mapping[str, Network], folder: Path, count: int, finder: FaceFinder
) -> None:
    """Write the median processor time in ms of each peer and view, and of the default detector.

    From the decoded picture to the score, one thread; views of the face and the default detector
    include the search for it.
    """
    spent: dict[tuple[str, str], list[float]] = {}
    for row in sample.rows[:count]:
        pixels = load(sample.picture_path(row.path)).pixels
        faces, search = _timed(partial(finder.find, pixels))
        if not faces:
            continue
        for name, network in networks.items():
            peer = DETECTORS[name]
            for view in peer.views:
                seen, looked = _timed(partial(VIEWS[view], pixels, faces[0], peer))
                _, own = _timed(partial(network, seen))
                whole = looked + own + (0.0 if view == "whole" else search)
                spent.setdefault((name, view), []).append(whole)
    with (folder / TIMES).open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(("detector", "view", "cpu_ms", "pictures"))
        for (name, view), times in spent.items():
            lines.writerow((name, view, repr(float(np.median(times))), len(times)))


def _timed(call: Callable[[], Answer]) -> tuple[Answer, float]:
    """Return the answer and the processor time in ms."""
    start = time.process_time()
    answer = call()
    return answer, 1000 * (time.process_time() - start)


def main(arguments: list[str] | None = None) -> None:
    """Score a sample, measure times, or print the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("manifest", type=Path, nargs="?", help="manifest of labelled pictures")
    parser.add_argument("--root", type=Path, help="folder of the pictures, if it names none")
    parser.add_argument("--weights", type=Path, help="folder of the peers' files")
    parser.add_argument("--output", type=Path, help="folder for sample and score files")
    parser.add_argument("--split", default="test")
    parser.add_argument("--most", type=int, default=150, help="pictures of each source and label")
    parser.add_argument("--sources", help="only these sources, with commas")
    parser.add_argument("--conditions", default=",".join(CONDITIONS))
    parser.add_argument(
        "--only", default=",".join(DETECTORS), help="names of detectors, with commas"
    )
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--time", type=int, help="measure processor time on so many pictures")
    parser.add_argument("--table", type=Path, metavar="OUT", help="print the page of an output")
    parser.add_argument("--validation", type=Path, metavar="OUT", help="with --table")
    asked = parser.parse_args(arguments)
    if asked.table:
        from peers_page import page

        sys.stdout.write(page(asked.table, asked.validation))
        return
    if not (asked.manifest and asked.weights and asked.output):
        parser.error("name a manifest, --weights and --output; or --table")
    until = time.monotonic() + asked.seconds
    conditions = asked.conditions.split(",")
    for condition in conditions:
        choose(DEGRADATIONS, condition, what="condition")
    networks = {
        name: choose(DETECTORS, name, what="detector").load(asked.weights)
        for name in asked.only.split(",")
    }
    manifest = read_manifest(asked.manifest, root=asked.root)
    wanted = asked.sources.split(",") if asked.sources else ()
    sample = draw_sample(manifest, asked.split, asked.most, wanted)
    keep_sample(sample, asked.output)
    if asked.time:
        measure_times(sample, networks, asked.output, asked.time, YuNet())
        return
    left = score(sample, networks, asked.output, conditions, finder=YuNet(), until=until)
    sys.stderr.write(f"{len(sample)} pictures, {left} left\n")


if __name__ == "__main__":
    main()
