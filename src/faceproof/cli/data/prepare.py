"""faceproof data prepare: from a manifest to pictures ready for training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from faceproof.cli.exits import ALL_CHECKED, NOT_ALL_CHECKED, interrupt_code
from faceproof.cli.options import QUIET, complete_detectors, complete_words
from faceproof.cli.progress import print_next, progress_bar
from faceproof.errors import UsageError
from faceproof.messages import ignore_message
from faceproof.outputs import refuse_overwriting

if TYPE_CHECKING:
    from faceproof.data.manifest import Manifest
    from faceproof.data.preparing import Equalising, FinishSpec, PicturesSpec
    from faceproof.imaging.preprocessing import CropSpec
    from faceproof.records import Record

R = TypeVar("R", bound="Record")


def prepare(
    manifests: Annotated[
        list[Path],
        typer.Argument(metavar="MANIFEST...", help="Manifests to prepare, as one data set."),
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write.")
    ],
    root: Annotated[
        Path | None, typer.Option(help="Data folder, if the manifest names none.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Side of a crop in px.  [default: 256]", show_default=False)
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            help="Margin around the face, as a share of the template's side.  [default: 0.25]",
            show_default=False,
        ),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FOLDER",
            autocompletion=complete_detectors,
            help="Crop exactly as this detector does.",
        ),
    ] = None,
    keep: Annotated[
        str,
        typer.Option(
            metavar="crop|picture|face",
            autocompletion=complete_words("crop|picture|face"),
            help="What to keep: the aligned crop, the whole picture, or the face at its own width.",
        ),
    ] = "crop",
    equalise: Annotated[
        bool,
        typer.Option("--equalise", help="Same compression history for both classes."),
    ] = False,
    equalise_side: Annotated[
        int | None,
        typer.Option(
            metavar="PX",
            help="Side to which faces (or kept pictures) are reduced; default: 3/4 of the smallest "
            "median side of a class of a source.",
        ),
    ] = None,
    quality: Annotated[
        str | None,
        typer.Option(
            metavar="LOW-HIGH",
            help="Range of JPEG qualities for --equalise.  [default: 70-95]",
            show_default=False,
        ),
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="png|webp|jpeg",
            autocompletion=complete_words("png|webp|jpeg"),
            help="Format of crops; jpeg is lossy.  [default: png]",
            show_default=False,
        ),
    ] = None,
    balance: Annotated[
        str | None,
        typer.Option(
            metavar="class,generator,source",
            help="Columns to balance by weights, nested in this order.",
        ),
    ] = None,
    shards: Annotated[
        str | None,
        typer.Option(
            metavar="webdataset|parquet",
            autocompletion=complete_words("webdataset|parquet"),
            help="Also write shards in this format.",
        ),
    ] = None,
    shard_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE|COUNT",
            help="Size limit of a shard: bytes (512MB) or pictures (10000).  [default: 512MB]",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads; default: one per core.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of histories and shard order.")] = 0,
    probe: Annotated[
        bool,
        typer.Option("--probe/--no-probe", help="Run the shortcut probe before and after."),
    ] = True,
    anew: Annotated[
        bool, typer.Option("--anew", help="Start from scratch: delete the prepared pictures.")
    ] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> None:
    """Crop faces exactly as at inference, and write a data set for training.

    An interrupted run resumes. Exit codes: 0 all rows were prepared or have no
    face, 1 some could not be read (see problems.csv), 2 wrong usage.
    """
    from faceproof.tables import require

    require("polars", "pyarrow", "sklearn", "filelock", extra="data")
    from faceproof.data.manifest_files import merge, read_manifest
    from faceproof.data.preparing import PrepareOptions, prepare_manifest
    from faceproof.data.preparing.folder import MANIFEST
    from faceproof.data.preparing.summary import count_failed, summary_lines

    spec = _pictures_spec(
        crop=_crop(size, margin, detector, keep),
        keep=keep,
        format=_crop_format(format_, keep),
        equalise=_equalising_spec(equalise_side, quality, wanted=equalise),
        seed=seed,
    )
    finish = _finish_spec(balance, shards, shard_size, probe=probe)
    refuse_overwriting({"--output": output / MANIFEST}, manifests)
    manifest = merge([read_manifest(path, root=root) for path in manifests])
    if not any(manifest.counts().values()):
        _print_progress(
            "no row has a split yet: `faceproof data split` gives it one before training"
        )
    try:
        with progress_bar(range(len(manifest)), what="prepared", quiet=quiet) as bar:
            how = PrepareOptions(
                workers=workers or min(16, os.cpu_count() or 1),
                anew=anew,
                advance=bar.advance,
                say=ignore_message if quiet else _print_progress,
            )
            prepared = prepare_manifest(manifest, output, spec, finish=finish, how=how)
    except KeyboardInterrupt as stop:
        _print_progress("stopped; finished pictures are kept; run the same command again to resume")
        raise typer.Exit(interrupt_code(stop)) from None
    if not quiet:
        for line in summary_lines(prepared):
            _print_progress(line)
    typer.echo(output / MANIFEST)
    if prepared.after.rows and not quiet:
        _print_next_step(manifest, manifests, output)
    raise typer.Exit(NOT_ALL_CHECKED if count_failed(prepared) else ALL_CHECKED)


_RECIPE = Path("examples/own-data.toml")


def _print_next_step(manifest: Manifest, manifests: list[Path], output: Path) -> None:
    """Print the training on the folder, or the split that it still needs.

    In a clone that is the example's recipe, elsewhere a recipe to begin with is written first.
    """
    if not any(manifest.counts().values()):
        split = manifests[0].with_name(f"{manifests[0].stem}-split{manifests[0].suffix}")
        print_next("faceproof", "data", "split", *manifests, "-o", split)
        return
    words = [_RECIPE] if _RECIPE.is_file() else ["--init", "recipe.toml"]
    print_next("faceproof", "train", *words, "--set", f"data.prepared={output.as_posix()}")


def _crop(size: int | None, margin: float | None, detector: str | None, keep: str) -> CropSpec:
    """Return how faces are cropped: as the detector does, or by size and margin."""
    from faceproof.imaging.preprocessing import CropSpec

    named = {"--size": size, "--margin": margin, "--detector": detector}
    given = [name for name, value in named.items() if value is not None]
    if keep == "picture" and given:
        raise UsageError(f"{given[0]} is for crops: leave it out with --keep picture")
    if detector is None:
        typed = {"size": size, "margin": margin}
        wanted = {name: value for name, value in typed.items() if value is not None}
        usual = {"size": 384, "margin": 0.35} if keep == "face" else {"size": 256, "margin": 0.25}
        return _record(CropSpec, **(usual | wanted))
    if len(given) > 1:
        raise UsageError(f"{given[0]} conflicts with --detector: leave {given[0]} out")
    from faceproof.detector import Bundle
    from faceproof.detector.detector import locate

    return Bundle.read(locate(detector)).spec.preprocessing.crop


def _equalising_spec(side: int | None, quality: str | None, *, wanted: bool) -> Equalising | None:
    """Return how both classes get one history, or None."""
    from faceproof.data.preparing import Equalising

    for name, value in {"--equalise-side": side, "--quality": quality}.items():
        if value is not None and not wanted:
            raise UsageError(f"{name} requires --equalise: add it")
    if not wanted:
        return None
    low, dash, high = (quality or "70-95").partition("-")
    if not (low.isdecimal() and high.isdecimal() and dash):
        raise UsageError(f"--quality {quality!r}: write two JPEG qualities, as in 70-95")
    return _record(Equalising, side=side, quality=(int(low), int(high)))


def _crop_format(name: str | None, keep: str) -> str:
    """Return the format of crops."""
    if name is not None and keep == "picture":
        raise UsageError("--format is for crops: leave it out with --keep picture")
    return name or "png"


def _pictures_spec(**values: Any) -> PicturesSpec:
    """Return what decides the pictures."""
    from faceproof.data.preparing import PicturesSpec

    return _record(PicturesSpec, **values)


def _finish_spec(
    balance: str | None, shards: str | None, size: str | None, *, probe: bool
) -> FinishSpec:
    """Return what is made of the pictures."""
    from faceproof.data.preparing import FinishSpec, ShardsSpec
    from faceproof.data.preparing.spec import BALANCES, SHARD_KINDS
    from faceproof.tables import choose

    order = tuple(name.strip() for name in (balance or "").split(",") if name.strip())
    for name in order:
        choose(BALANCES, name, what="--balance")
    if shards is None:
        if size is not None:
            raise UsageError("--shard-size requires --shards: add --shards webdataset")
        return FinishSpec(balance=order, probe=probe)
    kind = choose(SHARD_KINDS, shards, what="--shards")
    wanted = ShardsSpec.parse_size(kind, size) if size else ShardsSpec(kind=kind)
    return FinishSpec(balance=order, shards=wanted, probe=probe)


def _record(kind: type[R], **values: Any) -> R:
    """Return a record of what was typed.

    Raises:
        UsageError: naming the first option whose value cannot be.
    """
    from pydantic import ValidationError

    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        option = {"side": "equalise-side"}.get(field, field)
        raise UsageError(f"--{option} {first['input']!r}: {first['msg']}") from error


def _print_progress(message: str) -> None:
    """Print the progress on standard error."""
    typer.echo(message, err=True)
