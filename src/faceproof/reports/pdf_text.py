"""Type of the PDF: its fonts, styles, and what becomes of characters that no font has."""

from __future__ import annotations

from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Paragraph

from faceproof.detector import Verdict
from faceproof.reports.plain_words import unbroken

TEXT, BOLD, CODE = "Faceproof", "Faceproof-Bold", "Courier"
INK, GREY, LINE = HexColor("#22262b"), HexColor("#5a626b"), HexColor("#d5d2cb")
SOFT, CAUTION = HexColor("#eff2f5"), HexColor("#fbf4e4")
TONES: dict[Verdict | None, Any] = {
    "fake": HexColor("#b03a00"),
    "unsure": HexColor("#8a6500"),
    "real": HexColor("#00629e"),
    None: GREY,
}
BANDS = (HexColor("#00629e"), HexColor("#f7d648"), HexColor("#b03a00"))
_ELLIPSIS = "..."


@cache
def fonts() -> None:
    """Register Bitstream Vera, which comes with reportlab and may be passed on freely."""
    pdfmetrics.registerFont(TTFont(TEXT, "Vera.ttf"))
    pdfmetrics.registerFont(TTFont(BOLD, "VeraBd.ttf"))
    pdfmetrics.registerFontFamily(TEXT, normal=TEXT, bold=BOLD, italic=TEXT, boldItalic=BOLD)


def shown(text: str) -> str:
    r"""Return text with characters that the font lacks written out.

    >>> shown("café"), shown("фото.jpg")
    ('café', '\\u0444\\u043e\\u0442\\u043e.jpg')
    """
    fonts()
    known = pdfmetrics.getFont(TEXT).face.charToGlyph
    return "".join(c if ord(c) in known else _escaped(c) for c in text)


def style(name: str, size: float, **more: Any) -> ParagraphStyle:
    """Return a paragraph's style; lines of long names are broken anywhere."""
    fonts()
    given = {
        "fontName": TEXT,
        "leading": 1.42 * size,
        "textColor": INK,
        "spaceAfter": 0.45 * size,
        "splitLongWords": 1,
    }
    return ParagraphStyle(name, fontSize=size, **(given | more))


def paragraph(text: str, form: ParagraphStyle) -> Any:
    """Return a paragraph in which nothing of the text is markup."""
    if form.fontName == CODE:
        ascii_only = "".join(c if " " <= c <= "~" else _escaped(c) for c in text)
        return Paragraph(escape(ascii_only), form)
    return Paragraph(escape(shown(unbroken(text))), form)


def heading(text: str, form: ParagraphStyle, *, level: int, name: str) -> Any:
    """Return a heading that stands in the outline at a level from 0."""
    made = paragraph(text, form)
    made.outline_level, made.outline_name, made.outline_title = level, name, shown(text)
    return made


def fitted(text: str, size: float, room: float) -> str:
    """Return text that fits into ``room`` points, without its end if it is too long."""
    text = shown(text)
    if pdfmetrics.stringWidth(text, TEXT, size) <= room:
        return text
    while text and pdfmetrics.stringWidth(text + _ELLIPSIS, TEXT, size) > room:
        text = text[:-1]
    return text + _ELLIPSIS


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode() if ord(character) > 127 else "?"
