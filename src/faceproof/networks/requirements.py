"""What an extra brings, asked for before it is imported."""

from __future__ import annotations

from importlib.util import find_spec

from faceproof.errors import MissingExtraError


def require(*libraries: str, extra: str = "train") -> None:
    """Return if every library can be imported.

    Raises:
        MissingExtraError: naming the first that cannot, and the ``extra`` that brings it.

    >>> require("json")
    >>> require("json", "nope")
    Traceback (most recent call last):
    ...
    faceproof.errors.usage.MissingExtraError: nope is not installed: pip install 'faceproof[train]'
    """
    for library in libraries:
        if find_spec(library) is None:
            raise MissingExtraError(library, extra=extra)
