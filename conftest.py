"""Doctests run with and without the training stack."""

from __future__ import annotations

import importlib.util

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Without torch, skip the doctests of modules that import it; the skips are counted and named.

    With it nothing is skipped, so that a module that cannot be imported fails there.
    """
    if importlib.util.find_spec("torch") is None:
        config.option.doctest_ignore_import_errors = True
