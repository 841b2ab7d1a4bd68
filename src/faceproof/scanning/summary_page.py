"""`scan_page`: the summary of a scan as one HTML page with embedded pictures, no scripts."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from faceproof.messages import count_noun
from faceproof.reports.marked_picture import picture_words
from faceproof.reports.markup import make_environment
from faceproof.reports.words import percent_words, signed_words
from faceproof.scanning.summary import ScanSummary, SuspiciousPicture

#: What an outcome means, for the table of counts.
_MEANINGS = {
    "fake": "at least one face at or above the threshold of fake",
    "unsure": "no face looks fake, at least one between the thresholds or withheld",
    "real": "every face below the threshold of real",
    "no_face": "no face was found",
    "error": "not checked, see the errors",
}


def scan_page(summary: ScanSummary, suspicious: Sequence[SuspiciousPicture]) -> str:
    """Return the HTML of a scan's summary; ``suspicious`` are shown in their order."""
    template = make_environment(
        filters={"uri": _data_uri, "words": picture_words, "percent": percent_words},
        names={"meanings": _MEANINGS, "signed": signed_words, "noun": count_noun},
    ).get_template("scan.html")
    page: str = template.render(page=summary, suspicious=suspicious, verdict=_verdict(summary))
    return page


def _verdict(summary: ScanSummary) -> str:
    """Return the result of the scan in a sentence."""
    fakes, errors = summary.verdicts["fake"], summary.verdicts["error"]
    look = f"{fakes:,} of {count_noun(summary.pictures, 'picture')}"
    verb = "looks" if fakes == 1 else "look"
    return f"{look} {verb} fake, {f'{errors:,}' if errors else 'none'} could not be checked."


def _data_uri(data: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"
