"""Scorer: the protocol of a network that runs, its options, and what every scorer checks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from faceproof.detector.bundle import Bundle
from faceproof.detector.onnx_file import insert_weights
from faceproof.detector.spec import Member
from faceproof.errors import BundleError, NoHeatMapError
from faceproof.records import Record

Inputs = npt.NDArray[np.float32]
Logits = npt.NDArray[np.float64]
Maps = npt.NDArray[np.float64]

#: The second output of a network that has heat maps.
HEATMAP = "heatmap"


class RunOptions(Record):
    """Device and number of ``threads`` (cores) of one call.

    One is the default: concurrent calls, as in `Checker.check_many`, use the cores better than one
    call on all cores, whose threads wait for each other in every layer.
    """

    device: str = "cpu"
    threads: int = Field(default=1, ge=1)


class Scorer(Protocol):
    """A network that is ready to run; thread-safe."""

    def __call__(self, inputs: Inputs) -> Logits:
        """Return the logits, float64 [N], for float32 [N, 3, S, S]; positive means fake."""

    def explain(self, inputs: Inputs) -> tuple[Logits, Maps]:
        """Return the same logits, and their heat maps, float64 [N, h, w].

        Raises:
            NoHeatMapError: the network has none.
        """


def member_onnx(bundle: Bundle, member: Member) -> bytes:
    """Return a member's ONNX file with all its weights inside, from its two verified files.

    Raises:
        BundleError: a file is missing or not the one that was named, or the ONNX file refers to
            weights that are not in the member's safetensors file.
    """
    data = bundle.read_file(member.onnx)
    name = member.weights.name
    return insert_weights(
        data, lambda: bundle.read_file(member.weights), name=member.onnx.name, weights_name=name
    )


def require_declared_maps(member: Member, *, has_maps: bool) -> None:
    """Reject a network without the heat maps that its bundle declares.

    Raises:
        BundleError: naming its file.
    """
    if member.onnx.heatmap and not has_maps:
        raise BundleError(f"{member.onnx.name} lacks the heat maps that the bundle declares")


class NetworkEnd(NamedTuple):
    """An input or output of a network."""

    name: str
    is_float32: bool
    dimensions: int


def check_ends(inputs: Iterable[NetworkEnd], outputs: Iterable[NetworkEnd], name: str) -> None:
    """Reject a network with other inputs or outputs than pictures, logits and perhaps heat maps.

    Raises:
        BundleError: it has others, or they are not float32.
    """
    taken, given = [*inputs], [*outputs]
    dimensions = [end.dimensions for end in (*taken, *given)]
    named = [end.name for end in given[1:]] in ([], [HEATMAP])
    floats = all(end.is_float32 for end in (*taken, *given))
    if len(taken) != 1 or dimensions not in ([4, 1], [4, 1, 3]) or not (named and floats):
        raise BundleError(
            f"{name} does not take float32 [N, 3, S, S] to float32 logits [N], with or without "
            "a second output `heatmap`, float32 [N, h, w]"
        )


def no_heatmap_error(name: str) -> NoHeatMapError:
    """Return the error for a network without heat maps, with cause and fix."""
    return NoHeatMapError(
        f"{name} has no heat maps: an earlier version exported it, or it does not average "
        "a feature map at its end (vision transformers do not). Check without heat maps, choose "
        "another detector, or export this one again: faceproof export --detector OLD -o NEW"
    )


def validate_maps(answers: object, count: int) -> Maps:
    """Return heat maps as float64 [count, h, w]; raise ValueError for another shape."""
    maps = np.asarray(answers, np.float64)
    if maps.ndim != 3 or len(maps) != count or not maps.size:
        raise ValueError(f"heat maps of shape {list(maps.shape)} for {count} pictures")
    return maps


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
