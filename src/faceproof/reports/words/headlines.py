"""The first lines of an answer: the verdict, why and how sure, and what to do when unsure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from faceproof.detector import DetectorSpec, OperatingPoint, Verdict, decide
from faceproof.reports.words.budgets import (
    condition_words,
    conditions,
    find_measured,
    rarity_words,
    slice_names,
    whole_share,
)
from faceproof.reports.words.outcomes import OUTCOMES, outcome_of
from faceproof.reports.words.verdicts import (
    NO_FACE,
    PIXELS_ONLY,
    VERDICTS,
    escape_controls,
    face_words,
    next_threshold_words,
    percent,
)
from faceproof.results import CheckedFace, CheckResult

#: The verdict that would be wrong, by what the face is: the metric that counts it.
_WRONG: Mapping[Verdict, tuple[tuple[str, str], ...]] = {
    "fake": (("real faces", "bpcer"),),
    "unsure": (("real faces", "real_unsure_rate"), ("fakes", "fake_unsure_rate")),
    "real": (("fakes", "apcer"),),
}

NEXT_STEPS = (
    "Ask for the original file, straight from the camera or the phone, and check that.",
    "Look for earlier copies: give the picture to a reverse image search yourself, such as TinEye, "
    "Google Images or Bing. This page sends it nowhere.",
    "Check the largest and least compressed copy that you find.",
)
"""What to do about a picture whose verdict is ``unsure``."""

ERROR_STEPS: Mapping[str, str] = {
    "empty_file": "Download or copy it again.",
    "truncated_picture": "The end of the file is missing: download or copy it again.",
    "corrupt_picture": "The file is damaged: download or copy it again.",
    "mislabelled_file": "The file is not what its name says; often that is a failed download.",
    "unsupported_format": "Save the picture as JPEG or PNG, and check that.",
    "file_too_large": "Save the picture smaller, and check that.",
    "picture_too_large": "Save the picture smaller, and check that.",
    "too_many_faces": "Check parts of the picture.",
}
"""What to do about a file that is not a usable picture, by the code of its error."""


def headline_words(result: CheckResult) -> str:
    """Return the answer for the whole picture in a few words; it is that of its worst face."""
    if result.verdict is None:
        return OUTCOMES[outcome_of(result)].short
    short, count = VERDICTS[result.verdict].short, len(result.faces)
    if count == 1:
        return short
    same = sum(face.verdict == result.verdict for face in result.faces)
    return f"{short}: {'all' if same == count else f'{same} of'} {count} faces"


def reason_words(result: CheckResult, spec: DetectorSpec) -> str:
    """Return why the picture got its answer, and how sure that is: of its most fake face.

    Raises:
        UnknownChoiceError: the detector does not have the result's operating point.
    """
    if result.error:
        step = ERROR_STEPS.get(result.error.code, "")
        return f"{result.error.message}. {step}" if step else result.error.message
    if not result.faces:
        return f"{NO_FACE} Very small, turned or covered faces can be missed."
    face = most_fake_face(result)
    point = spec.operating_point(result.operating_point)
    if face.quality.withholds_verdict:
        return face_words(face)
    probability = percent(face.fake_probability, point)
    return (
        f"{face_words(face)} Probability of a fake: {probability}. "
        f"{error_rate_words(spec, point, face.verdict)}"
    )


def note_words(result: CheckResult, spec: DetectorSpec) -> str:
    """Return the answer as lines of plain text for a message: verdict, file, detector, limits.

    Raises:
        UnknownChoiceError: the detector does not have the result's operating point.
    """
    lines = [f"{headline_words(result)} (checked by faceproof)", reason_words(result, spec)]
    if result.image:
        lines.append(f"File: {escape_controls(result.source)}, SHA-256 {result.image.sha256}")
    by = result.detector
    lines.append(f"Detector: {by.name} {by.version}, operating point {result.operating_point}")
    return "\n".join([*lines, PIXELS_ONLY])


def most_fake_face(result: CheckResult) -> CheckedFace:
    """Return the face that decides on the picture: of its verdict, the most probable fake.

    Raises:
        ValueError: the picture has no face.
    """
    deciding = [face for face in result.faces if face.verdict == result.verdict]
    return max(deciding or result.faces, key=lambda face: face.fake_probability)


def error_rate_words(spec: DetectorSpec, point: OperatingPoint, verdict: Verdict) -> str:
    """Return how many test faces got this verdict though they should not have, in a sentence."""
    parts = []
    for kind, metric in _WRONG[verdict]:
        if found := find_measured(spec, f"{metric}@{point.name}"):
            share = whole_share(found.value, found.low, found.high)
            parts.append(f"{share.about} {share.of} {kind}")
    if not parts:
        return "How often this verdict is wrong was not measured."
    return f"In our tests {' and '.join(parts)} got this verdict."


def unsure_words(face: CheckedFace, spec: DetectorSpec, at: str) -> Iterator[str]:
    """Yield which way an ``unsure`` face leans, and its verdict at the other operating points.

    It yields nothing for another verdict, or where the probability does not count.
    """
    if face.verdict != "unsure" or face.quality.withholds_verdict:
        return
    point = spec.operating_point(at)
    if face.fake_probability == 0.5:
        yield "It leans neither way."
    else:
        side = "a fake" if face.fake_probability > 0.5 else "a photograph"
        end = next_threshold_words(face.fake_probability, point)
        yield f"It leans towards {side}, but here {end}."
    for other in spec.operating_points.values():
        if other.name != at:
            verdict = VERDICTS[decide(face.fake_probability, other)].word
            same = "still " if verdict == VERDICTS["unsure"].word else ""
            yield f"{_compare_budgets(other, point)}, the verdict is {same}“{verdict}”."
    yield from _ends_of_scale(spec, point)


def _ends_of_scale(spec: DetectorSpec, point: OperatingPoint) -> Iterator[str]:
    """Yield that no operating point accepts fewer false alarms than this one, or none more."""
    budgets = [one.bpcer_budget for one in spec.operating_points.values() if one.bpcer_budget]
    if not point.bpcer_budget or len(budgets) < 2:
        return
    if point.bpcer_budget == min(budgets):
        yield "This detector has no stricter setting."
    elif point.bpcer_budget == max(budgets):
        yield "This detector has no laxer setting."


def _compare_budgets(other: OperatingPoint, point: OperatingPoint) -> str:
    """Return how another operating point differs from this one, by the false alarms accepted."""
    if not other.bpcer_budget or not point.bpcer_budget:
        return f"At the operating point “{other.name}”"
    how = "Laxer" if other.bpcer_budget > point.bpcer_budget else "Stricter"
    return f"{how}, with false alarms in {rarity_words(other.bpcer_budget)} real faces"


def limits_words(spec: DetectorSpec) -> Iterator[str]:
    """Yield what the detector was not tested on in plain sentences, without names of data sets."""
    kinds, places = slice_names(spec, "generator="), slice_names(spec, "source=")
    if not kinds and not places:
        yield "This detector has no tests: nothing is known about how often it is wrong."
        return
    yield (
        f"It was tested on {len(kinds)} kinds of fakes and on pictures from {len(places)} sources. "
        "Newer generators and other manipulations can be missed, and other cameras and scenes can "
        "raise more false alarms."
    )
    ways = ", ".join(condition_words(name) for name in conditions(spec))
    yield f"The test pictures were: {ways}. Other changes to a picture were not tested."
    yield "Only faces are judged: not the background, not the text, not the rest of the picture."
