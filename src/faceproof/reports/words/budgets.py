"""Budgets: what an operating point and its verdicts are worth, from what was measured."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from faceproof.detector import DetectorSpec, Finding
from faceproof.evaluation.finding_names import is_attack, is_of_heatmaps

_MARKS = (1, 5)
_MOST = 1_000_000


@dataclass(frozen=True)
class Share:
    """A share as whole things of ``base``; the interval ``[low, high]`` is rounded outward."""

    middle: int
    low: int
    high: int
    base: int

    @property
    def about(self) -> str:
        """The middle in words; where it would be none or all, the nearer end of the interval."""
        if self.middle <= 0:
            return f"at most {_format_number(self.high)}"
        if self.middle >= self.base:
            return f"at least {_format_number(self.low)}"
        return f"about {_format_number(self.middle)}"

    @property
    def between(self) -> str:
        """The interval in words, empty where `about` is enough."""
        if self.middle <= 0 or self.middle >= self.base:
            return ""
        return f" ({_format_number(self.low)} to {_format_number(self.high)})"

    @property
    def of(self) -> str:
        """The whole, as in "of 1000"."""
        return f"of {_format_number(self.base)}"


def whole_share(value: float, low: float, high: float, *, base: int = 1000) -> Share:
    """Return a share in [0, 1] as whole things of ``base``, or of more where it is below one.

    The step (1, 5, 10, 50 ...) is the largest within half of the interval's half-width.

    >>> whole_share(0.004142, 0.002304, 0.007434)
    Share(middle=4, low=2, high=8, base=1000)
    >>> whole_share(0.4622, 0.4385, 0.4861)
    Share(middle=460, low=430, high=490, base=1000)
    >>> whole_share(0.00032, 0.0001, 0.0007).of
    'of 10,000'
    """
    while 0 < value * base < 1 and base < _MOST:
        base *= 10
    step = _step((high - low) * base / 4)
    middle = round(value * base / step) * step
    lower = math.floor(low * base / step + 1e-9) * step
    upper = math.ceil(high * base / step - 1e-9) * step
    return Share(min(max(middle, lower), base), max(lower, 0), min(upper, base), base)


def _format_number(count: int) -> str:
    """Return a whole number, in groups of three from five digits on.

    >>> _format_number(1000), _format_number(10000)
    ('1000', '10,000')
    """
    return str(count) if count < 10_000 else f"{count:,}"


def _step(room: float) -> int:
    """Return the largest of 1, 5, 10, 50 ... that is at most ``room``; never below 1."""
    if room < 1:
        return 1
    ten = int(10 ** math.floor(math.log10(room)))
    return max(mark * ten for mark in _MARKS if mark * ten <= room)


CONDITIONS: Mapping[str, str] = {
    "clean": "unchanged",
    "blur-1": "blurred a little",
    "noise-5": "overlaid with a little noise",
    "dark": "darkened",
    "bright": "brightened",
    "screenshot": "shown on a screen and saved again",
    "mirror": "mirrored",
    "grey": "turned to shades of grey",
    "caption": "given a line of text",
    "watermark": "given a faint watermark",
    "messenger": "reduced and saved as by a messenger",
    "social-media": "reduced, sharpened and saved as by a site",
    "repost": "shown by a site, taken as a screenshot and posted again",
}
"""What some conditions are called; `condition_words` reads the numbers of others."""

_PATTERNS: Mapping[re.Pattern[str], str] = {
    re.compile(r"jpeg-(\d+)"): "saved as JPEG of quality {}",
    re.compile(r"webp-(\d+)"): "saved as WebP of quality {}",
    re.compile(r"avif-(\d+)"): "saved as AVIF of quality {}",
    re.compile(r"resize-(0\.\d+)"): "reduced to {:.0%} of width and height",
    re.compile(r"resize-([1-9]\d*\.\d+)"): "enlarged to {:.0%} of width and height",
    re.compile(r"blur-(\d+)"): "blurred by {} px",
    re.compile(r"median-(\d+)"): "smoothed by a median filter of {} px",
    re.compile(r"noise-(\d+)"): "overlaid with noise of {} grey levels",
    re.compile(r"brightness-(\d+\.\d+)"): "set to {:.0%} of its brightness",
    re.compile(r"contrast-(\d+\.\d+)"): "set to {:.0%} of its contrast",
    re.compile(r"gamma-(\d+\.\d+)"): "set to a gamma of {:g}",
    re.compile(r"crop-(0\.\d+)"): "cropped to the middle {:.0%} of width and height",
    re.compile(r"rotate-(\d+)"): "rotated by {} degrees",
}


def condition_words(condition: str) -> str:
    """Return what was done to a picture, as it follows the noun; an unknown name as it is.

    >>> condition_words("jpeg-60"), condition_words("resize-0.5+jpeg-60")[:12]
    ('saved as JPEG of quality 60', 'reduced to 5')
    """
    return ", then ".join(map(_step_words, condition.split("+")))


def _step_words(name: str) -> str:
    if name in CONDITIONS:
        return CONDITIONS[name]
    for pattern, words in _PATTERNS.items():
        if found := pattern.fullmatch(name):
            return words.format(float(found[1]) if "." in found[1] else found[1]).replace("%", " %")
    return name


# Named in `faceproof.evaluation` as well, whose modules need polars: the page has none of it, and
# a test compares the two.
COMPOSITION = "pictures"
MEMBER = "member="

_CLEAN = "clean"
ALL = "all"


def find_measured(
    spec: DetectorSpec, metric: str, *, condition: str = _CLEAN, slice_: str = ALL
) -> Finding | None:
    """Return the finding of a metric, or None where it was not measured."""
    key = (metric, condition, slice_)
    found = (one for one in spec.results if (one.metric, one.condition, one.slice) == key)
    return next(found, None)


def find_worst(
    spec: DetectorSpec, metric: str, choose: Callable[..., Finding], *, kind: str = ALL
) -> Finding | None:
    """Return the ``max`` or ``min`` finding of a metric, of all faces or of slices of a kind.

    Pictures made to deceive the detector are another question and left out.
    """
    found = [
        one
        for one in tests(spec)
        if one.metric == metric
        and not is_attack(one.condition)
        and (one.slice == ALL if kind == ALL else one.slice.startswith(kind))
    ]
    return choose(found, key=lambda one: one.value) if found else None


def tests(spec: DetectorSpec) -> Iterator[Finding]:
    """Yield the findings on verdicts of the whole detector: no counts, maps or single member."""
    for one in spec.results:
        about_verdicts = one.metric != COMPOSITION and not is_of_heatmaps(one.metric)
        if about_verdicts and not one.slice.startswith(MEMBER):
            yield one


def conditions(spec: DetectorSpec) -> list[str]:
    """Return the conditions that the detector was tested under, attacks apart, in order."""
    return [
        name for name in dict.fromkeys(one.condition for one in tests(spec)) if not is_attack(name)
    ]


def slice_names(spec: DetectorSpec, kind: str) -> list[str]:
    """Return the names in tested slices of a kind ("source=", "generator="), in order."""
    slices = dict.fromkeys(one.slice for one in tests(spec))
    return [name.removeprefix(kind) for name in slices if name.startswith(kind)]


class _Worst(NamedTuple):
    """A share of faces, and among which slices its worst value is looked for."""

    words: str
    metric: str
    faces: str
    choose: Callable[..., Finding]
    slices: str


_WORST = (
    _Worst("Most false alarms", "bpcer", "real faces", max, ALL),
    _Worst("Fewest caught", "recall", "fakes", min, ALL),
    _Worst("Most false alarms of a source", "bpcer", "real faces", max, "source="),
    _Worst("Fewest caught of a generator", "recall", "such fakes", min, "generator="),
)


@dataclass(frozen=True)
class MeasuredBudget:
    """The findings behind an operating point's sentence; None where it was not measured.

    ``false_alarms`` is the share of real faces called fake (BPCER), ``caught`` that of fakes
    called fake, ``missed`` that of fakes called real (APCER), all faces as they were.
    """

    point: str
    false_alarms: Finding | None
    caught: Finding | None
    missed: Finding | None
    real_unsure: Finding | None
    fake_unsure: Finding | None


def measure_budget(
    spec: DetectorSpec, point: str | None = None, *, condition: str = "clean"
) -> MeasuredBudget:
    """Return what was measured at an operating point on all test faces under a condition.

    Raises:
        UnknownChoiceError: there is no such operating point.
    """
    name = spec.operating_point(point).name
    metrics = ("bpcer", "recall", "apcer", "real_unsure_rate", "fake_unsure_rate")
    return MeasuredBudget(
        name, *(find_measured(spec, f"{metric}@{name}", condition=condition) for metric in metrics)
    )


def budget_words(spec: DetectorSpec, point: str | None = None) -> str:
    """Return in one sentence what an operating point means, with 95 % intervals in brackets.

    Raises:
        UnknownChoiceError: there is no such operating point.
    """
    measured = measure_budget(spec, point)
    parts = [_false_alarms(measured.false_alarms), _caught(measured)]
    known = [part for part in parts if part]
    if not known:
        return (
            "How many real faces would be called fake and how many fakes are caught was not "
            f"measured for this detector. Its thresholds were chosen for: {_promise(spec, point)}."
        )
    sentence = f"{_capitalise('; '.join(known))}, on our tests."
    missing = ["How often real faces are called fake", "How many fakes are caught"]
    return " ".join(
        [
            sentence,
            *(
                f"{what} was not measured."
                for what, part in zip(missing, parts, strict=True)
                if not part
            ),
        ]
    )


def budget_details(spec: DetectorSpec, point: str | None = None) -> tuple[str, ...]:
    """Return the sentences that go with `budget_words`: who is left unsure, and the worst cases.

    Raises:
        UnknownChoiceError: there is no such operating point.
    """
    return tuple(_details(spec, measure_budget(spec, point)))


def many_faces_words(spec: DetectorSpec, point: str | None, faces: int) -> str:
    """Return what several real faces in one picture mean for its false alarms; nothing for one.

    The share of pictures with a false alarm is at most the sum over their faces (Boole).
    """
    found = measure_budget(spec, point).false_alarms
    if faces < 2 or found is None:
        return ""
    most = min(1.0, faces * found.high)
    alarms = whole_share(most, most, most)
    return (
        f"With {faces} faces there are {faces} chances of a "
        f"false alarm: {alarms.of} such pictures with real faces only, up to "
        f"{_format_number(alarms.high)} could be called fake."
    )


def _share_of_finding(finding: Finding) -> Share:
    """Return a finding that is a share as whole faces of 1000 or more."""
    return whole_share(finding.value, finding.low, finding.high)


def _details(spec: DetectorSpec, measured: MeasuredBudget) -> Iterator[str]:
    kinds = (("real faces", measured.real_unsure), ("fakes", measured.fake_unsure))
    unsure = [_describe_share(kind, found) for kind, found in kinds if found]
    if unsure:
        yield f"Left unsure: {' and '.join(unsure)}."
    if measured.missed:
        yield f"No sign of a fake found: {_describe_share('fakes', measured.missed)}."
    yield from _worst_cases(spec, measured.point)
    if measured.false_alarms and measured.caught:
        yield (
            f"Counted over {measured.false_alarms.n:,} real and {measured.caught.n:,} fake test "
            "faces, "
            "none of which the detector was trained on. Brackets contain 95 % intervals; error "
            "rates can be higher on other kinds of faces."
        )


def _worst_cases(spec: DetectorSpec, point: str) -> Iterator[str]:
    """Yield the worst that was measured, of all test faces and of a part of them."""
    for case in _WORST:
        found = find_worst(spec, f"{case.metric}@{point}", case.choose, kind=case.slices)
        if found:
            name = "" if case.slices == ALL else f", {found.slice.removeprefix(case.slices)}"
            way = condition_words(found.condition)
            yield f"{case.words}{name}, pictures {way}: {_describe_share(case.faces, found)}."


def _describe_share(kind: str, found: Finding) -> str:
    """Return a share of faces of a kind with its interval."""
    one = _share_of_finding(found)
    return f"{one.of} {kind} {one.about}{one.between}"


def _false_alarms(found: Finding | None) -> str:
    if found is None:
        return ""
    one = _share_of_finding(found)
    return f"{one.of} real faces {one.about} would be called fake{one.between}"


def _caught(measured: MeasuredBudget) -> str:
    if measured.caught:
        one = _share_of_finding(measured.caught)
        return f"{one.of} fakes {one.about} are caught{one.between}"
    if measured.missed:
        one = _share_of_finding(measured.missed)
        return f"{one.of} fakes {one.about} would show no sign of a fake{one.between}"
    return ""


def _promise(spec: DetectorSpec, point: str | None) -> str:
    return spec.operating_point(point).promise.rstrip(".")


def _capitalise(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


HOW = (
    "Computed from the measured shares of fakes caught and of real faces called fake, for the "
    "share of fakes that is given. The bracket combines the worse ends, then the better ends of "
    "both 95 % intervals, which covers at least 90 %. It holds only for faces like those in the "
    "tests."
)
"""How `worth` is computed, for readers."""


@dataclass(frozen=True)
class Worth:
    """The share of "fake" verdicts that are right, with its interval, and the same in words.

    The numbers are None where nothing was measured, or where no "fake" verdict is ever given.
    ``short`` is `text` without its condition, for a table.
    """

    value: float | None
    low: float | None
    high: float | None
    text: str
    short: str


def worth(
    spec: DetectorSpec, point: str | None, base_rate: float, *, condition: str = "clean"
) -> Worth:
    """Return what a "fake" verdict is worth where ``base_rate`` of all faces are fake.

    Raises:
        UnknownChoiceError: there is no such operating point.
        ValueError: the base rate is not in [0, 1].
    """
    if not 0.0 <= base_rate <= 1.0:
        raise ValueError(f"a base rate of {base_rate} is not a share")
    measured = measure_budget(spec, point, condition=condition)
    if measured.caught is None or measured.false_alarms is None:
        text = "The reliability of a “looks fake” verdict was not measured."
        return Worth(None, None, None, text, "not measured")
    if base_rate in {0.0, 1.0}:
        return _one_class_worth(base_rate)
    return _worth_between_bounds(measured.caught, measured.false_alarms, base_rate)


def predictive_value(caught: float, false_alarms: float, base_rate: float) -> float | None:
    """Return the share of "fake" verdicts that are right, in [0, 1]; None where none is given.

    >>> predictive_value(0.5, 0.01, 0.01)
    0.33557046979865773
    >>> predictive_value(0.5, 0.0, 0.01), predictive_value(0.0, 0.0, 0.5)
    (1.0, None)
    """
    right, wrong = base_rate * caught, (1 - base_rate) * false_alarms
    return right / (right + wrong) if right + wrong > 0 else None


def rarity_words(base_rate: float) -> str:
    """Return a base rate in words.

    >>> [rarity_words(rate) for rate in (0.01, 0.5, 0.1, 0.35, 0.0005)]
    ['1 in 100', '1 in 2', '1 in 10', '35 in 100', '1 in 2000']
    """
    one_in = _one_in(base_rate)
    return f"1 in {_format_number(one_in)}" if one_in else f"{round(100 * base_rate, 6):g} in 100"


def _one_in(base_rate: float) -> int | None:
    """Return N where the base rate is 1 in N."""
    if base_rate <= 0:
        return None
    one_in = 1 / base_rate
    return round(one_in) if abs(one_in - round(one_in)) < 1e-9 * one_in else None


def _one_class_worth(base_rate: float) -> Worth:
    """Return the answer where there is only one class, whatever the verdict."""
    if base_rate == 0:
        text = "Where no face is fake, every “looks fake” verdict is wrong."
        return Worth(0.0, 0.0, 0.0, text, "none")
    text = "Where every face is fake, every “looks fake” verdict is right."
    return Worth(1.0, 1.0, 1.0, text, "all")


def _worth_between_bounds(caught: Finding, alarms: Finding, base_rate: float) -> Worth:
    value = predictive_value(caught.value, alarms.value, base_rate)
    low = predictive_value(caught.low, alarms.high, base_rate)
    high = predictive_value(caught.high, alarms.low, base_rate)
    if value is None or low is None or high is None:
        text = "No “looks fake” verdict was given in the tests, so its reliability is unknown."
        return Worth(value, low, high, text, "not known")
    right = whole_share(value, low, high, base=100)
    few = "is" if _one_in(base_rate) else "are"
    text = (
        f"Where {rarity_words(base_rate)} faces {few} fake, {right.about} {right.of} "
        f"“looks fake” verdicts are right{right.between}."
    )
    return Worth(value, low, high, text, f"{right.about} {right.of}{right.between}")
