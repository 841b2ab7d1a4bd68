"""faceproof detectors: list, show and verify detectors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from faceproof.detector import Bundle, DetectorSpec
    from faceproof.detector.spec import Finding

app = typer.Typer(help="List, show and verify detectors.", no_args_is_help=True)

Named = Annotated[str, typer.Argument(metavar="NAME|FOLDER", help="Detector: a name, or a folder.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print detector.json itself.")]
_All = Annotated[bool, typer.Option("--all", help="Print every test result, also by source.")]


@app.command("list")
def list_() -> None:
    """List the detectors that came with faceproof."""
    from faceproof.detector import detectors

    for name in detectors():
        spec = _find_bundle(name).spec
        typer.echo(f"{name}  {spec.name} {spec.version}  {spec.licence}")
    if not detectors():
        typer.echo("no detector is installed; name a folder", err=True)


@app.command()
def show(detector: Named = "default", *, json: _AsJson = False, everything: _All = False) -> None:
    """Show a detector: operating points, training data, test results and what was not tested."""
    bundle = _find_bundle(detector)
    if json:
        typer.echo(bundle.spec.to_json().decode(), nl=False)
        return
    lines = [*describe_detector(bundle.spec, bundle.sha256)]
    lines += all_result_lines(bundle.spec) if everything else result_lines(bundle.spec)
    for title, text in lines:
        typer.echo(f"{title:<20} {text}".rstrip())


@app.command()
def verify(detector: Named = "default") -> None:
    """Verify the hash of every file of a detector; exit code 1 on a mismatch."""
    bundle = _find_bundle(detector)
    for file in bundle.spec.files:
        bundle.read_file(file)
        typer.echo(f"{file.sha256}  {file.name}")
    typer.echo(f"{bundle.spec.name} {bundle.spec.version}: every file is the one that was named")


def _find_bundle(name_or_folder: str) -> Bundle:
    """Return the bundle, its detector.json read and its other files not yet."""
    from faceproof.detector import Bundle
    from faceproof.detector.detector import locate

    return Bundle.read(locate(name_or_folder))


def describe_detector(spec: DetectorSpec, sha256: str) -> Iterator[tuple[str, str]]:
    """Yield titles and lines of text; a title is empty where the previous one continues."""
    yield "detector", f"{spec.name} {spec.version}"
    yield "sha256", sha256
    yield "licence", spec.licence
    for member in spec.members:
        yield "network", f"{member.network}, weight {member.weight:g}"
    crop = spec.preprocessing.crop
    yield "reads", f"{crop.size} x {crop.size} px, {crop.method}, margin {crop.margin:g}"
    for name, point in spec.operating_points.items():
        mark = " (default)" if name == spec.default_operating_point else ""
        yield "operating point", f"{name}{mark}: {point.promise}"
        yield "", f"real below {point.real_below:.4g}, fake from {point.fake_from:.4g}"
        if point.basis:
            yield "", point.basis
    for one in spec.unsupported:
        yield "not promised", f"{one.name}: {one.reason}"
    rows = ", ".join(f"{count} {split}" for split, count in spec.trained_on.rows.items())
    yield "trained on", f"{rows} (data {spec.trained_on.data_sha256[:12]})"
    yield "generators seen", ", ".join(spec.generators_seen)
    for start in spec.started_from:
        yield "started from", f"{start.name} ({start.licence})"
    for note in spec.notes:
        yield "note", note


def all_result_lines(spec: DetectorSpec) -> Iterator[tuple[str, str]]:
    """Yield every recorded figure with its interval, as title and text."""
    for finding in spec.results:
        interval = f"{finding.value:.4g} [{finding.low:.4g}, {finding.high:.4g}], n {finding.n}"
        yield finding.metric, f"{interval}, {finding.slice}, {finding.condition}"


_MARKDOWN_ESCAPE = re.compile(r"\\([^a-zA-Z0-9\s])")
#: The first figures of `result_lines`, over all test faces; "@" stands for the default point.
_OVERALL = {
    "roc_auc": "ROC-AUC",
    "accuracy@": "accuracy, unsure counted as real",
    "bpcer@": "real faces called fake",
    "recall@": "fakes called fake",
    "unsure_rate@": "faces called unsure",
    "real_unsure_rate@": "real faces called unsure",
    "fake_unsure_rate@": "fakes called unsure",
}


def result_lines(spec: DetectorSpec) -> Iterator[tuple[str, str]]:
    """Yield the test results at the default operating point, the worst first, and the limits.

    False alarms are listed by family of real faces, or by source where no families were recorded;
    detected fakes by generator.
    """
    from faceproof.reports.card import limit_sentences

    point = spec.default_operating_point
    title = "test results"
    for metric, name in _OVERALL.items():
        wanted = f"{metric}{point}" if metric.endswith("@") else metric
        for one in spec.results:
            if (one.metric, one.slice, one.condition) == (wanted, "all", "clean"):
                yield title, f"{name}: {_format_figure(one)}, n {one.n}"
                title = ""
    has_families = any(one.slice.startswith("family=") for one in spec.results)
    reals = "family=" if has_families else "source="
    yield from _lines_worst_first(spec, f"bpcer@{point}", reals, "false alarms", highest=True)
    yield from _lines_worst_first(
        spec, f"recall@{point}", "generator=", "fakes detected", highest=False
    )
    title = "limits"
    for text in limit_sentences(spec):
        yield title, _MARKDOWN_ESCAPE.sub(r"\1", text)
        title = ""


def _lines_worst_first(
    spec: DetectorSpec, metric: str, kind: str, title: str, *, highest: bool
) -> Iterator[tuple[str, str]]:
    """Yield a line for each slice of a kind: its value under each condition, the worst first."""
    found: dict[str, dict[str, Finding]] = {}
    for one in spec.results:
        if one.metric == metric and one.slice.startswith(kind):
            found.setdefault(one.slice.removeprefix(kind), {})[one.condition] = one
    pick = max if highest else min

    def worst(conditions: dict[str, Finding]) -> float:
        return pick(one.value for one in conditions.values())

    ordered = sorted(found.items(), key=lambda item: worst(item[1]), reverse=highest)
    for name, conditions in ordered:
        values = ", ".join(f"{place} {_format_figure(one)}" for place, one in conditions.items())
        yield title, f"{name}: {values}, n {next(iter(conditions.values())).n}"
        title = ""


def _format_figure(finding: Finding) -> str:
    """Return a share as a percentage with its interval.

    >>> from faceproof.detector.spec import Finding
    >>> _format_figure(
    ...     Finding(metric="recall", value=0.5, low=0.4, high=0.6, n=9, data_sha256="a" * 64)
    ... )
    '50.0 % [40.0, 60.0]'
    """
    if finding.metric == "roc_auc":
        return f"{finding.value:.3f} [{finding.low:.3f}, {finding.high:.3f}]"
    value, low, high = (100 * number for number in (finding.value, finding.low, finding.high))
    return f"{value:.1f} % [{low:.1f}, {high:.1f}]"
