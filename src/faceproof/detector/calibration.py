"""Calibration: from logits to probabilities; `faceproof.training.calibration` fits it."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from faceproof.records import Record
from faceproof.statistics import sigmoid

_Knot = Annotated[float, Field(ge=-1e9, le=1e9)]


class Identity(Record):
    """The logit is already calibrated: p = sigmoid(logit)."""

    method: Literal["identity"] = Field(default="identity", description="Name of the method.")

    @property
    def line(self) -> tuple[float, float]:
        """Slope and intercept in logit space."""
        return 1.0, 0.0


class Temperature(Record):
    """One number divides all logits: p = sigmoid(logit / temperature).

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
    """

    method: Literal["temperature"] = Field(default="temperature", description="Name of the method.")
    temperature: float = Field(ge=1e-6, description="Divisor of all logits.")

    @property
    def line(self) -> tuple[float, float]:
        """Slope and intercept in logit space."""
        return 1.0 / self.temperature, 0.0


class Platt(Record):
    """A linear calibration of the logit: p = sigmoid(slope * logit + intercept).

    The slope is positive, so a calibration can never swap real and fake.
    Source: Platt, Probabilistic Outputs for Support Vector Machines, 1999.
    """

    method: Literal["platt"] = Field(default="platt", description="Name of the method.")
    slope: float = Field(gt=0, description="Slope in logit space; positive.")
    intercept: float = Field(description="Intercept in logit space.")

    @property
    def line(self) -> tuple[float, float]:
        """Slope and intercept in logit space."""
        return self.slope, self.intercept


class Isotonic(Record):
    """A rising curve in logit space: linear between knots, with one slope beyond the ends.

    ``calibrated[i]`` is the calibrated logit at ``logits[i]``. Both rise strictly, so that
    calibration never swaps real and fake and makes no ties. All are finite, so that no probability
    is 0 or 1. Source: Barlow et al. 1972; one knot a block after Oron and Flournoy 2017, Statistics
    in Biopharmaceutical Research 9:258.
    """

    method: Literal["isotonic"] = Field(default="isotonic", description="Name of the method.")
    logits: tuple[_Knot, ...] = Field(min_length=1, description="Logits of the knots, rising.")
    calibrated: tuple[_Knot, ...] = Field(
        min_length=1, description="Calibrated logits at the knots, rising."
    )
    slope: float = Field(gt=0, description="Slope beyond the ends.")

    @model_validator(mode="after")
    def _require_rising(self) -> Self:
        if len(self.logits) != len(self.calibrated):
            raise ValueError(f"{len(self.logits)} logits, but {len(self.calibrated)} calibrated")
        for name in ("logits", "calibrated"):
            knots = getattr(self, name)
            if any(low >= high for low, high in itertools.pairwise(knots)):
                raise ValueError(f"{name} must rise from knot to knot")
        return self

    def interpolate(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the calibrated logits, float64 of the same shape, rising with ``logits``."""
        x, y = np.asarray(self.logits), np.asarray(self.calibrated)
        below, above = (logits - x[0]) * self.slope + y[0], (logits - x[-1]) * self.slope + y[-1]
        if len(x) == 1:
            return np.asarray(above)
        left = np.clip(np.searchsorted(x, logits, side="right") - 1, 0, len(x) - 2)
        share = np.clip((logits - x[left]) / (x[left + 1] - x[left]), 0, 1)
        # After rounding, a + (b - a) may be greater than b.
        between = np.minimum(y[left] + share * (y[left + 1] - y[left]), y[left + 1])
        inside = np.where(logits > x[-1], above, between)
        return np.asarray(np.where(logits < x[0], below, inside))


Calibration = Annotated[Identity | Temperature | Platt | Isotonic, Field(discriminator="method")]


def calibrated_logits(logits: ArrayLike, calibration: Calibration) -> NDArray[np.float64]:
    """Return calibrated logits, float64 of the same shape: the log-odds of fake.

    >>> calibrated_logits([0.0, 2.0], Platt(slope=1.0, intercept=-2.0)).tolist()
    [-2.0, 0.0]
    """
    x = np.asarray(logits, dtype=np.float64)
    with np.errstate(over="ignore"):  # a logit beyond float64 gives a probability of 0 or 1
        if isinstance(calibration, Isotonic):
            return calibration.interpolate(x)
        slope, intercept = calibration.line
        return np.asarray(x * slope + intercept)


def calibrate(logits: ArrayLike, calibration: Calibration) -> NDArray[np.float64]:
    """Return the calibrated probabilities of fake, float64 in [0, 1], rising with the logit.

    >>> calibrate([0.0, 2.0], Platt(slope=1.0, intercept=-2.0)).round(3).tolist()
    [0.119, 0.5]
    """
    return sigmoid(calibrated_logits(logits, calibration))
