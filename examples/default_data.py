"""Fetch, import, split and prepare the data of the default detector, unattended and resumable.

    uv run --extra train python examples/default_data.py --folder data/default

``examples/lists`` holds the lists of files that are taken; docs/explanation/training-data.md
describes them and names the time it takes. Every repository is cloned once (or read from
``--mirrors``, a folder of bare clones named OWNER+NAME/repo). Every later step is skipped where its
result exists; delete a result to make it again. Needs git and about 35 GB of disk.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from faceproof.data.manifest import Manifest
from faceproof.data.manifest_files import read_manifest, write_manifest

LISTS = Path(__file__).with_name("lists")
FACEPROOF = [sys.executable, "-m", "faceproof"]
SHARES = "train=0.62,validation=0.06,calibration=0.17,test=0.15"

#: Rows of a source that are taken at most: one codec or one camera must not stand for "real".
CAPS = {"portraits_mebeauty": 1500, "portraits_scut_asian": 300, "utkface": 16000}
#: Fakes that are taken of each original video of dfdc, and the smallest face in its video, in px.
DFDC_FAKES, DFDC_WIDTH, DFDC_DARK = 2, 128, 25
#: Crops of one photograph have neighbouring numbers in openforensics.
OPENFORENSICS_BLOCK = 20

#: What a source belongs to: false alarms are promised by family.
FAMILIES = {
    "ffhq_stylegan140k": "140k",
    "ffhq_stylegan140k_b": "140k",
    "openforensics": "openforensics",
    "dfdc": "dfdc",
    "utkface": "utkface",
    "portraits_mebeauty": "sharp_portraits",
    "portraits_sites": "sharp_portraits",
    "portraits_pixabay": "studio",
    "portraits_scut_asian": "studio",
    "politicians_thai": "studio",
    "headshots": "small_headshots",
}


@dataclass
class Row:
    """One picture: where it lies in its repository, and what is known of it."""

    repository: str
    path: str
    label: str
    generator: str
    group: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


def main() -> None:
    """Make what is missing, step by step."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lists", type=Path, default=LISTS, help="folder of the file lists")
    parser.add_argument("--folder", type=Path, default=Path("data/default"), help="the results")
    parser.add_argument("--mirrors", type=Path, help="bare clones, OWNER+NAME/repo")
    parser.add_argument("--only", nargs="*", help="sources to extract and import, then stop")
    parser.add_argument(
        "--at-most",
        metavar="SPLIT=N,...",
        help="prepare only so many pictures of each source and class, for a run on a small machine",
    )
    options = parser.parse_args()
    mirrors = options.mirrors or options.folder / "mirrors"
    raw, manifests = options.folder / "raw", options.folder / "manifests"
    manifests.mkdir(parents=True, exist_ok=True)
    sources = listed(options.lists, mirrors)
    for name in options.only or list(sources):
        if not (manifests / f"{name}.parquet").exists():
            extract(name, sources[name](), raw, mirrors)
            run("import", raw / f"{name}.csv", "--layout", "columns", "--name", name,
                "-o", manifests / f"{name}.parquet")  # fmt: skip
    if options.only:
        return
    split = options.folder / "split.parquet"
    if not split.exists():
        made = [manifests / f"{name}.parquet" for name in sorted(sources)]
        run("split", *made, "-o", split, "--shares", SHARES, "--by", "family")
    if options.at_most:
        whole, split = split, options.folder / "part.parquet"
        write_part(whole, split, options.at_most)
    prepared = options.folder / "prepared"
    if not (prepared / "prepare.json").exists():
        run("prepare", split, "-o", prepared, "--keep", "face", "--size", "384", "--no-probe")


def write_part(whole: Path, part: Path, at_most: str) -> None:
    """Write the rows of a manifest, at most N of each split, source and class, chosen by hash."""
    manifest = read_manifest(whole)
    left = {name: int(count) for name, _, count in (s.partition("=") for s in at_most.split(","))}
    taken: Counter[tuple[str, str, str]] = Counter()
    rows = []
    for row in sorted(manifest.rows, key=lambda row: digest(row.path)):
        kind = (row.split, row.source, row.label)
        if taken[kind] < left.get(row.split, len(manifest)):
            taken[kind] += 1
            rows.append(row)
    write_manifest(Manifest(rows, root=manifest.root), part)


def run(*arguments: object) -> None:
    """Run `faceproof data`; exit code 1 means that some files were listed as problems."""
    words = ["data", *map(str, arguments)]
    sys.stderr.write(" ".join(["faceproof", *words]) + "\n")
    code = subprocess.run([*FACEPROOF, *words], check=False).returncode
    if code not in (0, 1):
        raise SystemExit(code)


# ------------------------------------------------------------------ which pictures are taken


def listed(lists: Path, mirrors: Path) -> dict[str, Callable[[], Iterable[Row]]]:
    """Return source -> function that lists its rows."""
    one, two, three = (
        read_list(lists / name)
        for name in ("selection.csv.gz", "selection2.csv.gz", "selection3.csv.gz")
    )
    tiles = read_list(lists / "sfhq_tiles.csv.gz")
    return {
        "ffhq_stylegan140k": lambda: plain(one, "ffhq_stylegan140k"),
        "ffhq_stylegan140k_b": lambda: plain(two, "ffhq_stylegan140k_b"),
        "openforensics": lambda: openforensics(mirrors),
        "dfdc": lambda: dfdc(mirrors),
        "stylegan2_hmdghoul": lambda: folder_of(
            mirrors, "hmdghoul/generated-faces", "images/", "stylegan2", demographic
        ),
        "stylegan2_basemax": lambda: folder_of(mirrors, "BaseMax/FakeFaces", "faces/", "stylegan2"),
        "sdfd": lambda: folder_of(mirrors, "gebaltso/SDFD", "allImages/", "stable-diffusion-2.1"),
        "sfhq_tiles": lambda: sfhq_tiles(tiles),
        "sd3_faker": lambda: plain(two, "sd3_faker"),
        "utkface": lambda: folder_of(
            mirrors, "mattans/AgeProgression", "data/UTKFace/unlabeled/", "none", utk_names
        ),
        "politicians_thai": lambda: plain(two, "politicians_thai"),
        "headshots": lambda: [
            *(row for row in plain(two, "headshots_", prefix=True)),
            *(row for row in sites(three) if width_of(row) < 200),
        ],
        "portraits_sites": lambda: [row for row in sites(three) if width_of(row) >= 200],
        "portraits_mebeauty": lambda: plain(three, "portraits_mebeauty"),
        "portraits_scut_asian": lambda: plain(three, "portraits_scut_asian"),
        "portraits_pixabay": lambda: plain(three, "portraits_pixabay"),
    }


def read_list(path: Path) -> list[dict[str, str]]:
    """Return the rows of a gzipped CSV list."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def plain(rows: list[dict[str, str]], source: str, *, prefix: bool = False) -> list[Row]:
    """Return the listed rows of one source, or of all whose name starts so."""
    return [
        as_row(row)
        for row in rows
        if row["source"] == source or (prefix and row["source"].startswith(source))
    ]


def as_row(row: dict[str, str]) -> Row:
    """Return a row of a list as a Row."""
    about = {name: row.get(name, "") for name in ("age", "gender", "ethnicity", "changed")}
    width = row.get("face_px", "")
    return Row(
        repository=row.get("repo") or row["repository"],
        path=row["path"],
        label=row["label"],
        generator=row["generator"],
        group=row.get("group", ""),
        attributes={"site": row["source"], "listed_face_px": width, **about},
    )


def sites(rows: list[dict[str, str]]) -> list[Row]:
    """Return the portraits of conferences, laboratories and councils."""
    return [as_row(row) for row in rows if row["source"].startswith("headshots_")
            or not row["source"].startswith("portraits_")]  # fmt: skip


def width_of(row: Row) -> float:
    """Return the face width in px that the list names, 0 where it names none."""
    return float(row.attributes["listed_face_px"] or 0)


def openforensics(mirrors: Path) -> Iterator[Row]:
    """Yield both classes of both parts, grouped by blocks of numbers."""
    repository = "TaherPanbiharwala/Deepfake-Detection"
    for path in names(mirrors, repository, "Dataset/"):
        found = re.fullmatch(r"Dataset/(Train|Validation)/(Real|Fake)/(\D*(\d+)\.jpg)", path)
        if found:
            part, name, _, number = found.groups()
            label = name.lower()
            generator = "none" if label == "real" else "openforensics-swap"
            group = f"{part}/{name}/{int(number) // OPENFORENSICS_BLOCK}"
            yield Row(repository, path, label, generator, group)


def dfdc(mirrors: Path) -> Iterator[Row]:
    """Yield the crops that were wide enough in their video; of each original, some fakes."""
    repository = "i-Shreyansh/DeepFake-Detection"
    have = set(names(mirrors, repository, "faces_224/"))
    table = io.StringIO(blob(mirrors, repository, "metadata.csv").decode())
    fakes: Counter[str] = Counter()
    rows = sorted(csv.DictReader(table), key=lambda row: digest(row["videoname"]))
    for row in rows:
        path = f"faces_224/{Path(row['videoname']).stem}.jpg"
        if int(row["original_width"]) < DFDC_WIDTH or path not in have:
            continue
        is_fake = row["label"] == "FAKE"
        original = row["original"] or row["videoname"]
        fakes[original] += is_fake
        if is_fake and fakes[original] > DFDC_FAKES:
            continue
        label, generator = ("fake", "dfdc-swap") if is_fake else ("real", "none")
        yield Row(repository, path, label, generator, original)


def folder_of(
    mirrors: Path,
    repository: str,
    folder: str,
    generator: str,
    about: Callable[[str], dict[str, str]] | None = None,
) -> Iterator[Row]:
    """Yield every picture of one folder."""
    label = "real" if generator == "none" else "fake"
    for path in names(mirrors, repository, folder):
        if path.lower().endswith((".jpg", ".jpeg", ".png", ".webp")):
            yield Row(repository, path, label, generator, attributes=about(path) if about else {})


def demographic(path: str) -> dict[str, str]:
    """Return the machine-made labels that the folders name."""
    gender, ethnicity = path.split("/")[1:3]
    return {"gender": gender, "ethnicity": ethnicity}


def utk_names(path: str) -> dict[str, str]:
    """Return age, gender and ethnicity of a UTKFace file name."""
    found = re.match(r"(\d+)_([01])_([0-4])_", path.rpartition("/")[2])
    if not found:
        return {}
    ethnicities = ("white", "black", "asian", "indian", "other")
    return {
        "age": found[1],
        "gender": ("male", "female")[int(found[2])],
        "ethnicity": ethnicities[int(found[3])],
    }


def sfhq_tiles(tiles: list[dict[str, str]]) -> Iterator[Row]:
    """Yield the tiles; ``mosaic`` and the box are where `extract` cuts them."""
    generators = {"SDXL": "sdxl", "FLUX1_schnell": "flux.1-schnell"}
    for tile in tiles:
        path = f"{tile['generator']}/{tile['name']}.png"
        box = {f"tile_{name}": tile[name] for name in ("mosaic", "top", "left", "width")}
        yield Row("SelfishGene/SFHQ-T2I-dataset", path, "fake", generators[tile["generator"]],
                  attributes=box)  # fmt: skip


def digest(text: str) -> bytes:
    """Return a hash that orders names without regard to what they are."""
    return hashlib.sha256(text.encode()).digest()


# ------------------------------------------------------------------ bringing them to disk


def extract(name: str, found: Iterable[Row], raw: Path, mirrors: Path) -> None:
    """Write the pictures of a source below ``raw``, and ``raw/NAME.csv``."""
    rows = sorted(found, key=lambda row: digest(f"{row.repository}/{row.path}"))
    rows = rows[: CAPS.get(name, len(rows))]
    missing: Counter[str] = Counter()
    written: list[tuple[Row, str]] = []
    by_repository: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_repository[row.repository].append(row)
    for repository, part in by_repository.items():
        if not git_folder(mirrors, repository):
            missing[repository] += len(part)
            continue
        for row, data in pictures(mirrors, repository, part):
            place = f"{repository.replace('/', '+')}/{row.path}"
            if name == "dfdc" and is_dark(data):
                continue
            target = raw / place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            written.append((row, place))
    write_table(name, written, raw)
    sys.stderr.write(f"{name}: {len(written)} of {len(rows)} pictures\n")
    for repository, count in missing.items():
        sys.stderr.write(f"{name}: {repository} cannot be had, {count} pictures are missing\n")


def write_table(name: str, written: list[tuple[Row, str]], raw: Path) -> None:
    """Write the table that `faceproof data import --layout columns` reads."""
    extra = sorted({key for row, _ in written for key in row.attributes
                    if not key.startswith("tile_")})  # fmt: skip
    family = FAMILIES.get(name, "generated")
    with (raw / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "generator", "group", "family", *extra])
        for row, place in written:
            group = f"{name}/{row.group or place}" if name != "ffhq_stylegan140k_b" else row.group
            facts = [row.attributes.get(key, "") for key in extra]
            table.writerow([place, row.label, row.generator, group, family, *facts])


def is_dark(data: bytes) -> bool:
    """Return whether a picture is too dark to show a face."""
    with Image.open(io.BytesIO(data)) as picture:
        picture.draft("L", (64, 64))
        return float(np.asarray(picture.convert("L")).mean()) < DFDC_DARK


def pictures(mirrors: Path, repository: str, rows: list[Row]) -> Iterator[tuple[Row, bytes]]:
    """Yield the rows of one repository with the bytes of their files."""
    if any("tile_mosaic" in row.attributes for row in rows):
        yield from tiles_of(mirrors, repository, rows)
        return
    for row, data in zip(rows, blobs(mirrors, repository, [r.path for r in rows]), strict=True):
        if data is not None:
            yield row, data


def tiles_of(mirrors: Path, repository: str, rows: list[Row]) -> Iterator[tuple[Row, bytes]]:
    """Yield tiles cut out of their mosaics, as PNG."""
    Image.MAX_IMAGE_PIXELS = None
    where = {plain_name(path): path for path in names(mirrors, repository, "")}
    by_mosaic: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_mosaic[row.attributes["tile_mosaic"]].append(row)
    for mosaic, part in sorted(by_mosaic.items()):
        data = blob(mirrors, repository, where[mosaic])
        with Image.open(io.BytesIO(data)) as opened:
            picture = opened.convert("RGB")
        for row in part:
            top, left, side = (int(row.attributes[f"tile_{k}"]) for k in ("top", "left", "width"))
            file = io.BytesIO()
            picture.crop((left, top, left + side, top + side)).save(file, "PNG")
            yield row, file.getvalue()


def plain_name(path: str) -> str:
    """Return a mosaic's file name as the list of tiles writes it."""
    return re.sub(r"[^a-z0-9]+", "_", path.rpartition("/")[2].lower())


# ------------------------------------------------------------------ git


def git_folder(mirrors: Path, repository: str) -> Path | None:
    """Return the bare clone of a repository, cloned if need be; None where it cannot be had."""
    folder = mirrors / repository.replace("/", "+") / "repo"
    if (folder / ".git" / "HEAD").exists():
        return folder / ".git"
    if not (folder / "HEAD").exists():
        if os.environ.get("FACEPROOF_NO_CLONE"):
            return None
        address = f"https://github.com/{repository}"
        made = subprocess.run(
            ["git", "clone", "--quiet", "--bare", "--depth", "1", address, str(folder)],
            check=False,
        )
        if made.returncode:
            return None
    return folder


@cache
def tree(folder: Path) -> dict[str, str]:
    """Return path -> object id of the files of a clone's newest commit."""
    command = ["git", "--git-dir", str(folder), "ls-tree", "-r", "-z", "HEAD"]
    found = subprocess.run(command, capture_output=True, check=True).stdout
    lines = [line.partition("\t") for line in found.decode("utf-8", "replace").split("\0") if line]
    return {path: facts.split()[2] for facts, _, path in lines}


def names(mirrors: Path, repository: str, folder: str) -> list[str]:
    """Return the paths of a repository's newest commit below a folder, sorted."""
    place = git_folder(mirrors, repository)
    if place is None:
        raise SystemExit(f"{repository} cannot be had: clone it into {mirrors} by hand")
    return sorted(path for path in tree(place) if path.startswith(folder))


def blob(mirrors: Path, repository: str, path: str) -> bytes:
    """Return one file of the newest commit."""
    found = next(blobs(mirrors, repository, [path]))
    if found is None:
        raise SystemExit(f"{repository} has no {path}")
    return found


def blobs(mirrors: Path, repository: str, paths: list[str]) -> Iterator[bytes | None]:
    """Yield files of the newest commit in order, None for one that is not there.

    Asked for by object id: a path is looked up in its folder from the start, each time.
    """
    folder = git_folder(mirrors, repository)
    if folder is None:
        raise SystemExit(f"{repository} cannot be had: clone it into {mirrors} by hand")
    command = ["git", "--git-dir", str(folder), "cat-file", "--batch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        asked, answer = process.stdin, process.stdout
        if asked is None or answer is None:
            raise SystemExit("git cannot be started")
        for path in paths:
            if path not in tree(folder):
                yield None
                continue
            asked.write(f"{tree(folder)[path]}\n".encode())
            asked.flush()
            size = int(answer.readline().split()[-1])
            yield answer.read(size)
            answer.read(1)
        asked.close()


if __name__ == "__main__":
    main()
