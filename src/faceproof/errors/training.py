"""Data that cannot be trusted, and a training that cannot go on."""

from __future__ import annotations

from faceproof.errors.root import FaceproofError


class DataError(FaceproofError):
    """A data set that cannot be trusted."""

    code = "data"


class ManifestError(DataError):
    """A row or column breaks the manifest's contract."""

    code = "manifest"


class LeakError(DataError):
    """One picture or group stands in two splits."""

    code = "leak"


class SplitUseError(DataError):
    """A split was used for something it must not decide."""

    code = "split_use"


class TrainingError(FaceproofError):
    """A training that cannot start or go on."""

    code = "training"
