"""Generator: the known generators of fakes and their properties (generators.toml)."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Literal

from pydantic import Field

from faceproof.records import Record
from faceproof.tables import did_you_mean

_Family = Literal[
    "none", "gan", "diffusion", "autoencoder", "face-swap", "reenactment", "editing", "composite"
]


class Generator(Record):
    """One generator; uncertain facts are omitted or "unknown"."""

    name: str = Field(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$")
    family: _Family
    #: The year of its release.
    year: int | None = Field(default=None, ge=2014, le=2100)
    #: Title, and arXiv number or venue; products without a paper are marked as such.
    paper: str
    #: License of the released code or weights; `proprietary` without a release.
    licence: str
    #: The training faces, if they are one known set.
    trained_on: str = ""
    #: Other spellings; case and punctuation are ignored.
    aliases: tuple[str, ...] = ()


def _load() -> Mapping[str, Generator]:
    """Return the entries of generators.toml by name."""
    text = resources.files("faceproof.data").joinpath("generators.toml").read_text("utf-8")
    entries = [Generator(**entry) for entry in tomllib.loads(text)["generator"]]
    return MappingProxyType({entry.name: entry for entry in entries})


def _spelling_key(name: str) -> str:
    """Return a name in lower case without punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


#: Every known generator by its name; `none` is that of a real photograph.
GENERATORS: Mapping[str, Generator] = _load()

_BY_KEY = {
    _spelling_key(name): entry.name
    for entry in GENERATORS.values()
    for name in (entry.name, *entry.aliases)
}


@functools.lru_cache(maxsize=4096)
def find_known_name(name: str) -> str:
    """Return our name of a generator in any spelling, or an empty string if unknown.

    >>> find_known_name("StyleGAN2"), find_known_name("stable_diffusion_v_1_4"), find_known_name(
    ...     "holiday"
    ... )
    ('stylegan2', 'stable-diffusion-1.4', '')
    """
    return _BY_KEY.get(_spelling_key(name), "")


@functools.lru_cache(maxsize=4096)
def canonical_name(name: str) -> str:
    """Return our name of a generator; an unknown one in lower case with hyphens.

    >>> canonical_name("DALL·E 3"), canonical_name("My Model_v2"), canonical_name("")
    ('dall-e-3', 'my-model-v2', '')
    """
    return find_known_name(name) or re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")


def unknown_generator_warning(name: str) -> str | None:
    """Return a warning for an unknown name, with the nearest known one; else an empty string.

    >>> unknown_generator_warning("stylegan2")
    >>> unknown_generator_warning("stylgan2")
    "generator 'stylgan2' is not a known one, did you mean 'stylegan2'? It is kept as written"
    """
    if name in GENERATORS:
        return None
    if name == "unknown":
        return "some fakes have no generator: set it with --generator NAME"
    close = did_you_mean(name, dict(GENERATORS)) or "."
    return f"generator {name!r} is not a known one{close} It is kept as written"
