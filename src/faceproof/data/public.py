"""Public face data: how each set that we train on lies on disk, and what its names say.

Each layout yields the pictures of one set under the data folder: path, label, generator, group
and what else its names or tables tell. Sizes, origins and traps: docs/data.md.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from faceproof.errors import ManifestError

#: Crops of one photograph stand side by side in openforensics' numbering.
_OPENFORENSICS_BLOCK = 20
_DFDC_SMALLEST_WIDTH = 128


@dataclass(frozen=True, slots=True)
class Listed:
    """A picture as its data set lists it, unopened; ``path`` is under the data folder."""

    path: str
    generator: str
    group: str
    attributes: dict[str, str] = field(default_factory=dict)


Layout = Callable[[Path], Iterator[Listed]]


def ffhq_stylegan140k(folder: Path) -> Iterator[Listed]:
    """FFHQ against StyleGAN, a slice of Kaggle's "140k Real and Fake Faces"."""
    for name, generator in (("real", "none"), ("ai", "stylegan")):
        for path in _pictures(folder / "dataset" / name):
            yield Listed(_under(folder, path), generator, f"{name}/{path.stem}")


def openforensics(folder: Path) -> Iterator[Listed]:
    """Photographs against photographs with a GAN face blended in; grouped by blocks of numbers."""
    for part in ("Train", "Validation"):
        for name, generator in (("Real", "none"), ("Fake", "openforensics-swap")):
            for path in _pictures(folder / "Dataset" / part / name):
                block = int(re.sub(r"\D", "", path.stem) or 0) // _OPENFORENSICS_BLOCK
                group = f"{part}/{name}/{block}"
                yield Listed(_under(folder, path), generator, group)


def dfdc(folder: Path) -> Iterator[Listed]:
    """Face crops of the DFDC videos; a fake stands in the group of the video it was made from.

    Crops that were under 128 px wide in their video are left out: nothing can be seen in them.
    """
    fakes: dict[str, int] = defaultdict(int)
    for line in _lines(folder / "metadata.csv"):
        path = folder / "faces_224" / f"{Path(line['videoname']).stem}.jpg"
        if int(line["original_width"]) < _DFDC_SMALLEST_WIDTH or not path.exists():
            continue
        original = line["original"] or line["videoname"]
        is_fake = line["label"] == "FAKE"
        fakes[original] += is_fake
        generator, take = ("dfdc-swap", fakes[original]) if is_fake else ("none", 0)
        yield Listed(_under(folder, path), generator, original, {"take": str(take)})


def stylegan2_hmdghoul(folder: Path) -> Iterator[Listed]:
    """StyleGAN2 faces in folders of gender and ethnicity, labelled by a machine."""
    for path in _pictures(folder / "images"):
        gender, ethnicity = path.relative_to(folder / "images").parts[:2]
        about = {"gender": gender, "ethnicity": ethnicity}
        yield Listed(_under(folder, path), "stylegan2", path.stem, about)


def stylegan2_basemax(folder: Path) -> Iterator[Listed]:
    """StyleGAN2 faces of thispersondoesnotexist."""
    for path in _pictures(folder / "faces"):
        yield Listed(_under(folder, path), "stylegan2", path.stem)


def sdfd(folder: Path) -> Iterator[Listed]:
    """Stable Diffusion 2.1 portraits."""
    for path in _pictures(folder / "allImages"):
        yield Listed(_under(folder, path), "stable-diffusion-2.1", path.stem)


def utkface(folder: Path) -> Iterator[Listed]:
    """Photographs from the web; the name says age, gender and ethnicity."""
    genders = {"0": "male", "1": "female"}
    ethnicities = {"0": "white", "1": "black", "2": "asian", "3": "indian", "4": "other"}
    for path in _pictures(folder / "data" / "UTKFace" / "unlabeled"):
        about: dict[str, str] = {}
        if named := re.match(r"(\d+)_([01])_([0-4])_", path.name):
            age, gender, ethnicity = named.groups()
            about = {"age": age, "gender": genders[gender], "ethnicity": ethnicities[ethnicity]}
        yield Listed(_under(folder, path), "none", path.stem, about)


LAYOUTS: dict[str, Layout] = {
    "ffhq_stylegan140k": ffhq_stylegan140k,
    "openforensics": openforensics,
    "dfdc": dfdc,
    "stylegan2_hmdghoul": stylegan2_hmdghoul,
    "stylegan2_basemax": stylegan2_basemax,
    "sdfd": sdfd,
    "utkface": utkface,
}


def _pictures(folder: Path) -> list[Path]:
    """Return the pictures below ``folder``, sorted.

    Raises:
        ManifestError: there is none.
    """
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
    if not found:
        raise ManifestError(f"no picture in {folder}: fetch the data set as docs/data.md says")
    return found


def _lines(path: Path) -> Iterator[dict[str, str]]:
    """Yield the lines of a CSV file by column.

    Raises:
        ManifestError: there is no such file.
    """
    if not path.is_file():
        raise ManifestError(f"{path} is missing: fetch the data set as docs/data.md says")
    with path.open(newline="", encoding="utf-8") as table:
        yield from csv.DictReader(table)


def _under(folder: Path, path: Path) -> str:
    """Return the path under the data folder, of which ``folder`` is a direct child."""
    return path.relative_to(folder.parent).as_posix()
