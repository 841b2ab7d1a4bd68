"""The detector and its checkers, loaded once for all who use the page."""

from __future__ import annotations

import streamlit as st

from faceproof.checker import Checker
from faceproof.detector import Detector, DetectorSpec
from faceproof.errors import NoHeatMapError
from faceproof.frontends.webapp.settings import Settings


@st.cache_resource(show_spinner="Loading the detector …")
def _detector(name: str) -> Detector:
    return Detector.load(name)


@st.cache_resource(show_spinner=False)
def _checker(name: str, faces: str, *, heatmaps: bool) -> Checker:
    return Checker(_detector(name), faces=faces, heatmaps=heatmaps, addresses=None)


def checker(*, whole: bool = False, heatmaps: bool = False) -> Checker:
    """Return the checker of the page; ``whole``: of pictures that are face crops already.

    It fetches no addresses: `inputs` does, as the picture itself is wanted too.

    Raises:
        BundleError: the detector cannot be loaded.
        NoHeatMapError: heat maps are asked for, and the detector has none.
    """
    return _checker(Settings.read().detector, "whole" if whole else "all", heatmaps=heatmaps)


def has_heatmaps() -> bool:
    """Return whether the detector has heat maps to give."""
    try:
        checker(heatmaps=True)
    except NoHeatMapError:
        return False
    return True


def spec() -> DetectorSpec:
    """Return what the detector says about itself."""
    return checker().detector.spec
