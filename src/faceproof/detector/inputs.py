"""Inputs of one network as another one reads them: the same crop, normalised otherwise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from faceproof.imaging.preprocessing import CropSpec, InputSpec

Inputs = npt.NDArray[np.float32]


def renormalised(inputs: Inputs, was: InputSpec, now: InputSpec) -> Inputs:
    """Return inputs normalised by ``was`` as ``now`` would have them, float32 [N, 3, S, S].

    Each channel is x * (old std / new std) + (old mean - new mean) / new std, both numbers taken in
    float64. Float32 loses less than 1e-6 of the range of inputs on the way.

    >>> grey = np.full((1, 3, 1, 1), 0.5, np.float32)  # of 0..1, with mean 0 and deviation 1
    >>> plain = InputSpec(mean=(0, 0, 0), std=(1, 1, 1))
    >>> signed = InputSpec(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    >>> renormalised(grey, plain, signed).ravel().tolist()
    [0.0, 0.0, 0.0]
    """
    if was == now:
        return inputs
    old_mean, old_std = np.array(was.mean), np.array(was.std)
    new_mean, new_std = np.array(now.mean), np.array(now.std)
    factor = (old_std / new_std).astype(np.float32)[:, None, None]
    shift = ((old_mean - new_mean) / new_std).astype(np.float32)[:, None, None]
    return np.asarray(inputs * factor + shift, np.float32)


def crop_difference(ours: CropSpec, theirs: CropSpec) -> str:
    """Return in words what differs between two crops, nothing where they are the same.

    >>> crop_difference(CropSpec(size=160), CropSpec(size=224, margin=0.1))
    'size 160 against 224, margin 0.0 against 0.1'
    """
    return ", ".join(_differences(ours, theirs))


def _differences(ours: CropSpec, theirs: CropSpec) -> Iterator[str]:
    for name in CropSpec.model_fields:
        one, other = getattr(ours, name), getattr(theirs, name)
        if one != other:
            yield f"{name} {one} against {other}"
