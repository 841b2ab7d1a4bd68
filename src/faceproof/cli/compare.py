"""faceproof compare: detectors and other tools' scores side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceproof.cli.options import format_option
from faceproof.cli.streams import print_json, set_up_output
from faceproof.messages import align_rows, escape_unprintable
from faceproof.tables import choose

if TYPE_CHECKING:
    from faceproof.evaluation.compare import Comparison


def compare(
    *,
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCES...",
            help="Output folders of faceproof evaluate, predictions tables (.parquet), or scores "
            "of other tools (.csv: path, score).",
        ),
    ],
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Random seed of the bootstrap.")
    ] = 0,
    resamples: Annotated[
        int, typer.Option(min=100, metavar="N", help="Bootstrap resamples per interval.")
    ] = 1000,
    format_: Annotated[str, format_option("table|json")] = "table",
) -> None:
    """Compare detectors and other tools' scores on the same pictures.

    At least one source must be an evaluation: it has the labels. Every figure is of the pictures
    that all of them judged. Exit codes: 0 done, 2 wrong usage.
    """
    from faceproof.tables import require

    require("polars", "pyarrow", "jinja2", extra="data")
    write = choose(FORMATS, format_, what="format")
    from faceproof.evaluation.compare import compare as run

    write(run(*sources, resamples=resamples, seed=seed))


def write_json(comparison: Comparison) -> None:
    """Write the whole record."""
    print_json(comparison)


def write_table(comparison: Comparison) -> None:
    """Write the figures with one column a source, then the changes of the ROC-AUC."""
    set_up_output(for_people=True)
    for line in align_rows([*_figure_rows(comparison)]):
        typer.echo(line)
    if any(one.caution for entry in comparison.compared for one in entry.findings):
        typer.echo("* rests on few groups; --format json has the reason")
    if comparison.changes:
        typer.echo("\nROC-AUC, second minus first (p: DeLong; Holm: adjusted for all rows)")
        for line in align_rows([*_change_rows(comparison)]):
            typer.echo(line)
    for caution in comparison.cautions:
        typer.echo(f"caution: {escape_unprintable(caution)}", err=True)


FORMATS: dict[str, Callable[[Comparison], None]] = {"table": write_table, "json": write_json}


def _figure_rows(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    """Yield the header, the coverage, and each metric under each condition; * marks a caution."""
    from faceproof.reports.evaluation_page import format_finding

    shown = [
        {(one.condition, one.slice, one.metric.partition("@")[0]): one for one in entry.findings}
        for entry in comparison.compared
    ]
    yield (
        "condition",
        "faces",
        "metric",
        *(escape_unprintable(e.name) for e in comparison.compared),
    )
    yield ("all", "all", "judged", *(f"{entry.judged:,}" for entry in comparison.compared))
    yield ("all", "all", "not judged", *(f"{entry.not_judged:,}" for entry in comparison.compared))
    for condition, slice_, metric in dict.fromkeys(key for found in shown for key in found):
        cells = [found.get((condition, slice_, metric)) for found in shown]
        marks = ("*" if cell and cell.caution else "" for cell in cells)
        yield (
            escape_unprintable(condition),
            escape_unprintable(slice_),
            metric,
            *(format_finding(cell) + mark for cell, mark in zip(cells, marks, strict=True)),
        )


def _change_rows(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    yield ("condition", "first", "second", "change", "p", "Holm")
    for one in comparison.changes:
        yield (
            escape_unprintable(one.condition),
            escape_unprintable(one.first),
            escape_unprintable(one.second),
            f"{one.change:+.4f} [{one.low:+.4f}, {one.high:+.4f}]",
            _format_p(one.p),
            _format_p(one.p_holm),
        )


def _format_p(p: float | None) -> str:
    """Return a p-value with four decimals, "-" for none.

    >>> _format_p(0.00001), _format_p(0.25), _format_p(None)
    ('< 0.0001', '0.2500', '-')
    """
    if p is None:
        return "-"
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"
