"""From logits to probabilities. Fitting is training's work; here a calibration is applied."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from faceproof.records import Record


class Identity(Record):
    """The logit is already calibrated: p = sigmoid(logit)."""

    method: Literal["identity"] = "identity"

    @property
    def line(self) -> tuple[float, float]:
        """Slope and intercept in logit space."""
        return 1.0, 0.0


class Temperature(Record):
    """One number divides all logits: p = sigmoid(logit / temperature).

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
    """

    method: Literal["temperature"] = "temperature"
    temperature: float = Field(ge=1e-6)  # its inverse must be a number

    @property
    def line(self) -> tuple[float, float]:
        """Slope and intercept in logit space."""
        return 1.0 / self.temperature, 0.0


class Platt(Record):
    """A line in logit space: p = sigmoid(slope * logit + intercept).

    The slope is positive, so a calibration can never swap real and fake.
    Source: Platt, Probabilistic Outputs for Support Vector Machines, 1999.
    """

    method: Literal["platt"] = "platt"
    slope: float = Field(gt=0)
    intercept: float

    @property
    def line(self) -> tuple[float, float]:
        """Slope and intercept in logit space."""
        return self.slope, self.intercept


Calibration = Annotated[Identity | Temperature | Platt, Field(discriminator="method")]


def sigmoid(logits: ArrayLike) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-x)), float64 in [0, 1], without overflow for any x.

    >>> sigmoid([-1000.0, 0.0, 1000.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    x = np.asarray(logits, dtype=np.float64)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def calibrate(logits: ArrayLike, calibration: Calibration) -> NDArray[np.float64]:
    """Return the calibrated probabilities of fake, float64 in [0, 1], rising with the logit.

    >>> calibrate([0.0, 2.0], Platt(slope=1.0, intercept=-2.0)).round(3).tolist()
    [0.119, 0.5]
    """
    slope, intercept = calibration.line
    with np.errstate(over="ignore"):  # a logit beyond float64 is simply certain
        return sigmoid(np.asarray(logits, dtype=np.float64) * slope + intercept)
