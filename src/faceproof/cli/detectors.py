"""faceproof detectors: list, show and verify detectors."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceproof.cli.options import complete_detectors

if TYPE_CHECKING:
    from faceproof.detector import Bundle, DetectorSpec
    from faceproof.detector.spec import Finding

app = typer.Typer(help="List, show and verify detectors.", no_args_is_help=True)

Named = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FOLDER",
        autocompletion=complete_detectors,
        help="Detector: a name, or a folder.",
    ),
]
_AsJson = Annotated[bool, typer.Option("--json", help="Print detector.json itself.")]
_All = Annotated[bool, typer.Option("--all", help="Print everything: every result and note.")]


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
    """Show a detector on one screen: promise, training data, test results, what was not tested."""
    bundle = _find_bundle(detector)
    spec = bundle.spec
    if json:
        typer.echo(spec.to_json().decode(), nl=False)
        return
    if not everything:
        command = f"faceproof detectors show {shlex.quote(detector)} --all"
        typer.echo("\n".join(summary_lines(spec, bundle.sha256, command=command)))
        return
    titled = [*describe_detector(spec, bundle.sha256), *result_lines(spec), *all_result_lines(spec)]
    for title, text in titled:
        typer.echo(f"{title:<20} {text}".rstrip())


@app.command()
def verify(detector: Named = "default") -> None:
    """Verify the hash of every file of a detector; exit code 1 on a mismatch."""
    bundle = _find_bundle(detector)
    for file in bundle.spec.files:
        bundle.read_file(file)
        typer.echo(f"{file.sha256}  {file.name}")
    typer.echo(f"{bundle.spec.name} {bundle.spec.version}: every file is the one that was named")


@app.command()
def card(
    detector: Named = "default",
    *,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="JSON", help="Report of evaluate or audit, whose figures the card gets."
        ),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Replace CARD.md and its hash in detector.json.")
    ] = False,
) -> None:
    """Print a detector's model card, made from its record and from a report of an audit.

    The report must be of this detector: its SHA-256 is compared. With --write, detector.json
    names the new card, so that the detector has a new SHA-256.
    """
    from faceproof.reports.card_from_report import make_card, replace_card

    bundle = _find_bundle(detector)
    spec, text = make_card(bundle, report)
    if not write:
        typer.echo(text, nl=False)
        return
    made = replace_card(bundle, spec, text)
    typer.echo(f"{made.folder / 'CARD.md'}: written; the detector's SHA-256 is {made.sha256}")


def _find_bundle(name_or_folder: str) -> Bundle:
    """Return the bundle, its detector.json read and its other files not yet."""
    from faceproof.detector import Bundle
    from faceproof.detector.detector import locate

    return Bundle.read(locate(name_or_folder))


_WIDTH = 80
_TITLE = 16
_WORST_FAKES = 2


def summary_lines(spec: DetectorSpec, sha256: str, *, command: str) -> list[str]:
    """Return at most 23 lines of at most 80 columns; ``command`` prints what they leave out.

    A text that is cut ends in "...".
    """
    limited = [*_summarise_detector(spec, sha256), *_summarise_results(spec)]
    lines = [line for title, text, most in limited for line in _wrap(title, text, most)]
    return [*lines, *_wrap("everything", command, None)]


def _wrap(title: str, text: str, most: int | None) -> list[str]:
    """Return a title and its text in at most ``most`` lines; None leaves it in one line."""
    if most is None:
        return [f"{title:<{_TITLE}} {text}"]
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"{title:<{_TITLE}} ",
        subsequent_indent=" " * (_TITLE + 1),
        max_lines=most,
        placeholder=" ...",
        break_on_hyphens=False,
    )


def _summarise_detector(spec: DetectorSpec, sha256: str) -> Iterator[tuple[str, str, int]]:
    """Yield titles, texts, and how many lines each may take: 15 in all."""
    yield "detector", f"{spec.name} {spec.version}, SHA-256 {sha256[:12]}", 1
    yield "licence", spec.licence, 2
    default = spec.operating_point()
    yield "default point", f"{default.name}: {default.promise}", 5
    bounds = f"real below {default.real_below:.4g}, fake from {default.fake_from:.4g}"
    between = ", unsure between" if default.real_below < default.fake_from else ""
    yield "", f"{bounds}{between}", 1
    others = ", ".join(name for name in spec.operating_points if name != default.name)
    if spec.unsupported:
        others = f"{others or 'none'}; not promised: {', '.join(n.name for n in spec.unsupported)}"
    if others:
        yield "other points", others, 1
    rows, kinds = spec.trained_on.rows.get("train", 0), ", ".join(spec.generators_seen)
    yield "trained on", f"{rows:,} faces; fakes of {kinds or 'no generator'}", 2
    if spec.started_from:
        starts = "; ".join(f"{one.licence}: {one.name}" for one in spec.started_from)
        yield "started from", starts, 2
    if spec.notes:
        count = len(spec.notes)
        yield (f"note 1 of {count}" if count > 1 else "note"), spec.notes[0], 1


def _summarise_results(spec: DetectorSpec) -> Iterator[tuple[str, str, int]]:
    """Yield titles, texts, and how many lines each may take: 7 in all."""
    from faceproof.reports.card import limit_sentences

    point = spec.default_operating_point
    title = "test results"
    for metric in ("bpcer@", "recall@", "unsure_rate@"):
        for one in spec.results:
            if (one.metric, one.slice, one.condition) == (f"{metric}{point}", "all", "clean"):
                yield title, f"{_OVERALL[metric]}: {_format_figure(one)}, n {one.n}", 1
                title = ""
    for metric, kind, name, highest, most in (
        (f"bpcer@{point}", _kind_of_reals(spec), "false alarms", True, 1),
        (f"recall@{point}", "generator=", "fakes detected", False, _WORST_FAKES),
    ):
        found = _worst_first(spec, metric, kind, highest=highest)
        for number, one in enumerate(found[:most]):
            place = "" if number else f"worst of {len(found)}: "
            place += f"{one.slice.removeprefix(kind)} as {one.condition}"
            text = f"{place} {_format_figure(one)}, n {one.n}"
            yield ("" if number else name), text, 1
    unmeasured = [text for text in limit_sentences(spec) if text.startswith(_UNMEASURED)]
    if unmeasured:
        parts = (text.removeprefix(_UNMEASURED).rstrip(".") for text in unmeasured)
        yield "not measured", "; ".join(parts), 1


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


_UNMEASURED = "Not measured: "
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
    yield from _lines_worst_first(
        spec, f"bpcer@{point}", _kind_of_reals(spec), "false alarms", highest=True
    )
    yield from _lines_worst_first(
        spec, f"recall@{point}", "generator=", "fakes detected", highest=False
    )
    title = "limits"
    for text in limit_sentences(spec):
        yield title, _MARKDOWN_ESCAPE.sub(r"\1", text)
        title = ""


def _kind_of_reals(spec: DetectorSpec) -> str:
    """Return how slices of real faces begin: by family, or by source without families."""
    has_families = any(one.slice.startswith("family=") for one in spec.results)
    return "family=" if has_families else "source="


def _conditions_of_slices(
    spec: DetectorSpec, metric: str, kind: str
) -> dict[str, dict[str, Finding]]:
    """Return the findings of a metric: slice of a kind -> condition -> finding."""
    found: dict[str, dict[str, Finding]] = {}
    for one in spec.results:
        if one.metric == metric and one.slice.startswith(kind):
            found.setdefault(one.slice.removeprefix(kind), {})[one.condition] = one
    return found


def _worst_first(spec: DetectorSpec, metric: str, kind: str, *, highest: bool) -> list[Finding]:
    """Return each slice's finding under its worst condition, the worst first."""
    pick = max if highest else min
    worst = [
        pick(conditions.values(), key=lambda one: one.value)
        for conditions in _conditions_of_slices(spec, metric, kind).values()
    ]
    return sorted(worst, key=lambda one: one.value, reverse=highest)


def _lines_worst_first(
    spec: DetectorSpec, metric: str, kind: str, title: str, *, highest: bool
) -> Iterator[tuple[str, str]]:
    """Yield a line for each slice of a kind: its value under each condition, the worst first."""
    slices = _conditions_of_slices(spec, metric, kind)
    for worst in _worst_first(spec, metric, kind, highest=highest):
        name = worst.slice.removeprefix(kind)
        values = ", ".join(f"{place} {_format_figure(one)}" for place, one in slices[name].items())
        yield title, f"{name}: {values}, n {worst.n}"
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
