"""What a split tells: tables on standard output, what to look at on standard error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from faceproof.sources import printable

if TYPE_CHECKING:
    from faceproof.data.manifest import Manifest
    from faceproof.data.splitting.divide import Divided

_MOST_LISTED = 20
#: One row of a smaller stratum is more than a percentage point of it.
_FEWEST_ROWS = 100


def write_split(divided: Divided, shares: Mapping[str, float]) -> None:
    """Print how many rows of what went where, and what is to be looked at."""
    found, manifest = divided.related, divided.manifest
    typer.echo(f"{len(manifest)} rows, {divided.kept} of which had their split before")
    typer.echo(
        f"{found.count} clusters, the largest of {found.largest} rows; "
        f"near-duplicates joined {found.rows_joined} rows"
    )
    for kind in ("label", "generator", "source"):
        typer.echo("\n" + "\n".join(aligned(list(table_of(manifest, kind)))))
    typer.echo("\n" + deviation(divided, shares))
    for warning in divided.warnings:
        typer.echo(f"warning: {printable(warning)}", err=True)
    for out in divided.left_out[:_MOST_LISTED]:
        typer.echo(f"{printable(out.path)}: {printable(out.reason)}", err=True)
    if len(divided.left_out) > _MOST_LISTED:
        more = len(divided.left_out) - _MOST_LISTED
        typer.echo(f"and {more} more rows without a split", err=True)


def table_of(manifest: Manifest, kind: str) -> Iterator[Sequence[str]]:
    """Yield a header, and for each value of a column its rows in each split, none and all."""
    from faceproof.data.manifest import SPLITS

    counts = {
        (value, split): rows
        for value, split, rows in manifest.table.group_by(kind, "split").len().iter_rows()
    }
    yield kind, *SPLITS, "none", "all"
    for value in sorted({value for value, _ in counts}):
        row = [counts.get((value, split), 0) for split in (*SPLITS, "")]
        yield printable(value), *map(str, row), str(sum(row))


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield lines with the first column to the left and the others to the right.

    >>> list(aligned([("label", "all"), ("real", "12")]))
    ['label  all', 'real    12']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        right = (text.rjust(width) for text, width in zip(others, widths[1:], strict=True))
        yield "  ".join([first.ljust(widths[0]), *right])


def deviation(divided: Divided, shares: Mapping[str, float]) -> str:
    """Return where the share of a stratum that is large enough differs most from what is wanted."""
    worst = max(_deviations(divided, shares), default=None)
    if worst is None:
        return f"no stratum has {_FEWEST_ROWS} rows: no share is told"
    points, split, name, share = worst
    return (
        f"largest deviation from the wanted shares: {points:.2f} percentage points "
        f"({name}: {share:.2%} in {split}), of strata with {_FEWEST_ROWS} rows or more"
    )


def _deviations(
    divided: Divided, shares: Mapping[str, float]
) -> Iterator[tuple[float, str, str, float]]:
    """Yield percentage points, split, stratum and share of every cell."""
    for name, row in zip(divided.strata, divided.counts.tolist(), strict=True):
        if sum(row) < _FEWEST_ROWS:
            continue
        for (split, wanted), rows in zip(shares.items(), row, strict=True):
            yield abs(rows / sum(row) - wanted) * 100, split, name, rows / sum(row)
