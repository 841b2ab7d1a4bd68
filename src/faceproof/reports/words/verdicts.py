"""Verdicts, cautions and origins in words: about pixels, and never about a person."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from faceproof.detector import DetectorSpec, OperatingPoint, Verdict, decide
from faceproof.evaluation.finding_names import is_attack
from faceproof.provenance.records import (
    ContentCredentials,
    CredentialState,
    FindingKind,
    PointsTo,
    ProvenanceFinding,
)
from faceproof.reports.words.budgets import condition_words, conditions, slice_names, tests
from faceproof.reports.words.cautions import withheld_words
from faceproof.results import CheckedFace, CheckResult

if TYPE_CHECKING:
    from faceproof.results import ResavedResult


_LONGEST = 400
_NO_BREAK = "\N{NO-BREAK SPACE}"


def escape_controls(text: str, *, longest: int = _LONGEST) -> str:
    r"""Return text that shows what it holds: control and direction characters are escaped.

    One longer than ``longest`` is cut in the middle, so that a report stays one.

    >>> escape_controls("café\x1b[2J"), escape_controls("a\u202egpj.exe")
    ('café\\x1b[2J', 'a\\u202egpj.exe')
    """
    if len(text) > longest:
        text = f"{text[: longest // 2]} … {text[-longest // 2 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def keep_percent_together(text: str) -> str:
    """Return text in which no line ends between a number and its percent sign.

    >>> keep_percent_together("from 95.2 %") == "from 95.2\N{NO-BREAK SPACE}%"
    True
    """
    return text.replace(" %", f"{_NO_BREAK}%")


PIXELS_ONLY = (
    "A verdict is about the pixels of this file. It does not show who the person is, who made the "
    "picture or why, and it is one piece of evidence among others."
)
NO_PROOF_OF_REAL = (
    "“No sign of a fake” does not prove that the picture is authentic: it means that this "
    "detector found none of the signs that it has learned."
)
EVEN_BET = (
    "The probability holds where half of all faces are fake. Where fakes are rarer, more "
    "“looks fake” verdicts are wrong."
)
_NOT_CHECKED = "This picture could not be checked, so there is no verdict."
NO_FACE = (
    "No face was found, so there is no verdict. This is not evidence for or against the picture."
)

_MOST_DECIMALS = 8


class VerdictWords(NamedTuple):
    """A verdict in the words that a reader sees everywhere, and what it means in a sentence.

    ``word`` is for a label, a frame or a cell of a table; ``short`` is the same as a headline.
    """

    word: str
    short: str
    sentence: str


VERDICTS: Mapping[Verdict, VerdictWords] = {
    "fake": VerdictWords(
        "looks fake",
        "Looks fake",
        "The pixels of this face look more like those of generated or manipulated faces than like "
        "those of photographs.",
    ),
    "unsure": VerdictWords(
        "unsure",
        "Unsure",
        "The pixels of this face show too little for a verdict: they are neither clearly like "
        "those of fakes nor clearly like those of photographs.",
    ),
    "real": VerdictWords(
        "no sign of a fake",
        "No sign of a fake",
        "Nothing that this detector has learned to see in fakes was found in this face.",
    ),
}
"""What each verdict is called on pictures, pages and tables; a contract test walks it.

JSON, CSV and the options of the command line have its code, the key. A picture's frame has the
same word as the text, as no label may claim more than the text does.
"""


def verdict_words(verdict: Verdict) -> str:
    """Return a face's verdict in a few words.

    >>> verdict_words("fake")
    'Looks fake'
    """
    return VERDICTS[verdict].short


def answer_words(result: CheckResult) -> str:
    """Return the answer for the whole picture in one sentence; it is that of its worst face."""
    if result.verdict is None:
        return NO_FACE if result.status == "no_face" else _NOT_CHECKED
    count = len(result.faces)
    same = sum(face.verdict == result.verdict for face in result.faces)
    if result.verdict == "real":
        return f"No sign of a fake was found in {_choose_form(count, 'this face', 'any of these')}."
    if result.verdict == "unsure":
        subject = _choose_form(count, "this face", f"{same} of these")
        return f"The detector is unsure about {subject}."
    if count == 1:
        return "This face looks fake: generated or manipulated."
    return (
        f"{same} of these {count} faces {'look' if same > 1 else 'looks'} fake: generated or "
        "manipulated."
    )


def _choose_form(count: int, one: str, several: str) -> str:
    return one if count == 1 else f"{several} {count} faces"


def face_words(face: CheckedFace) -> str:
    """Return what a face's verdict means, in a sentence."""
    return withheld_words(face) or VERDICTS[face.verdict].sentence


def face_band_words(face: CheckedFace, point: OperatingPoint) -> str:
    """Return a face's probability with its bands, or that it does not count."""
    if not face.quality.withholds_verdict:
        return band_words(face.fake_probability, point)
    return f"Probability of a fake: {percent(face.fake_probability, point)}, which does not count"


def band_words(fake_probability: float, point: OperatingPoint) -> str:
    r"""Return a probability of fake with the bands of an operating point.

    >>> from faceproof.detector import ChosenOn
    >>> on = ChosenOn(data_sha256="0" * 64, n=9)
    >>> at = {"name": "a", "real_below": 0.2, "fake_from": 0.95, "promise": "?", "chosen_on": on}
    >>> print(band_words(0.971, OperatingPoint(**at)).replace(" (", "\n("))
    Probability of a fake: 97.1 %, in the band “looks fake”
    (no sign of a fake below 20.0 %, unsure between, looks fake from 95.0 %)
    """
    decimals = percent_decimals(fake_probability, point)
    shown, ends = _percent(fake_probability, decimals), _ends(point, decimals)
    band = VERDICTS[decide(fake_probability, point)].word
    return f"Probability of a fake: {shown}, in the band “{band}” ({ends})"


def bands_words(point: OperatingPoint) -> str:
    """Return the bands of an operating point in words."""
    return _ends(point, percent_decimals(0.5, point))


def next_threshold_words(fake_probability: float, point: OperatingPoint) -> str:
    """Return where the verdict begins towards which an ``unsure`` probability leans.

    >>> from faceproof.detector import ChosenOn
    >>> on = ChosenOn(data_sha256="0" * 64, n=9)
    >>> at = {"name": "a", "real_below": 0.2, "fake_from": 0.95, "promise": "?", "chosen_on": on}
    >>> next_threshold_words(0.9, OperatingPoint(**at))
    '“looks fake” starts at 95.0 %'
    >>> next_threshold_words(0.3, OperatingPoint(**at))
    '“no sign of a fake” ends at 20.0 %'
    """
    decimals = percent_decimals(fake_probability, point)
    if fake_probability > 0.5:
        return f"“{VERDICTS['fake'].word}” starts at {_percent(point.fake_from, decimals)}"
    return f"“{VERDICTS['real'].word}” ends at {_percent(point.real_below, decimals)}"


def percent(probability: float, point: OperatingPoint) -> str:
    """Return a probability as a percentage with enough digits to separate it from thresholds.

    What is not certain is never written as 0 or 100 %.
    """
    return _percent(probability, percent_decimals(probability, point))


def percent_words(probability: float) -> str:
    """Return a probability as a percentage with one decimal, where no thresholds are at hand.

    >>> percent_words(0.9971), percent_words(0.99999), percent_words(1.0)
    ('99.7 %', 'more than 99.9 %', '100.0 %')
    """
    return _percent(probability, 1)


def percent_decimals(probability: float, point: OperatingPoint) -> int:
    """Return with how many decimals a percentage lies on the same side of both thresholds."""
    enough = (
        decimals
        for decimals in range(1, _MOST_DECIMALS)
        if all(
            _is_distinct(probability, end, decimals) for end in (point.real_below, point.fake_from)
        )
    )
    return next(enough, _MOST_DECIMALS)


def _is_distinct(probability: float, end: float, decimals: int) -> bool:
    rounded, threshold = round(100 * probability, decimals), round(100 * end, decimals)
    certain = end in {0.0, 1.0}
    return (rounded >= threshold) == (probability >= end) and (certain or 0 < threshold < 100)


def _percent(probability: float, decimals: int) -> str:
    smallest = 10.0**-decimals
    rounded = round(100 * probability, decimals)
    if rounded >= 100 and probability < 1:
        return f"more than {100 - smallest:.{decimals}f} %"
    if rounded <= 0 and probability > 0:
        return f"less than {smallest:.{decimals}f} %"
    return f"{rounded:.{decimals}f} %"


def _ends(point: OperatingPoint, decimals: int) -> str:
    low, high = _percent(point.real_below, decimals), _percent(point.fake_from, decimals)
    if point.real_below == point.fake_from:
        return f"no sign of a fake below {high}, looks fake from there"
    return f"no sign of a fake below {low}, unsure between, looks fake from {high}"


def stability_words(result: CheckResult, resaved: Sequence[ResavedResult]) -> str:
    """Return how the verdict held when the picture was saved again, as `resaved` found."""
    if not resaved:
        return "The check of whether the verdict holds when the picture is saved again was not run."
    if result.verdict is None:
        return "The picture has no verdict, so saving it again cannot change it."
    same = [one for one in resaved if one.verdict == result.verdict]
    changed = [one for one in resaved if one.verdict != result.verdict]
    if not changed:
        return f"The verdict stayed the same in all {len(resaved)} ways of saving it again."
    became: dict[str, list[str]] = {}
    for one in changed:
        became.setdefault(_outcome(one), []).append(condition_words(one.condition))
    outcomes = "; ".join(
        f"{outcome} when {_join_alternatives(ways)}" for outcome, ways in became.items()
    )
    return (
        f"The verdict stayed the same in {len(same)} of {len(resaved)} ways of saving it again. "
        f"It became {outcomes}."
    )


def _outcome(one: ResavedResult) -> str:
    if one.verdict:
        return f"“{VERDICTS[one.verdict].word}”"
    return (
        "none, as no face was found," if one.status == "no_face" else "none, as it was unreadable,"
    )


def _join_alternatives(ways: Sequence[str]) -> str:
    return " or ".join(filter(None, ["; ".join(ways[:-1]), ways[-1]]))


ABSENCE_PROVES_NOTHING = (
    "Metadata can be copied, forged or removed. A trace is only a statement by the file, and the "
    "absence of one proves nothing. None of this changes the verdict on the pixels."
)
_NOT_LOOKED_FOR = "Content credentials were not read."

KINDS: Mapping[FindingKind, str] = {
    "generator_trace": "Trace of a generator",
    "digital_source_type": "Stated source",
    "editing_software": "Editing software",
    "camera": "Camera",
    "saved_again": "Saved again",
    "metadata": "Metadata",
    "credentials": "Content credentials",
    "unreadable": "Not readable",
}
"""What each kind of finding is called."""

POINTS: Mapping[PointsTo, str] = {
    "made_by_ai": "if true, indicates a generated picture",
    "edited": "if true, indicates an edited picture",
    "captured": "if true, indicates a photograph",
    "nothing": "",
}
"""What a finding indicates, if the file is truthful; most indicate nothing."""

STATES: Mapping[CredentialState, str] = {
    "absent": "None",
    "trusted": "Valid, by a signer on the trust list",
    "untrusted": "Valid, by a signer not on the trust list",
    "invalid": "Not valid",
    "tampered": "Changed after signing",
    "unreadable": "Not readable",
}
"""What each state of content credentials is called."""


def finding_words(finding: ProvenanceFinding) -> str:
    """Return one statement of a file about its origin, with its location.

    >>> finding_words(ProvenanceFinding(kind="camera", says="A camera is named.", where="EXIF"))
    'A camera is named. (EXIF)'
    """
    place = f"{finding.where}: “{finding.value}”" if finding.value else finding.where
    return f"{finding.says} ({'; '.join(filter(None, [place, POINTS[finding.points_to]]))})"


def credentials_words(credentials: ContentCredentials | None) -> str:
    """Return the state of the signed statement in a file.

    >>> credentials_words(None)
    'Content credentials were not read.'
    """
    if credentials is None:
        return _NOT_LOOKED_FOR
    signer = f" Signer named: {credentials.signer}." if credentials.signer else ""
    return f"{STATES[credentials.state]}. {credentials.says}{signer}"


_GROUPS = re.compile(r"\b(age|gender|ethnicity)=")


def untested_sentences(spec: DetectorSpec) -> list[str]:
    """Return in sentences what this detector was not tested on; its maker's notes come last."""
    return [
        *_test_data_sentences(spec),
        *_group_sentences(spec),
        *_attack_sentences(spec),
        *spec.notes,
    ]


def _test_data_sentences(spec: DetectorSpec) -> Iterator[str]:
    if not any(True for _ in tests(spec)):
        yield "This detector was not tested at all: nothing is known about how often it errs."
        yield _training_data_sentence(spec)
        return
    generators, sources = slice_names(spec, "generator="), slice_names(spec, "source=")
    yield (
        f"Fakes other than those in the tests: {_list_names(generators)}. "
        "New generators and other kinds of manipulation may be missed."
    )
    unseen = [one for one in spec.generators_seen if one not in {*generators, "none"}]
    if unseen:
        yield f"Learned from, but not tested on: fakes of {_list_names(unseen)}."
    yield f"Pictures from sources other than those in the tests: {_list_names(sources)}."
    ways = _list_names([condition_words(name) for name in conditions(spec)])
    yield f"Pictures with degradations other than these: {ways}."


def _training_data_sentence(spec: DetectorSpec) -> str:
    known = _list_names([one for one in spec.generators_seen if one != "none"])
    return f"Learned from fakes of: {known}."


def _group_sentences(spec: DetectorSpec) -> Iterator[str]:
    if not any(_GROUPS.search(one.slice) for one in tests(spec)):
        yield "Whether it errs more often on some groups of people: not measured."


def _attack_sentences(spec: DetectorSpec) -> Iterator[str]:
    if not any(is_attack(one.condition) for one in tests(spec)):
        yield "Adversarial pictures, made to deceive this detector: not measured."


def _list_names(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
