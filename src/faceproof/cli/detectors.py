"""faceproof detectors: list, show and verify detectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from faceproof.detector import Bundle, DetectorSpec

app = typer.Typer(help="List, show and verify detectors.", no_args_is_help=True)

Named = Annotated[str, typer.Argument(metavar="NAME|FOLDER", help="Detector: a name, or a folder.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print detector.json itself.")]


@app.command("list")
def list_() -> None:
    """List the detectors that came with faceproof."""
    from faceproof.detector import detectors

    for name in detectors():
        spec = _bundle(name).spec
        typer.echo(f"{name}  {spec.name} {spec.version}  {spec.licence}")
    if not detectors():
        typer.echo("no detector is installed; name a folder", err=True)


@app.command()
def show(detector: Named = "default", *, json: _AsJson = False) -> None:
    """Show a detector: networks, operating points, training data and test results."""
    bundle = _bundle(detector)
    if json:
        typer.echo(bundle.spec.to_json().decode(), nl=False)
        return
    for title, text in described(bundle.spec, bundle.sha256):
        typer.echo(f"{title:<20} {text}".rstrip())


@app.command()
def verify(detector: Named = "default") -> None:
    """Verify the hash of every file of a detector; exit code 1 on a mismatch."""
    bundle = _bundle(detector)
    for file in bundle.spec.files:
        bundle.read_file(file)
        typer.echo(f"{file.sha256}  {file.name}")
    typer.echo(f"{bundle.spec.name} {bundle.spec.version}: every file is the one that was named")


def _bundle(name_or_folder: str) -> Bundle:
    """Return the bundle, its detector.json read and its other files not yet."""
    from faceproof.detector import Bundle
    from faceproof.detector.detector import locate

    return Bundle.read(locate(name_or_folder))


def described(spec: DetectorSpec, sha256: str) -> Iterator[tuple[str, str]]:
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
    for finding in spec.results:
        interval = f"{finding.value:.4g} [{finding.low:.4g}, {finding.high:.4g}], n {finding.n}"
        yield finding.metric, f"{interval}, {finding.slice}, {finding.condition}"
    for note in spec.notes:
        yield "note", note
