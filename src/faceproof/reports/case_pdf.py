"""`case_pdf` renders a case report on A4; the same facts give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from typing import Any

from faceproof.detector import DetectorSpec
from faceproof.errors import MissingExtraError
from faceproof.reports.case_blocks import CaseFacts, collect_evidence
from faceproof.reports.case_facts import ASKED, CheckCommand, case_facts
from faceproof.results import CheckResult, ResavedResult

_MM = 72 / 25.4
_MARGIN = 20 * _MM


def case_pdf(
    picture: bytes | None,
    result: CheckResult,
    *,
    detector: DetectorSpec,
    resaved: Sequence[ResavedResult] = (),
    generated: datetime,
    asked: CheckCommand = ASKED,
) -> bytes:
    """Return the case report on one picture as PDF; ``picture`` is the checked file.

    Raises:
        MissingExtraError: reportlab is not installed.
    """
    case = collect_evidence(picture, result, resaved)
    return render_document(case_facts([case], detector, generated=generated, asked=asked))


def render_document(facts: CaseFacts) -> bytes:
    """Return a case report as PDF.

    Raises:
        MissingExtraError: reportlab is not installed.
    """
    try:
        import reportlab.platypus  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("reportlab", extra="report") from error
    # The number of pages is known only for a second pass.
    _, pages = _build(facts, None)
    return _build(facts, pages)[0]


def _build(facts: CaseFacts, pages: int | None) -> tuple[bytes, int]:
    """Return the file and its number of pages; the footers show ``pages`` as the total."""
    from reportlab.lib.pagesizes import A4
    from reportlab.platypus import SimpleDocTemplate

    from faceproof.reports.pdf import escape_missing, story

    file = BytesIO()
    template = SimpleDocTemplate(
        file,
        pagesize=A4,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=18 * _MM,
        bottomMargin=20 * _MM,
        title=escape_missing(facts.title),
        author="faceproof",
        subject=escape_missing(facts.question),
        creator="faceproof",
        lang="en",
        invariant=1,
    )
    template.afterFlowable = lambda flowable: _outline(template.canv, flowable)

    def footer(canvas: Any, _: Any) -> None:
        _footer(canvas, facts, pages)

    template.build(story(facts, template.width), onFirstPage=footer, onLaterPages=footer)
    return file.getvalue(), template.page


def _outline(canvas: Any, flowable: Any) -> None:
    """Add a heading to the PDF outline."""
    level = getattr(flowable, "outline_level", None)
    if level is not None:
        name = f"heading-{canvas.getPageNumber()}-{flowable.outline_name}"
        canvas.bookmarkPage(name)
        canvas.addOutlineEntry(flowable.outline_title, name, level=level)


def _footer(canvas: Any, facts: CaseFacts, pages: int | None) -> None:
    """Draw the report's title and the page number in the footer."""
    from reportlab.lib.pagesizes import A4

    from faceproof.reports.pdf import GREY, TEXT, fit_text

    canvas.setViewerPreference("DisplayDocTitle", "true")
    canvas.saveState()
    canvas.setFont(TEXT, 8)
    canvas.setFillColor(GREY)
    foot = 11 * _MM
    number = f"Page {canvas.getPageNumber()} of {pages}"
    canvas.drawRightString(A4[0] - _MARGIN, foot, number)
    room = A4[0] - 2 * _MARGIN - 80
    canvas.drawString(_MARGIN, foot, fit_text(f"{facts.title}, {facts.made}", 8, room))
    canvas.restoreState()
