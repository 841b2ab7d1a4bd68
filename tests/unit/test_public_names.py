"""What ``import faceproof`` offers."""

from __future__ import annotations

import pytest

import faceproof


@pytest.mark.parametrize("name", faceproof.__all__)
def test_every_public_name_is_there_and_listed(name):
    value = getattr(faceproof, name)
    assert getattr(value, "__name__", name) == name
    assert name in dir(faceproof)


def test_the_public_names_are_those_of_the_readme():
    assert {"Checker", "Detector", "CheckResult"} <= set(faceproof.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'faceproof' has no attribute 'Chekcer'"):
        _ = faceproof.Chekcer
