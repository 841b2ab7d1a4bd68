"""Text of strangers (names, addresses, metadata) as Markdown that shows it and does nothing."""

from __future__ import annotations

import re

from faceproof.reports.words import escape_controls

_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()<>#+.!|~$:&=^@-])")
# What Streamlit makes a link or an icon of though its signs are escaped; a joiner has no width.
_ACTIVE = re.compile(r"(?<=http)(?=s?://)|(?<=www)(?=\.)|(?=@)|(?<=:)(?=material)", re.IGNORECASE)
_JOINER = "\N{WORD JOINER}"
LONGEST = 80
_MOST = 10_000


def to_markdown(text: str) -> str:
    r"""Return the text as Markdown that shows it: what does not print is written out.

    Every sign of punctuation is escaped, as Streamlit's Markdown also knows colours, icons and
    formulas by ``:`` and ``$``. Addresses and mail addresses become no links.

    >>> to_markdown("a_b*.jpg")
    'a\\_b\\*\\.jpg'
    >>> to_markdown(":red[x] $y$")
    '\\:red\\[x\\] \\$y\\$'
    >>> to_markdown("www.example.org")
    'www\u2060\\.example\\.org'
    """
    return _PUNCTUATION.sub(r"\\\1", _ACTIVE.sub(_JOINER, escape_controls(text, longest=_MOST)))


def small_print(text: str) -> str:
    """Return the text as small print: Streamlit's captions are too pale to be read by everyone."""
    return f":small[{to_markdown(text)}]"


def shorten(text: str, longest: int = LONGEST) -> str:
    """Return the text with its middle left out where it is longer than ``longest``.

    >>> shorten("a" * 9 + ".jpg", 9)
    'aaaa….jpg'
    """
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}…{text[-(longest - half - 1) :]}"


def label(name: str) -> str:
    """Return a picture's name for a heading or an option: escaped, at most `LONGEST` long."""
    return to_markdown(shorten(name))
