"""Text of strangers (names, addresses, metadata) as Markdown that shows it and does nothing."""

from __future__ import annotations

import re

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
# What moves the cursor, hides, or turns the direction of writing makes a name look like another.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]"
)
LONGEST = 80


def escaped(text: str) -> str:
    r"""Return the text as Markdown in which every sign of punctuation stands for itself.

    Streamlit's Markdown also knows colours, icons and formulas: ``:``, ``$`` are escaped too.

    >>> escaped("a_b*.jpg")
    'a\\_b\\*\\.jpg'
    >>> escaped(":red[x] $y$")
    '\\:red\\[x\\] \\$y\\$'
    """
    return _PUNCTUATION.sub(r"\\\1", visible(text))


def small(text: str) -> str:
    """Return the text as small print: Streamlit's captions are too pale to be read by everyone."""
    return f":small[{escaped(text)}]"


def visible(text: str) -> str:
    r"""Return the text on one line, with a mark for each character that cannot be seen.

    >>> visible("gpj.\u202eexe\n")
    'gpj.�exe�'
    """
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text)


def shortened(text: str, longest: int = LONGEST) -> str:
    """Return the text with its middle left out where it is longer than ``longest``.

    >>> shortened("a" * 9 + ".jpg", 9)
    'aaaa….jpg'
    """
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}…{text[-(longest - half - 1) :]}"


def label(name: str) -> str:
    """Return a picture's name for a heading or an option: escaped, at most `LONGEST` long."""
    return escaped(shortened(name))
