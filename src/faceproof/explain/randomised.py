"""Do maps depend on what the network has learnt: its weights shuffled from the top down.

A map that stays when the weights are gone shows edges of the picture, not evidence.

Source: J. Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, arXiv:1810.03292,
cascading randomisation and rank correlation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from faceproof.detector.scorers import Maps
from faceproof.networks.requirements import require

Floats = npt.NDArray[np.float64]

STAGE_PARTS = 3
"""How much of a weight's dotted name says which stage it belongs to: head.dense.weight."""


def cascade(data: bytes, *, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield each stage's name, from the logit's down, and the ONNX file shuffled as far as there.

    A tensor's numbers change places among themselves: as large as before, in no order.

    Raises:
        MissingExtraError: onnx is not installed.
    """
    require("onnx")
    import onnx

    model, rng = onnx.load_from_string(data), np.random.default_rng(seed)
    for stage, tensors in _stages(model.graph):
        for tensor in tensors:
            _shuffle(tensor, rng)
        yield stage, bytes(model.SerializeToString())


def rank_correlation(ours: Maps, theirs: Maps) -> Floats:
    """Return Spearman's correlation of each pair of maps [N, h, w], float64 [N] in [-1, 1].

    0 where one of the two is flat, so that it ranks nothing.

    >>> ours, theirs = np.array([[[1.0, 2], [3, 9]]]), np.array([[[0.1, 0.2], [0.4, 0.3]]])
    >>> rank_correlation(ours, theirs).round(2).tolist()
    [0.8]
    """
    one, other = (_centred_ranks(maps.reshape(len(maps), -1)) for maps in (ours, theirs))
    size = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    return np.asarray(
        np.divide((one * other).sum(axis=1), size, np.zeros(len(one)), where=size > 0)
    )


def _stages(graph: Any) -> list[tuple[str, list[Any]]]:
    """Return the weights of each stage, the last stage first."""
    stages: dict[str, list[Any]] = {}
    for tensor in graph.initializer:
        parts = tensor.name.removesuffix(".half").split(".")[:-1]
        stages.setdefault(".".join(parts[:STAGE_PARTS]), []).append(tensor)
    return [*reversed(stages.items())]


def _shuffle(tensor: Any, rng: np.random.Generator) -> None:
    from onnx import numpy_helper

    numbers = numpy_helper.to_array(tensor)
    mixed = rng.permutation(numbers.ravel()).reshape(numbers.shape)
    tensor.CopyFrom(numpy_helper.from_array(mixed, tensor.name))


def _centred_ranks(rows: Floats) -> Floats:
    """Return the ranks of each row's numbers less their mean; equal numbers share their ranks."""
    below = (rows[:, :, None] > rows[:, None, :]).sum(axis=2)
    equal = (rows[:, :, None] == rows[:, None, :]).sum(axis=2)
    ranks = below + (equal - 1) / 2
    return np.asarray(ranks - ranks.mean(axis=1, keepdims=True))
