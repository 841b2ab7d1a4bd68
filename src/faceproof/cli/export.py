"""faceproof export: a detector's networks exported again from their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceproof.cli.options import DETECTOR, QUIET
from faceproof.cli.progress import print_lines
from faceproof.outputs import refuse_overwriting
from faceproof.tables import choose

if TYPE_CHECKING:
    from faceproof.detector import Bundle


def export(
    *,
    detector: Annotated[str, DETECTOR],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of the new detector.")
    ],
    to: Annotated[str, typer.Option(metavar="onnx", help="Export format.")] = "onnx",
    quiet: Annotated[bool, QUIET] = False,
) -> None:
    """Export a detector again from its weights, to a new folder.

    This adds heat maps to an older detector without them. The export fails if the outputs of
    the exported networks differ from those of the trained ones.
    """
    write = choose(_EXPORTS, to, what="--to")
    from faceproof.detector import Bundle
    from faceproof.detector.detector import locate

    refuse_overwriting({"--output": output}, [locate(detector)])
    bundle = write(Bundle.read(locate(detector)), output, print_lines(quiet=quiet))
    mapped = sum(bool(member.onnx.heatmap) for member in bundle.spec.members)
    if quiet:
        return
    typer.echo(
        f"{output}: {bundle.spec.name} {bundle.spec.version}, {len(bundle.spec.members)} exported, "
        f"{mapped} of them with heat maps; SHA-256 {bundle.sha256}",
        err=True,
    )


def _export_onnx(bundle: Bundle, folder: Path, progress: Callable[[str], None]) -> Bundle:
    from faceproof.export import export_bundle

    return export_bundle(bundle, folder, progress=progress)


#: What a detector's networks can become.
_EXPORTS: Mapping[str, Callable[[Bundle, Path, Callable[[str], None]], Bundle]] = {
    "onnx": _export_onnx
}
