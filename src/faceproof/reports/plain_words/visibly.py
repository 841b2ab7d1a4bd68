"""Text from elsewhere, made harmless: what does not print is written out."""

from __future__ import annotations

_LONGEST = 400
_NO_BREAK = "\N{NO-BREAK SPACE}"


def visible(text: str, *, longest: int = _LONGEST) -> str:
    r"""Return text that shows what it holds: control and direction characters are escaped.

    One longer than ``longest`` is cut in the middle, so that a report stays one.

    >>> visible("café\x1b[2J"), visible("a\u202egpj.exe")
    ('café\\x1b[2J', 'a\\u202egpj.exe')
    """
    if len(text) > longest:
        text = f"{text[: longest // 2]} … {text[-longest // 2 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def unbroken(text: str) -> str:
    """Return text in which no line ends between a number and its percent sign.

    >>> unbroken("from 95.2 %") == "from 95.2\N{NO-BREAK SPACE}%"
    True
    """
    return text.replace(" %", f"{_NO_BREAK}%")
