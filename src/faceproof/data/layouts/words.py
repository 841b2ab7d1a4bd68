"""What names of folders, classes and splits say, in the spellings that data sets use."""

from __future__ import annotations

import functools
import re

_REAL = frozenset(
    {
        *("real", "reals", "authentic", "genuine", "original", "originals", "live", "pristine"),
        *("bonafide", "nature", "natural", "untampered", "unaltered", "unedited"),
    }
)
_FAKE = frozenset(
    {
        *("fake", "fakes", "faked", "ai", "aigc", "generated", "synthetic", "synthesized"),
        *("synthesised", "synthesis", "gan", "spoof", "spoofs", "spoofed", "deepfake"),
        *("deepfakes", "manipulated", "manipulation", "manipulations", "forged", "forgery"),
        *("forgeries", "tampered", "altered", "edited", "swapped", "artificial", "df"),
    }
)
#: As names of folders these are clear; as values of a column nobody knows what is true.
_FOLDER_ONLY = {"true": "real", "false": "fake"}
_NEGATIONS = frozenset({"not", "non", "no", "anti", "un", "without"})
#: What is written together with a class: realfaces, FakeImages.
_TAIL = re.compile(r"(?<=.)(images?|imgs?|faces?|photos?|pictures?|pics?|videos?|frames?|data)$")
_TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_SPLITS = {
    **dict.fromkeys(("train", "training", "trn", "trainset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "valset"), "validation"),
    **dict.fromkeys(("calibration", "calib"), "calibration"),
    **dict.fromkeys(("test", "testing", "tst", "testset"), "test"),
}


@functools.lru_cache(maxsize=4096)
def said_by(name: str, *, folder: bool = True) -> str:
    """Return what the name says: ``real``, ``fake``, ``both`` or nothing ("").

    As a value of a column (``folder=False``) true and false say nothing; a number never does.

    >>> [said_by(name) for name in ("training_real", "0_real", "FakeImages", "AI", "nature")]
    ['real', 'real', 'fake', 'fake', 'real']
    >>> [said_by(name) for name in ("real_vs_fake", "not_fake", "1", "unreal", "women")]
    ['both', 'both', '', '', '']
    >>> said_by("true"), said_by("true", folder=False)
    ('real', '')
    """
    tokens = [_TAIL.sub("", token.lower()) for token in _TOKEN.findall(name)]
    said = {meaning for token in tokens if (meaning := _meaning(token, folder=folder))}
    if len(said) == 2 or (said and _NEGATIONS & set(tokens)):
        return "both"
    return said.pop() if said else ""


def is_class_word(name: str) -> bool:
    """Return whether the name is one word for a class and nothing more.

    >>> is_class_word("Deepfakes"), is_class_word("StyleGAN")
    (True, False)
    """
    return name.strip().lower() in _REAL | _FAKE


@functools.lru_cache(maxsize=4096)
def split_called(name: str) -> str:
    """Return our name of a split, or nothing where this is the name of none.

    >>> [split_called(name) for name in ("Train", "valid", "testing", "faces")]
    ['train', 'validation', 'test', '']
    """
    return _SPLITS.get(name.strip().lower(), "")


def _meaning(token: str, *, folder: bool) -> str:
    """Return what one word says."""
    if token in _REAL:
        return "real"
    if token in _FAKE:
        return "fake"
    return _FOLDER_ONLY.get(token, "") if folder else ""
