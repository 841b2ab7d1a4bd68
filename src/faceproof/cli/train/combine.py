"""faceproof train combine: several detectors become one."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceproof.cli.options import CONDITION, QUIET, complete_detectors
from faceproof.cli.progress import print_lines
from faceproof.errors import UsageError
from faceproof.sources import to_printable

if TYPE_CHECKING:
    from faceproof.data.manifest import Manifest
    from faceproof.training.combine import Combination
    from faceproof.training.recipe import CalibrationRecipe


def combine(
    detectors: Annotated[
        list[str],
        typer.Argument(
            metavar="DETECTOR",
            autocompletion=complete_detectors,
            help="Detectors to combine: names or folders, two or more.",
        ),
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the new detector.")
    ],
    data: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER|MANIFEST",
            help="Training data of the detectors: a prepared folder, or a manifest with splits.",
        ),
    ] = Path("data/prepared"),
    root: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Data folder, if the manifest names none."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for saved scores; default: runs/OUTPUT."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the detector; default: the folder's name.")
    ] = None,
    version: Annotated[str, typer.Option(help="Version of the detector.")] = "1.0",
    condition: Annotated[list[str] | None, CONDITION] = None,
    budget: Annotated[
        list[float] | None,
        typer.Option(
            metavar="SHARE",
            help="False-alarm budget (share of real faces called fake), e.g. 0.01; repeatable.",
        ),
    ] = None,
    default_budget: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Budget of the default operating point.")
    ] = None,
    allow_other_data: Annotated[
        bool,
        typer.Option(
            "--allow-other-data",
            help="Accept detectors trained on other data, if none was trained on these faces.",
        ),
    ] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> None:
    """Combine several detectors into one ensemble.

    Weights, calibration and thresholds are chosen on the calibration split; each member and the
    ensemble are measured on the test split. An interrupted run resumes with its saved scores.
    """
    from faceproof.outputs import refuse_overwriting
    from faceproof.tables import require

    require("torch", "timm", "lightning_fabric", "onnx", "polars", "pyarrow", "safetensors")
    refuse_overwriting({"--output": output}, [data, *detectors])
    from faceproof.runs import RunFolder
    from faceproof.training.combine import combine as make_one

    conditions = tuple(dict.fromkeys(condition or ()))
    how = _make_combination(
        name or output.resolve().name,
        version,
        _calibration_recipe(conditions, tuple(budget or ()), default_budget),
        allow_other_data=allow_other_data,
        command=_reproduction_command(detectors, data, output, allow_other_data=allow_other_data),
    )
    bundle = make_one(
        detectors,
        _read_data_manifest(data, root),
        output,
        RunFolder(run or Path("runs") / output.resolve().name),
        how=how,
        progress=print_lines(quiet=quiet),
    )
    typer.echo(bundle.folder)


def _calibration_recipe(
    conditions: tuple[str, ...], budgets: tuple[float, ...], default: float | None
) -> CalibrationRecipe:
    """Return what is promised under which conditions; what is not named is as in a recipe."""
    from pydantic import ValidationError

    from faceproof.training.recipe import CalibrationRecipe

    named = {"conditions": conditions, "budgets": budgets, "default_budget": default}
    given = {key: value for key, value in named.items() if value not in (None, ())}
    try:
        return CalibrationRecipe.model_validate(given)
    except ValidationError as error:
        fault = error.errors()[0]
        where = str(fault["loc"][0] if fault["loc"] else "budget").removesuffix("s")
        problem = fault["msg"].removeprefix("Value error, ")
        raise UsageError(f"--{where.replace('_', '-')}: {problem}") from error


def _make_combination(
    name: str,
    version: str,
    promised: CalibrationRecipe,
    *,
    allow_other_data: bool,
    command: str,
) -> Combination:
    """Return all that decides the new detector; names that no bundle can have are refused."""
    from pydantic import TypeAdapter, ValidationError

    from faceproof.detector.spec import Name
    from faceproof.training.combine import Combination

    for option, value in {"--name": name, "--version": version}.items():
        try:
            TypeAdapter(Name).validate_python(value)
        except ValidationError as error:
            raise UsageError(
                f"{option} {value!r}: a name has at most 64 letters, digits, '.', '_' and '-', "
                "and starts with a letter or digit"
            ) from error
    return Combination(
        name=name,
        version=version,
        promised=promised,
        conditions=promised.conditions,
        allow_other_data=allow_other_data,
        command=command,
    )


def _reproduction_command(
    detectors: list[str], data: Path, output: Path, *, allow_other_data: bool
) -> str:
    """Return the command for the card, without the folders of this machine above a name."""
    names = [Path(one).name if Path(one).is_absolute() else one for one in detectors]
    folders = [Path(one.name) if one.is_absolute() else one for one in (data, output)]
    words = ["faceproof", "train", "combine", *names, "--data", folders[0].as_posix()]
    words += ["--output", folders[1].as_posix()]
    return shlex.join([*words, *(["--allow-other-data"] if allow_other_data else [])])


def _read_data_manifest(data: Path, root: Path | None) -> Manifest:
    """Return the manifest of a prepared folder, or of a file."""
    from faceproof.data.manifest_files import read_manifest
    from faceproof.data.preparing.folder import read_prepared

    if data.is_dir():
        return read_prepared(data)
    if not data.is_file():
        raise UsageError(
            f"--data {to_printable(str(data))} does not exist; name the prepared folder "
            "that the detectors were trained on, or a manifest with splits"
        )
    return read_manifest(data, root=root)
