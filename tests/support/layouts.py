"""Miniature trees, and what a layout says of them."""

from __future__ import annotations

from pathlib import Path

from faceproof.data.layouts import LAYOUTS, ListedFile, ListingOptions, ListingProblem, Note


def plant(root: Path, *paths: str) -> Path:
    """Write empty files."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def entries(name: str, source: Path, **options: object) -> tuple[list, list, list]:
    """Return what a layout lists, its problems and its notes."""
    found = list(LAYOUTS[name](source, ListingOptions(**options)))
    return tuple(
        [one for one in found if isinstance(one, kind)]
        for kind in (ListedFile, ListingProblem, Note)
    )
