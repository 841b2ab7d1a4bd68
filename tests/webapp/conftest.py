"""Sessions of the page, and a site that it may fetch pictures from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from faceproof.frontends.webapp import settings
from support.webpage import Page, opened, picture_site


@pytest.fixture
def page(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Page:
    """The page as it opens, with the detector that calls bright faces fake."""
    monkeypatch.setenv(settings.DETECTOR, str(tiny_bundle))
    return opened()


@pytest.fixture
def site() -> Iterator[str]:
    """The address of a server of the test's own that has one picture."""
    with picture_site("real-astronaut.jpg") as address:
        yield address
