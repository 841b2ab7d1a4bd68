"""faceproof doctor: versions, extras, devices, and remedies for what is missing."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from typing import Literal, NamedTuple

import typer

from faceproof.cli.exits import ALL_CHECKED, NOT_ALL_CHECKED
from faceproof.errors import FaceproofError
from faceproof.installation import install_command, this_installation

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)[^;]*(?:;\s*extra\s*==\s*['\"](\w+)['\"])?")


class _ReportLine(NamedTuple):
    """One thing that was looked at; ``wrong`` is broken, ``absent`` is not needed by `check`."""

    state: Literal["ok", "absent", "wrong"]
    what: str
    found: str
    remedy: str = ""


def doctor() -> None:
    """Show versions, extras, devices and detectors, with a fix for each missing part.

    Exit code 1 if a part that `faceproof check` needs is broken.
    """
    broken = False
    for examine in _EXAMINATIONS:
        for line in examine():
            broken = broken or line.state == "wrong"
            typer.echo(f"{line.state:<7} {line.what:<24} {line.found}".rstrip())
            if line.remedy:
                typer.echo(f"{'':<32} -> {line.remedy}")
    typer.echo(
        "Something is broken." if broken else "Everything that `faceproof check` needs works."
    )
    raise typer.Exit(NOT_ALL_CHECKED if broken else ALL_CHECKED)


def _core_lines() -> Iterator[_ReportLine]:
    """Yield this package, Python and the libraries of the core."""
    yield _ReportLine("ok", "faceproof", metadata.version("faceproof"))
    yield _ReportLine("ok", "python", f"{platform.python_version()}, {platform.platform()}")
    for library in _requirements()[""]:
        version = installed_version(library)
        if version:
            yield _ReportLine("ok", library, version)
        else:
            yield _ReportLine("wrong", library, "not installed", this_installation().reinstall())


def _extra_lines() -> Iterator[_ReportLine]:
    """Yield the optional parts, whole or not."""
    for extra, libraries in _requirements().items():
        if extra in {"", "all"}:
            continue
        missing = [library for library in libraries if not installed_version(library)]
        if missing:
            remedy = install_command(extra)
            yield _ReportLine("absent", f"extra {extra}", f"without {', '.join(missing)}", remedy)
        else:
            yield _ReportLine("ok", f"extra {extra}", ", ".join(libraries))


def device_lines() -> Iterator[_ReportLine]:
    """Yield what networks can run on."""
    from faceproof.detector.scorers import PROVIDERS, import_onnxruntime, usable_cores

    available = set(import_onnxruntime().get_available_providers())
    names = [name for name, provider in PROVIDERS.items() if provider in available]
    state: Literal["ok", "wrong"] = "ok" if "cpu" in names else "wrong"
    yield _ReportLine("ok", "usable cores", str(usable_cores()))
    remedy = "" if names else this_installation().reinstall()
    yield _ReportLine(state, "onnxruntime runs on", ", ".join(names), remedy)
    if installed_version("openvino"):
        from faceproof.detector.openvino_scorer import OpenVinoBf16Scorer, openvino_devices

        found = openvino_devices()
        fast = ", ".join(device for device in found if OpenVinoBf16Scorer.can_use(device))
        yield _ReportLine("ok", "openvino runs on", ", ".join(found))
        yield _ReportLine("ok", "openvino-bf16 runs on", fast or "no device here")
    if installed_version("torch"):
        yield _ReportLine("ok", "torch runs on", _torch_devices())


def _picture_lines() -> Iterator[_ReportLine]:
    """Yield the picture formats that depend on how Pillow was built, and the face finder."""
    from PIL import features

    for name in ("webp", "avif"):
        if features.check(name):
            yield _ReportLine("ok", f"{name} pictures", "can be read")
        else:
            yield _ReportLine(
                "absent",
                f"{name} pictures",
                "cannot be read",
                this_installation().upgrade_library("pillow"),
            )
    yield _try_attempt("face finder", _find_faces)


def _detector_lines() -> Iterator[_ReportLine]:
    """Yield the detectors that came with faceproof: each is verified and run once."""
    from faceproof.detector import detectors as names

    if not names():
        yield _ReportLine(
            "wrong", "detector", "none came with this installation", this_installation().reinstall()
        )
    for name in names():
        yield _try_attempt(f"detector {name}", partial(_run_detector, name))


#: What is looked at, in order.
_EXAMINATIONS: tuple[Callable[[], Iterator[_ReportLine]], ...] = (
    _core_lines,
    _extra_lines,
    device_lines,
    _picture_lines,
    _detector_lines,
)


def _requirements() -> dict[str, list[str]]:
    """Return the libraries of each extra, and of the core under the empty name."""
    found: dict[str, list[str]] = {"": []}
    for line in metadata.requires("faceproof") or []:
        if match := _REQUIREMENT.match(line):
            found.setdefault(match[2] or "", []).append(match[1])
    return found


def installed_version(library: str) -> str | None:
    """Return the installed version, or None."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _try_attempt(what: str, attempt: Callable[[], str]) -> _ReportLine:
    """Return what an attempt found, or its error."""
    try:
        return _ReportLine("ok", what, attempt())
    except (FaceproofError, ImportError, OSError) as error:
        return _ReportLine("wrong", what, str(error), this_installation().reinstall())


def _torch_devices() -> str:
    import torch

    count = torch.cuda.device_count()
    cards = [torch.cuda.get_device_name(number) for number in range(count)]
    metal = ["mps"] if torch.backends.mps.is_available() else []
    return ", ".join(["cpu", *metal, *cards])


def _find_faces() -> str:
    import numpy as np

    from faceproof.imaging.faces import YuNet

    YuNet().find(np.zeros((64, 64, 3), np.uint8))
    return "runs"


def _run_detector(name: str) -> str:
    import numpy as np

    from faceproof.detector import Detector

    detector = Detector.load(name)
    scorer = f"{detector.scorer} on {detector.device}"
    side = detector.preprocessing.crop.size
    detector.fake_probabilities(np.zeros((1, 3, side, side), np.float32))
    return f"{detector.spec.name} {detector.spec.version}, every file verified, runs with {scorer}"
