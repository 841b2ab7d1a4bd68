"""`choose`: look-up in a table of choices; `require`, `import_pandas`: what some choices need."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, TypeVar

from faceproof.errors import MissingExtraError, UnknownChoiceError, UsageError

T = TypeVar("T")


def choose(table: Mapping[str, T], name: str, *, what: str = "choice") -> T:
    """Return the entry called ``name``.

    Raises:
        UnknownChoiceError: naming the nearest entry and all of them.

    >>> choose({"cat": 0, "o": 1}, "o")
    1
    >>> choose({"cat": 0, "o": 1}, "ca", what="pet")
    Traceback (most recent call last):
    ...
    faceproof.errors.UnknownChoiceError: unknown pet 'ca', did you mean 'cat'? Choices: cat, o
    """
    if name in table:
        return table[name]
    raise UnknownChoiceError(
        f"unknown {what} {name!r}{did_you_mean(name, table) or '.'} Choices: "
        f"{', '.join(sorted(table))}"
    )


def did_you_mean(name: str, names: Mapping[str, object] | list[str]) -> str:
    """Return ", did you mean 'x'?" for the closest known name, or an empty string."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""


def import_pandas() -> Any:
    """Return pandas, which no extra brings: tables are made for it where the user has it.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise UsageError("pandas is not installed; install it, or use to_polars") from error
    return pd


def require(*libraries: str, extra: str = "train") -> None:
    """Return if every library can be imported.

    Raises:
        MissingExtraError: naming the first that cannot, and the ``extra`` that installs it.

    >>> require("json")
    >>> require("json", "nope")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    faceproof.errors.MissingExtraError: nope is not installed: ...
    """
    for library in libraries:
        if find_spec(library) is None:
            raise MissingExtraError(library, extra=extra)
