"""`scan_page`: the summary of a scan as one HTML page with embedded pictures, no scripts."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from faceproof.messages import count_noun
from faceproof.reports.marked_picture import picture_words
from faceproof.reports.markup import make_environment
from faceproof.scanning.summary import ScanSummary, SuspiciousPicture

#: What an outcome means, for the table of counts.
_MEANINGS = {
    "fake": "at least one face at or above the threshold of fake",
    "unsure": "no face called fake, at least one between the thresholds or withheld",
    "real": "every face below the threshold of real",
    "no_face": "no face was found",
    "error": "not checked, see the errors",
}


def scan_page(summary: ScanSummary, suspicious: Sequence[SuspiciousPicture]) -> str:
    """Return the HTML of a scan's summary; ``suspicious`` are shown in their order."""
    template = make_environment(
        filters={"uri": _data_uri, "words": picture_words},
        names={"meanings": _MEANINGS, "noun": count_noun},
    ).get_template("scan.html")
    page: str = template.render(page=summary, suspicious=suspicious, verdict=_verdict(summary))
    return page


def _verdict(summary: ScanSummary) -> str:
    """Return the result of the scan in a sentence."""
    fakes, errors = summary.verdicts["fake"], summary.verdicts["error"]
    called = f"{count_noun(fakes, 'picture')} of {summary.pictures:,} called fake"
    return f"{called}, {count_noun(errors, 'picture') if errors else 'none'} not checked."


def _data_uri(data: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"
