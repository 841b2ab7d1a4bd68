"""How a picture was worn before it was judged, in words."""

from __future__ import annotations

import re
from collections.abc import Mapping

CONDITIONS: Mapping[str, str] = {
    "clean": "unchanged",
    "blur-1": "blurred a little",
    "noise-5": "with a little noise",
    "dark": "darkened",
    "bright": "brightened",
    "screenshot": "shown on a screen and saved again",
}
"""What conditions without a number are called; `condition_words` reads the numbers of others."""

_PATTERNS: Mapping[re.Pattern[str], str] = {
    re.compile(r"jpeg-(\d+)"): "saved as JPEG of quality {}",
    re.compile(r"webp-(\d+)"): "saved as WebP of quality {}",
    re.compile(r"resize-(0\.\d+)"): "reduced to {:.0%} of width and height",
}


def condition_words(condition: str) -> str:
    """Return what was done to a picture, as it follows the noun; an unknown name as it is.

    >>> condition_words("jpeg-60"), condition_words("resize-0.5+jpeg-60")[:12]
    ('saved as JPEG of quality 60', 'reduced to 5')
    """
    return ", then ".join(map(_step, condition.split("+")))


def _step(name: str) -> str:
    for pattern, words in _PATTERNS.items():
        if found := pattern.fullmatch(name):
            return words.format(float(found[1]) if "." in found[1] else found[1]).replace("%", " %")
    return CONDITIONS.get(name, name)
