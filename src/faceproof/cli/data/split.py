"""faceproof data split: four splits that share no person, file or near-duplicate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceproof.cli.exits import NOT_ALL_CHECKED
from faceproof.cli.options import QUIET
from faceproof.cli.progress import print_next
from faceproof.errors import LeakError, UsageError
from faceproof.messages import align_rows
from faceproof.outputs import refuse_overwriting
from faceproof.sources import to_printable

if TYPE_CHECKING:
    from faceproof.data.manifest import Manifest
    from faceproof.data.splitting.split import SplitResult


def split(
    manifests: Annotated[
        list[Path],
        typer.Argument(metavar="MANIFEST...", help="Manifests to split, as one data set."),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="OUT", help="Manifest to write, .parquet or .csv."),
    ],
    shares: Annotated[
        str,
        typer.Option(
            metavar="SPLIT=SHARE,...",
            show_default="train=0.7, validation=0.06, calibration=0.12, test=0.12",
            help="Share of each split; the sum is 1.",
        ),
    ] = "train=0.7,validation=0.06,calibration=0.12,test=0.12",
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the split.")] = 0,
    by: Annotated[
        str,
        typer.Option(
            metavar="NAME,...", help="Attributes to balance, besides class, generator and source."
        ),
    ] = "",
    keep: Annotated[
        list[Path] | None,
        typer.Option(metavar="OLD", help="Manifest whose rows keep their splits."),
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Ignore existing splits.")] = False,
    near_bits: Annotated[
        int,
        typer.Option(
            min=0, max=256, help="Largest hash distance of near-duplicates, in bits of 256."
        ),
    ] = 31,
    protocols: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder for leave-one-out manifests of each generator and source."
        ),
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="Data folder, if a manifest names none.")
    ] = None,
    quiet: Annotated[bool, QUIET] = False,
) -> None:
    """Split a data set; groups and near-duplicates stay together, every stratum is balanced.

    A row keeps the split that it has in OLD, in an earlier OUT or in its manifest.

    Exit codes: 0 every row has a split, 1 rows that join two splits were left out, 2 wrong usage.
    """
    from faceproof.tables import require

    require("polars", "pyarrow", "scipy", extra="data")
    if not output.parent.is_dir():
        raise UsageError(
            f"{to_printable(str(output.parent))} is not a folder: make it, or name another"
        )
    _refuse_inputs([*manifests, *(keep or ())], output, protocols)
    from faceproof.data.manifest_files import write_manifest
    from faceproof.data.splitting.protocols import write_protocols
    from faceproof.data.splitting.split import SplitSpec, divide
    from faceproof.data.splitting.stratified import parse_shares

    names = tuple(dict.fromkeys(name.strip() for name in by.split(",") if name.strip()))
    spec = SplitSpec(shares=parse_shares(shares), seed=seed, by=names, near_bits=near_bits)
    older = [] if anew else _read_earlier_splits([*(keep or []), output], keep or [], root)
    divided = divide(_merge_manifests(manifests, root, forget=anew), spec, older=older)
    write_manifest(divided.manifest, output)
    _write_split(divided, spec.shares)
    if protocols is not None:
        written = write_protocols(divided.manifest, protocols, spec)
        typer.echo(f"\n{len(written.protocols)} protocols in {to_printable(str(protocols))}")
        for reason in written.skipped:
            typer.echo(f"no protocol {reason}", err=True)
    if not quiet:
        print_next("faceproof", "data", "prepare", output, "-o", output.with_name("prepared"))
    if divided.left_out:
        raise typer.Exit(NOT_ALL_CHECKED)


def _refuse_inputs(inputs: Sequence[Path], output: Path, protocols: Path | None) -> None:
    """Refuse to write over a manifest that is read.

    Raises:
        UsageError: naming it.
    """
    from faceproof.data.splitting.protocols import INDEX

    refuse_overwriting({"--output": output}, inputs)
    for path in inputs if protocols else ():
        if protocols and (path.name == INDEX or path.name.startswith("leave-one-")):
            refuse_overwriting({"--protocols": protocols / path.name}, [path])


def _merge_manifests(paths: Sequence[Path], root: Path | None, *, forget: bool) -> Manifest:
    """Return the manifests as one, each picture once; without their splits where ``forget``."""
    import polars as pl

    from faceproof.data.manifest import Manifest
    from faceproof.data.manifest_files import merge, read_table

    manifests = []
    for path in paths:
        table, own = read_table(path)
        if forget:
            table = table.with_columns(split=pl.lit(""))
        manifests.append((table, root or own))
    try:
        whole = merge([Manifest(table, root=where) for table, where in manifests])
    except LeakError as error:
        raise LeakError(f"{error}, or split all of it again with --anew") from error
    return whole.with_table(
        whole.table.unique(["path", "sha256"], keep="first", maintain_order=True)
    )


def _read_earlier_splits(
    paths: Sequence[Path], named: Sequence[Path], root: Path | None
) -> list[Manifest]:
    """Return the manifests of the earlier split; named ones must exist."""
    from faceproof.data.manifest_files import read_manifest

    return [read_manifest(path, root=root) for path in paths if path in named or path.exists()]


_MOST_LISTED = 20
#: One row of a smaller stratum is more than a percentage point of it.
_FEWEST_ROWS = 100


def _write_split(divided: SplitResult, shares: Mapping[str, float]) -> None:
    """Print how many rows of what went where, and what is to be looked at."""
    found, manifest = divided.related, divided.manifest
    typer.echo(f"{len(manifest)} rows, {divided.kept} of which had their split before")
    typer.echo(
        f"{found.count} clusters, the largest of {found.largest} rows; "
        f"near-duplicates joined {found.rows_joined} rows"
    )
    for kind in ("label", "generator", "source"):
        typer.echo("\n" + "\n".join(align_rows(list(_split_table(manifest, kind)), left=1)))
    typer.echo("\n" + _describe_deviation(divided, shares))
    for warning in divided.warnings:
        typer.echo(f"warning: {to_printable(warning)}", err=True)
    for out in divided.left_out[:_MOST_LISTED]:
        typer.echo(f"{to_printable(out.path)}: {to_printable(out.reason)}", err=True)
    if len(divided.left_out) > _MOST_LISTED:
        more = len(divided.left_out) - _MOST_LISTED
        typer.echo(f"and {more} more rows without a split", err=True)


def _split_table(manifest: Manifest, kind: str) -> Iterator[Sequence[str]]:
    """Yield a header, and for each value of a column its rows in each split, none and all."""
    from faceproof.data.manifest import SPLITS

    counts = {
        (value, split): rows
        for value, split, rows in manifest.table.group_by(kind, "split").len().iter_rows()
    }
    yield kind, *SPLITS, "none", "all"
    for value in sorted({value for value, _ in counts}):
        row = [counts.get((value, split), 0) for split in (*SPLITS, "")]
        yield to_printable(value), *map(str, row), str(sum(row))


def _describe_deviation(divided: SplitResult, shares: Mapping[str, float]) -> str:
    """Return where the share of a stratum that is large enough differs most from what is wanted."""
    worst = max(_deviations(divided, shares), default=None)
    if worst is None:
        return f"no stratum has {_FEWEST_ROWS} rows: no deviation reported"
    points, split, name, share = worst
    return (
        f"largest deviation from the wanted shares: {points:.2f} percentage points "
        f"({name}: {share:.2%} in {split}), of strata with {_FEWEST_ROWS} rows or more"
    )


def _deviations(
    divided: SplitResult, shares: Mapping[str, float]
) -> Iterator[tuple[float, str, str, float]]:
    """Yield percentage points, split, stratum and share of every cell."""
    for name, row in zip(divided.strata, divided.counts.tolist(), strict=True):
        if sum(row) < _FEWEST_ROWS:
            continue
        for (split, wanted), rows in zip(shares.items(), row, strict=True):
            yield abs(rows / sum(row) - wanted) * 100, split, name, rows / sum(row)
