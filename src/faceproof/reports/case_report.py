"""`case_html` renders a case report as one HTML file without requests or scripts, escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from faceproof.detector import DetectorSpec, OperatingPoint
from faceproof.errors import MissingExtraError
from faceproof.reports.case_blocks import CaseFacts, JpegImage, Section, collect_evidence
from faceproof.reports.case_facts import ASKED, CheckCommand, case_facts
from faceproof.reports.markup import make_environment
from faceproof.reports.words import keep_percent_together
from faceproof.results import CheckResult, ResavedResult

_MOST_SHORTCUTS = 16


def case_html(
    picture: bytes | None,
    result: CheckResult,
    *,
    detector: DetectorSpec,
    resaved: Sequence[ResavedResult] = (),
    generated: datetime,
    asked: CheckCommand = ASKED,
) -> str:
    """Return the case report on one picture as HTML; ``picture`` is the checked file.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    case = collect_evidence(picture, result, resaved)
    return render_page(case_facts([case], detector, generated=generated, asked=asked))


def render_page(facts: CaseFacts) -> str:
    """Return a case report as HTML.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    try:
        made = make_environment(filters=_FILTERS, names={})
    except ImportError as error:
        raise MissingExtraError("jinja2", extra="report") from error
    html: str = made.get_template("case.html").render(facts=facts)
    return html


def _data_uri(picture: JpegImage) -> str:
    """Return a picture as a data URI."""
    return f"data:image/jpeg;base64,{base64.b64encode(picture.data).decode('ascii')}"


def _band_widths(point: OperatingPoint) -> tuple[float, float, float]:
    """Return the widths of the bands real, unsure and fake in percent."""
    real, fake = 100 * point.real_below, 100 * (1 - point.fake_from)
    return real, 100 - real - fake, fake


def _linked_sections(sections: Sequence[Section]) -> list[Section]:
    """Return the sections linked at the top of the page; pictures are linked by the table.

    >>> _linked_sections([Section("answer", "Answer", 2, ()), Section("faces", "The faces", 3, ())])
    [Section(name='answer', title='Answer', level=2, blocks=())]
    """
    main = [section for section in sections if section.level == 2]
    if len(main) <= _MOST_SHORTCUTS:
        return main
    return [section for section in main if not section.name.startswith("picture-")]


def _kind(block: Any) -> str:
    """Return the block's type name in the template."""
    return type(block).__name__


_FILTERS = {
    "uri": _data_uri,
    "kind": _kind,
    "zones": _band_widths,
    "shortcuts": _linked_sections,
    "unbroken": keep_percent_together,
}
"""Functions of this template in addition to the common ones."""
