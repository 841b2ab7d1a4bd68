"""Options of the verbs that run a detector: which library runs its networks, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from faceproof.cli.options import (
    DEVICE_VARIABLE,
    SCORER_VARIABLE,
    complete_from,
    complete_words,
)

if TYPE_CHECKING:
    from faceproof.detector import Detector

_SCORERS = "auto|onnxruntime|openvino|torch|openvino-bf16"


def scorer_option(*variables: str) -> typer.models.OptionInfo:
    """Return the option ``--scorer``; ``variables`` are read before `SCORER_VARIABLE`."""
    option: typer.models.OptionInfo = typer.Option(
        "--scorer",
        metavar=_SCORERS,
        envvar=[*variables, SCORER_VARIABLE],
        autocompletion=complete_words(_SCORERS),
        help="Library that runs the networks; auto: the first installed one for the device.",
    )
    return option


def device_option(*variables: str) -> typer.models.OptionInfo:
    """Return the option ``--device``; ``variables`` are read before `DEVICE_VARIABLE`."""
    option: typer.models.OptionInfo = typer.Option(
        "--device",
        metavar="NAME",
        envvar=[*variables, DEVICE_VARIABLE],
        autocompletion=complete_from("faceproof.detector.scorers:DEVICES"),
        help="Device: cpu, cuda, gpu, ...; faceproof doctor lists those found.",
    )
    return option


_SCORER, _DEVICE = scorer_option(), device_option()
Scorer = Annotated[str, _SCORER]
Device = Annotated[str, _DEVICE]
# Of a verb that does not always run a detector.
OptionalScorer = Annotated[str | None, _SCORER]
OptionalDevice = Annotated[str | None, _DEVICE]


def load_detector(name: str, *, scorer: str, device: str, all_cores: bool = False) -> Detector:
    """Return a detector as the options name it.

    ``all_cores`` is for calls that come one after another; concurrent ones take a core each.

    Raises:
        BundleError, UsageError: as `Detector.load` does.
    """
    from faceproof.detector import Detector
    from faceproof.detector.scorers import usable_cores

    threads = usable_cores() if all_cores else 1
    return Detector.load(name, scorer=scorer, device=device, threads=threads)
