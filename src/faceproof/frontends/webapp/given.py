"""The pictures that someone gave to the page: in the session's memory, and nowhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import streamlit as st

from faceproof.frontends.webapp.settings import MOST_PICTURES

_KEPT = "pictures kept"


@dataclass(frozen=True)
class Given:
    """One picture: its name, or the address that it was fetched from, and its file's bytes.

    ``about`` is what we know of a picture of ours: who made it and what is true of it.
    """

    name: str
    data: bytes = field(repr=False)
    about: str = ""

    @cached_property
    def key(self) -> str:
        """What tells this picture from the others of the session."""
        return f"{hashlib.sha256(self.data).hexdigest()} {self.name}"


def keep(picture: Given) -> None:
    """Add a picture to those of the session; one that is there already moves to the end."""
    kept = [one for one in kept_pictures() if one.key != picture.key]
    st.session_state[_KEPT] = [*kept, picture][-MOST_PICTURES:]


def forget(key: str) -> None:
    """Take a picture out of the session's."""
    st.session_state[_KEPT] = [one for one in kept_pictures() if one.key != key]


def kept_pictures() -> list[Given]:
    """Return the pictures of the session that no widget holds: fetched, taken, ours."""
    pictures: list[Given] = st.session_state.get(_KEPT, [])
    return pictures


def each_once(pictures: Sequence[Given]) -> list[Given]:
    """Return the pictures without repeats, in order."""
    return list({one.key: one for one in pictures}.values())
