"""Import and inspect the public sets, and write the tables of docs/explanation/public-data.md.

    uv run python docs/public_data.py [--raw data/raw] [--work data/public]

Finished steps are not repeated; delete the folder ``--work`` to start from scratch. Put the
pictures under ``--raw`` by hand, as docs/explanation/training-data.md describes.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from faceproof.data.inspection.record import Inspection
from faceproof.data.manifest_files import read_manifest

#: Set -> the options of `faceproof data import` for it.
SETS = {
    "ffhq_stylegan140k": "--layout class-folders --real real --fake ai --generator stylegan",
    "openforensics": "--layout openforensics",
    "dfdc": "--layout dfdc",
    "stylegan2_hmdghoul": (
        "--layout class-folders --fake images --levels gender,ethnicity --generator stylegan2"
    ),
    "stylegan2_basemax": "--layout class-folders --fake faces --generator stylegan2",
    "sdfd": "--layout class-folders --fake allImages --generator stable-diffusion-2.1",
    "utkface": "--layout utkface",
    "realorfake": "--layout class-folders --real real --fake fake",
}
#: The seven that the default detector was made of, as one set.
TOGETHER = [name for name in SETS if name != "realorfake"]
#: Set -> the set that it is compared with.
AGAINST = {"realorfake": "ffhq_stylegan140k"}
PAGE = Path(__file__).parent / "explanation" / "public-data.md"
FACEPROOF = [sys.executable, "-c", "from faceproof.cli import main; main()"]


def main() -> None:
    """Run the missing steps, then write the tables into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--raw", type=Path, default=Path("data/raw"), help="the pictures")
    parser.add_argument("--work", type=Path, default=Path("data/public"), help="the results")
    wish = parser.parse_args()
    wish.work.mkdir(parents=True, exist_ok=True)
    present = [name for name in SETS if (wish.raw / name).is_dir()]
    for name in present:
        run(importing(name, wish.raw, wish.work), made=wish.work / f"{name}.parquet")
    for name in [*present, *(["together"] if set(TOGETHER) <= set(present) else [])]:
        run(inspecting(name, wish.work), made=wish.work / f"{name}.json")
    found = inspections(wish.work)
    text = PAGE.read_text(encoding="utf-8")
    text = filled(text, "hold", what_they_hold(wish.work, found))
    text = filled(text, "repeats", what_repeats(found))
    text = filled(text, "shortcuts", what_gives_them_away(found))
    PAGE.write_text(text, encoding="utf-8")


def filled(text: str, name: str, lines: Iterator[str]) -> str:
    """Return the page with other lines between its named comments."""
    before, start, rest = text.partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    return f"{before}{start}" + "\n".join(lines) + f"\n{end}{after}"


def importing(name: str, raw: Path, work: Path) -> list[str]:
    """Return the command that makes the manifest of a set."""
    output = work / f"{name}.parquet"
    return ["import", str(raw / name), *shlex.split(SETS[name]), "-o", str(output)]


def inspecting(name: str, work: Path) -> list[str]:
    """Return the command that inspects a set, or the seven together."""
    names = TOGETHER if name == "together" else [name]
    manifests = [str(work / f"{one}.parquet") for one in names]
    against = ["--against", str(work / f"{AGAINST[name]}.parquet")] if name in AGAINST else []
    page = work / f"{name}.html"
    return ["inspect", *manifests, *against, "--report", str(page), "--format", "json"]


def run(arguments: list[str], *, made: Path) -> None:
    """Run `faceproof data` where its result is missing; 1 means that some files are broken."""
    if made.exists():
        return
    sys.stderr.write(shlex.join(["faceproof", "data", *arguments]) + "\n")
    done = subprocess.run([*FACEPROOF, "data", *arguments], stdout=subprocess.PIPE, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(done.returncode)
    output = made if made.suffix == ".json" else made.with_suffix(".import.txt")
    output.write_bytes(done.stdout)


def inspections(work: Path) -> dict[str, Inspection]:
    """Return the findings of each set."""
    return {
        name: Inspection.model_validate(json.loads((work / f"{name}.json").read_bytes()))
        for name in [*SETS, "together"]
        if (work / f"{name}.json").exists()
    }


def what_they_hold(work: Path, found: dict[str, Inspection]) -> Iterator[str]:
    """Yield rows, sizes and the unreadable files."""
    yield "| set | real / fake | format, JPEG quality | sides, px | left out | no face found |"
    yield "|---|---|---|---|---|---|"
    for name, seen in found.items():
        if name == "together":
            continue
        table = read_manifest(work / f"{name}.parquet").table
        real = table.filter(pl.col("label") == "real").height
        sample = seen.sample
        faceless = f"{sample.without_face} of {sample.n}" if sample else "not looked"
        yield (
            f"| `{name}` | {real:,} / {table.height - real:,} | {formats(table)} | {sides(table)} "
            f"| {left_out(work / f'{name}.problems.csv')} | {faceless} |"
        )


def formats(table: pl.DataFrame) -> str:
    """Return the formats and the range of JPEG qualities."""
    names = ", ".join(table["format"].value_counts(sort=True)["format"])
    quality = table["jpeg_quality"].drop_nulls()
    if quality.is_empty():
        return names
    low, high = quality.min(), quality.max()
    return f"{names} {low}" if low == high else f"{names} {low} to {high}"


def sides(table: pl.DataFrame) -> str:
    """Return the range of the longer side."""
    longer = table.select(pl.max_horizontal("width", "height"))["width"]
    low, high = longer.min(), longer.max()
    return f"{low}" if low == high else f"{low} to {high}"


def left_out(path: Path) -> str:
    """Return how many files were left out, by reason."""
    if not path.exists():
        return "none"
    counts = pl.read_csv(path)["code"].value_counts(sort=True)
    return ", ".join(f"{count} {code}" for code, count in counts.iter_rows()) or "none"


def what_repeats(found: dict[str, Inspection]) -> Iterator[str]:
    """Yield copies and near-duplicates of each set, and those shared with another."""
    yield "| set | copies of a file | near-duplicate pairs | of them fake and real | faults |"
    yield "|---|---|---|---|---|"
    for name, seen in found.items():
        repeats = seen.repeats
        mixed = sum(p.near for p in repeats.parts if is_mixed(p.first, p.second))
        faults = ", ".join(one.kind for one in seen.faults if one.severity == "error")
        yield (
            f"| `{name}` | {repeats.extra_copies:,} | {repeats.near_pairs:,} | {mixed:,} "
            f"| {faults or 'no error'} |"
        )


def is_mixed(first: str, second: str) -> bool:
    """Return whether one part is of reals and the other of fakes."""
    return {part.rpartition(" ")[2] for part in (first, second)} == {"real", "fake"}


def what_gives_them_away(found: dict[str, Inspection]) -> Iterator[str]:
    """Yield the shortcut probe's findings on the sets of two classes."""
    yield "| set | n | probe, as the files are | most guilty | floor, re-encoded |"
    yield "|---|---|---|---|---|"
    for name, seen in found.items():
        probe = seen.shortcut
        if probe is None:
            continue
        guilty = probe.guilty[0].says if probe.guilty else "none"
        floor = probe.floor
        after = f"{floor.auc:.2f} [{floor.low:.2f}, {floor.high:.2f}]" if floor else "not measured"
        yield (
            f"| `{name}` | {probe.n_real + probe.n_fake:,} "
            f"| {probe.auc:.3f} [{probe.low:.3f}, {probe.high:.3f}] | {guilty} | {after} |"
        )


if __name__ == "__main__":
    main()
