"""`story`: a case report's blocks as reportlab flowables, with fonts and styles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape

from reportlab.graphics.shapes import Drawing, Line, Rect, String
from reportlab.lib.colors import HexColor, white
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import (
    CondPageBreak,
    Image,
    PageBreak,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

from faceproof.detector import Verdict
from faceproof.reports.case_blocks import (
    Answer,
    Block,
    Bullets,
    CaseFacts,
    Code,
    FaceCard,
    FactsBlock,
    JpegImage,
    Meter,
    PictureBlock,
    Section,
)
from faceproof.reports.case_blocks import Paragraph as ParagraphBlock
from faceproof.reports.case_blocks import Table as TableBlock
from faceproof.reports.words import keep_percent_together

TEXT, _BOLD, _CODE = "Faceproof", "Faceproof-Bold", "Courier"
_INK, GREY, LINE = HexColor("#22262b"), HexColor("#5a626b"), HexColor("#d5d2cb")
_SOFT, CAUTION = HexColor("#eff2f5"), HexColor("#fbf4e4")
_TONES: dict[Verdict | None, Any] = {
    "fake": HexColor("#b03a00"),
    "unsure": HexColor("#8a6500"),
    "real": HexColor("#00629e"),
    None: GREY,
}
_BANDS = (HexColor("#00629e"), HexColor("#f7d648"), HexColor("#b03a00"))
_ELLIPSIS = "..."


@cache
def register_fonts() -> None:
    """Register Bitstream Vera, which reportlab bundles under a free licence."""
    pdfmetrics.registerFont(TTFont(TEXT, "Vera.ttf"))
    pdfmetrics.registerFont(TTFont(_BOLD, "VeraBd.ttf"))
    pdfmetrics.registerFontFamily(TEXT, normal=TEXT, bold=_BOLD, italic=TEXT, boldItalic=_BOLD)


def escape_missing(text: str) -> str:
    r"""Return text with characters missing in the font escaped.

    >>> escape_missing("café"), escape_missing("фото.jpg")
    ('café', '\\u0444\\u043e\\u0442\\u043e.jpg')
    """
    register_fonts()
    known = pdfmetrics.getFont(TEXT).face.charToGlyph
    return "".join(c if ord(c) in known else _escape_character(c) for c in text)


def style(name: str, size: float, **more: Any) -> ParagraphStyle:
    """Return a paragraph style; long names break anywhere."""
    register_fonts()
    given = {
        "fontName": TEXT,
        "leading": 1.42 * size,
        "textColor": _INK,
        "spaceAfter": 0.45 * size,
        "splitLongWords": 1,
    }
    return ParagraphStyle(name, fontSize=size, **(given | more))


def paragraph(text: str, form: ParagraphStyle) -> Any:
    """Return a paragraph with the text's markup escaped."""
    if form.fontName == _CODE:
        ascii_only = "".join(c if " " <= c <= "~" else _escape_character(c) for c in text)
        return Paragraph(escape(ascii_only), form)
    return Paragraph(escape(escape_missing(keep_percent_together(text))), form)


def heading(text: str, form: ParagraphStyle, *, level: int, name: str) -> Any:
    """Return a heading with an outline entry at a level from 0."""
    made = paragraph(text, form)
    made.outline_level, made.outline_name, made.outline_title = level, name, escape_missing(text)
    return made


def fit_text(text: str, size: float, room: float) -> str:
    """Return text truncated to ``room`` points."""
    text = escape_missing(text)
    if pdfmetrics.stringWidth(text, TEXT, size) <= room:
        return text
    while text and pdfmetrics.stringWidth(text + _ELLIPSIS, TEXT, size) > room:
        text = text[:-1]
    return text + _ELLIPSIS


def _escape_character(character: str) -> str:
    return character.encode("unicode_escape").decode() if ord(character) > 127 else "?"


_BODY = style("body", 9.5)
SMALL = style("small", 8.5, textColor=GREY)
_KICKER = style("kicker", 10, fontName=_BOLD, textColor=GREY)
_TITLE = style("title", 19, fontName=_BOLD, leading=24, spaceAfter=4)
_HEADINGS = {
    2: style("h2", 13, fontName=_BOLD, spaceBefore=16, spaceAfter=5),
    3: style("h3", 10.5, fontName=_BOLD, spaceBefore=10, spaceAfter=4),
}
_HEADLINE = style("headline", 14, fontName=_BOLD, leading=18, spaceAfter=4)
FACE = style("face", 10.5, fontName=_BOLD)
HEAD = style("head", 8.5, fontName=_BOLD, textColor=GREY, spaceAfter=0)
_CELL = style("cell", 9, spaceAfter=0)
_MONO = style("mono", 8.5, fontName=_CODE, spaceAfter=0)
_BULLET = style("bullet", 9.5, leftIndent=12, bulletIndent=2, spaceAfter=3)

ESCAPED = (
    "This PDF has no font for some letters of these commands and shows their codes. Type the "
    "letters themselves, or copy the commands from the HTML report."
)
_PICTURE_HEIGHT = 290
_CROP = 92
_ENDLESS, _MOST_KEPT = 1e6, 500.0


def story(facts: CaseFacts, width: float) -> list[Any]:
    """Return the whole report for pages with a text width of ``width`` points."""
    made = [
        heading(facts.title, _KICKER, level=0, name="title"),
        paragraph(facts.question, _TITLE),
        paragraph(f"Made by faceproof, {facts.made}.", SMALL),
    ]
    for section in facts.sections:
        made += _section(section, width)
    return made


def _section(section: Section, width: float) -> Iterator[Any]:
    # Each picture starts a page, so that its pages can be separated.
    if section.name.startswith("picture-"):
        yield PageBreak()
    level = section.level
    title = heading(section.title, _HEADINGS[level], level=level - 1, name=section.name)
    rest = [one for block in section.blocks for one in BLOCKS[type(block)](block, width)]
    yield CondPageBreak(_least_height([title, *rest], width, contents=3))
    yield title
    yield from rest


def _least_height(flowables: Sequence[Any], width: float, *, contents: int) -> float:
    """Return the height of the first flowables that draw something, in points.

    A table counts with its head and its first row. What is kept with the next does not count as
    an end. Measured by hand, as reportlab keeps a heading with nothing that can be split.
    """
    height = 0.0
    for one in flowables:
        if contents == 0:
            break
        height += one.getSpaceBefore() + one.wrap(width, _ENDLESS)[1] + one.getSpaceAfter()
        if isinstance(one, Table):
            rows = one._rowHeights  # noqa: SLF001 (reportlab has no public name for it)
            height += sum(rows[: one.repeatRows + 1]) - sum(rows)
        contents -= not isinstance(one, Spacer | CondPageBreak) and not one.getKeepWithNext()
    return min(height, _MOST_KEPT)


def _answer(block: Answer, width: float) -> Iterator[Any]:
    words = [paragraph(block.headline, _HEADLINE), paragraph(block.text, _BODY)]
    yield _box(words, width, _TONES[block.verdict])
    yield Spacer(1, 8)


def _paragraph(block: ParagraphBlock, width: float) -> Iterator[Any]:
    if not block.note:
        yield paragraph(block.text, _BODY)
        return
    yield Spacer(1, 3)
    yield _box([paragraph(block.text, _BODY)], width, GREY, fill=_SOFT)
    yield Spacer(1, 6)


def _bullets(block: Bullets, _: float) -> Iterator[Any]:
    for item in block.items:
        made = paragraph(item, _BULLET)
        made.bulletText = "•"
        yield made
    yield Spacer(1, 4)


def _table(block: TableBlock, width: float) -> Iterator[Any]:
    rows = [[paragraph(cell, HEAD) for cell in block.head]]
    rows += [[paragraph(cell, _CELL) for cell in row] for row in block.rows]
    columns = _columns([block.head, *block.rows], width)
    caption = paragraph(block.caption, style("caption", 8.5, textColor=GREY))
    table = Table(rows, colWidths=columns, repeatRows=1, hAlign="LEFT")
    lines = [
        ("LINEBELOW", (0, 0), (-1, -1), 0.5, LINE),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ]
    table.setStyle(TableStyle(lines))
    yield CondPageBreak(_least_height([caption, table], width, contents=2))
    yield from (caption, table, Spacer(1, 8))


def _columns(rows: Sequence[Sequence[str]], width: float) -> list[float]:
    """Return the widths of columns in proportion to their longest cells, within bounds."""
    longest = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    shares = [min(max(length, 8), 45) for length in longest]
    room = min(width, 6.5 * sum(shares))
    return [room * share / sum(shares) for share in shares]


def _facts(block: FactsBlock, width: float) -> Iterator[Any]:
    rows = [
        [paragraph(label, SMALL), paragraph(value, _MONO if kind == "code" else _CELL)]
        for label, value, kind in block.rows
    ]
    table = Table(rows, colWidths=[0.26 * width, 0.74 * width], hAlign="LEFT")
    table.setStyle(
        TableStyle([("LEFTPADDING", (0, 0), (-1, -1), 0), ("VALIGN", (0, 0), (-1, -1), "TOP")])
    )
    yield from (table, Spacer(1, 6))


def _picture(block: PictureBlock, width: float) -> Iterator[Any]:
    image = _image(block.jpeg, width, _PICTURE_HEIGHT)
    image.hAlign = "LEFT"
    image.keepWithNext = 1
    yield image
    yield paragraph(block.caption, style("picture caption", 8.5, textColor=GREY, spaceBefore=4))


def _image(jpeg: JpegImage, width: float, height: float) -> Any:
    """Return a picture scaled to fit, with its file unchanged."""
    factor = min(width / jpeg.width, height / jpeg.height)
    return Image(BytesIO(jpeg.data), factor * jpeg.width, factor * jpeg.height)


def _face(block: FaceCard, width: float) -> Iterator[Any]:
    views = [_image(one, _CROP, _CROP) for one in (block.crop, block.heat) if one]
    left = len(views) * (_CROP + 8)
    room = width - left - 20
    words = [
        paragraph(block.headline, FACE),
        _meter(block.meter, min(room, 240)),
        *(paragraph(line, _BODY) for line in block.lines),
        *(_box([paragraph(text, _CELL)], room, GREY, fill=CAUTION) for text in block.cautions),
    ]
    if block.heat_words:
        words.append(paragraph(block.heat_words, SMALL))
    cells = [*views, words]
    widths = [*(_CROP + 8 for _ in views), width - left]
    table = Table([cells], colWidths=widths, hAlign="LEFT")
    table.setStyle(TableStyle(_box_style(_TONES[block.verdict])))
    yield from (table, Spacer(1, 7))  # one row, which is never split


def _meter(block: Meter, width: float) -> Any:
    """Return the bands of an operating point with a needle at the probability."""
    drawing = Drawing(width, 26)
    ends = (0.0, block.point.real_below, block.point.fake_from, 1.0)
    for start, end, colour in zip(ends, ends[1:], _BANDS, strict=False):
        bar = Rect(start * width, 13, (end - start) * width, 7, fillColor=colour)
        bar.strokeColor, bar.strokeWidth = white, 0.5
        drawing.add(bar)
    x = 1.5 + block.fake_probability * (width - 3)
    drawing.add(Line(x, 10, x, 24, strokeColor=_INK, strokeWidth=2.4, strokeLineCap=1))
    drawing.add(String(0, 3, "0 % fake", fontName=TEXT, fontSize=7, fillColor=GREY))
    drawing.add(
        String(width, 3, "100 % fake", fontName=TEXT, fontSize=7, fillColor=GREY, textAnchor="end")
    )
    return drawing


def _code(block: Code, width: float) -> Iterator[Any]:
    lines = [paragraph(line, _MONO) for line in block.lines]
    yield _box(lines, width, LINE)
    yield Spacer(1, 6)
    if not "".join(block.lines).isascii():
        yield paragraph(ESCAPED, _BODY)


def _box(content: list[Any], width: float, tone: Any, *, fill: Any = white) -> Any:
    table = Table([[content]], colWidths=[width], hAlign="LEFT")
    table.setStyle(TableStyle([*_box_style(tone), ("BACKGROUND", (0, 0), (-1, -1), fill)]))
    return table


def _box_style(tone: Any) -> list[Any]:
    """Return a thin frame with a bold left line in a verdict's colour."""
    whole = (0, 0), (-1, -1)
    return [
        ("BOX", *whole, 0.5, LINE),
        ("LINEBEFORE", (0, 0), (0, -1), 3, tone),
        ("VALIGN", *whole, "TOP"),
        ("LEFTPADDING", *whole, 9),
        ("RIGHTPADDING", *whole, 7),
        ("TOPPADDING", *whole, 7),
        ("BOTTOMPADDING", *whole, 5),
    ]


BLOCKS: Mapping[type[Block], Callable[..., Iterator[Any]]] = {
    Answer: _answer,
    ParagraphBlock: _paragraph,
    Bullets: _bullets,
    TableBlock: _table,
    FactsBlock: _facts,
    PictureBlock: _picture,
    FaceCard: _face,
    Code: _code,
}
"""Renderer of each type of block; a test compares the keys with the types."""
