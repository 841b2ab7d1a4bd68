"""What a verdict, a threshold and a caution mean, in words for people who must act on them.

The page, the command line and the case report say the same because they say it with these. Every
figure comes from the detector's own record; what was not measured is said to be so.
"""

from faceproof.reports.plain_words.budgets import (
    Budget,
    budget,
    budget_details,
    budget_words,
    many_faces_words,
)
from faceproof.reports.plain_words.cautions import CAUTIONS, caution_words
from faceproof.reports.plain_words.conditions import condition_words
from faceproof.reports.plain_words.origins import (
    ABSENCE_PROVES_NOTHING,
    KINDS,
    POINTS,
    STATES,
    credentials_words,
    finding_words,
)
from faceproof.reports.plain_words.stability import stability_words
from faceproof.reports.plain_words.untested import untested
from faceproof.reports.plain_words.verdicts import (
    EVEN_BET,
    NO_PROOF_OF_REAL,
    PIXELS_ONLY,
    VERDICTS,
    VerdictWords,
    answer_words,
    band_words,
    bands_words,
    percent,
    verdict_words,
)
from faceproof.reports.plain_words.visibly import unbroken, visible
from faceproof.reports.plain_words.worth import HOW, Worth, rarity_words, worth

__all__ = [
    "ABSENCE_PROVES_NOTHING",
    "CAUTIONS",
    "EVEN_BET",
    "HOW",
    "KINDS",
    "NO_PROOF_OF_REAL",
    "PIXELS_ONLY",
    "POINTS",
    "STATES",
    "VERDICTS",
    "Budget",
    "VerdictWords",
    "Worth",
    "answer_words",
    "band_words",
    "bands_words",
    "budget",
    "budget_details",
    "budget_words",
    "caution_words",
    "condition_words",
    "credentials_words",
    "finding_words",
    "many_faces_words",
    "percent",
    "rarity_words",
    "stability_words",
    "unbroken",
    "untested",
    "verdict_words",
    "visible",
    "worth",
]
