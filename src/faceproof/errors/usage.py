"""What the caller asked for cannot be done."""

from __future__ import annotations

from faceproof.errors.root import FaceproofError


class UsageError(FaceproofError):
    """The caller asked for something impossible."""

    code = "usage"


class UnknownChoiceError(UsageError):
    """A name that is not in a table."""

    code = "unknown_choice"


class RecipeError(UsageError):
    """A recipe that cannot be read."""

    code = "recipe"


class NoHeatMapError(UsageError):
    """Heat maps were asked of a detector that has none."""

    code = "no_heat_map"


class MissingExtraError(UsageError):
    """An optional part is not installed.

    >>> str(MissingExtraError("timm", extra="train"))
    "timm is not installed: pip install 'faceproof[train]'"
    """

    code = "missing_extra"

    def __init__(self, library: str, *, extra: str) -> None:
        super().__init__(f"{library} is not installed: pip install 'faceproof[{extra}]'")
        self.extra = extra
