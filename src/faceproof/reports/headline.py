"""The first screen of a report: what a verdict is worth, what fails, and what is untested.

Each answer is made from findings or is the answer of an audit; what was not measured is stated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from faceproof.detector.spec import Finding
from faceproof.evaluation.audit_result import AuditResult
from faceproof.evaluation.evaluation_record import Evaluation, describe_reasons
from faceproof.messages import count_noun
from faceproof.reports.report import Figure, Statement
from faceproof.reports.words import condition_words

_CAUGHT = 0.8
"""The share of a generator's fakes from which the detector is good for it: 8 in 10."""

RARE = 0.01
"""The share of fakes of the second example of what a verdict is worth."""

UNTESTED_WITHOUT: Mapping[str, str] = {
    "robustness": "degraded pictures: saved as JPEG, resized, blurred, cropped, screenshots",
    "stability": "the same picture saved again in other ways",
    "calibration": "whether probabilities are right by source and condition",
    "generators": "generators seen in training against unseen ones",
    "fairness": "error rates by group of people, such as age, gender or ethnicity",
    "shortcuts": "whether the answer follows file format, size or background",
    "attacks": "adversarial pictures, changed by someone who knows the detector",
}
"""What is untested without each audit."""


def statements(
    evaluation: Evaluation | None, audits: Sequence[AuditResult]
) -> tuple[Statement, ...]:
    """Return the answers of the first screen."""
    results = {one.name: one for one in audits}
    condition = evaluation.conditions[0] if evaluation else ""
    judged = evaluation if evaluation and sum(evaluation.count_judged("all", condition)) else None
    found: list[Statement] = []
    if judged:
        for answers in (_good_for, _false_alarms, _worst_generator):
            found += answers(judged, condition)
    elif evaluation:
        found.append(Statement(name="worth", title="Verdicts", text="No face was judged."))
    found += [_group_statement(results), _condition_statement(evaluation, results)]
    if judged:
        found += [*_worth(judged, condition), *_not_judged(judged, condition)]
    return tuple(found)


def _not_judged(evaluation: Evaluation, condition: str) -> Iterator[Statement]:
    """Yield how many faces were not judged, and why."""
    coverage = evaluation.find_coverage("all", condition)
    if coverage and coverage.not_judged:
        total = coverage.judged + coverage.not_judged
        yield Statement(
            name="not-judged",
            title="Not judged",
            text=f"{coverage.not_judged:,} of {count_noun(total, 'face')} were not judged and "
            f"count in no figure: {describe_reasons(coverage.reasons).replace('_', ' ')}.",
        )


def _worth(evaluation: Evaluation, condition: str) -> Iterator[Statement]:
    """Yield how often each verdict is right, for an even mix and for rare fakes."""
    alarms, caught, missed, real_unsure, unsure = (
        evaluation.find(name, "all", condition)
        for name in ("bpcer", "recall", "apcer", "real_unsure_rate", "unsure_rate")
    )
    if not (alarms and caught and missed and real_unsure and unsure):
        return
    fake = share_right(caught, alarms, 0.5)
    rare = share_right(caught, alarms, RARE)
    parts = [
        f"If half of the faces are fake, a verdict fake is right in {_of_100(fake)} of 100 cases."
        if fake
        else "No face was called fake.",
        f"If 1 face in {round(1 / RARE)} is fake, it is right in {_of_100(rare)}." if rare else "",
        f"{_figure(missed)} of fakes are called real, {_figure(unsure)} of all faces are unsure.",
    ]
    yield Statement(
        name="worth",
        title="What a verdict is worth",
        text=" ".join(filter(None, parts)),
        caution=_cautions(alarms, caught),
    )


def share_right(
    caught: Finding, alarms: Finding, share: float
) -> tuple[float, float, float] | None:
    """Return how often a verdict fake is right where ``share`` of the faces are fake.

    With the values, then with both rates at the worse and at the better ends of their intervals;
    None if nothing would be called fake.

    >>> def rate(value, low, high):
    ...     common = {"n": 9, "data_sha256": "0" * 64}
    ...     return Finding(metric="x", value=value, low=low, high=high, **common)
    >>> share_right(rate(0.5, 0.4, 0.6), rate(0.1, 0.1, 0.1), 0.5)[0].__round__(3)
    0.833
    """

    def right(hits: float, false: float) -> float:
        called = share * hits + (1 - share) * false
        return share * hits / called if called else 1.0

    if not caught.value and not alarms.value:
        return None
    return (
        right(caught.value, alarms.value),
        right(caught.low, alarms.high),
        right(caught.high, alarms.low),
    )


def _of_100(share: tuple[float, float, float]) -> str:
    value, low, high = (f"{100 * one:.0f}" for one in share)
    return f"{value} ({low} to {high})"


def _good_for(evaluation: Evaluation, condition: str) -> Iterator[Statement]:
    """Yield the generators most of whose fakes are called fake, and what the others are called.

    A generator is named by the end of its interval.
    """
    found = _by_slice(evaluation, "recall", "generator=", condition)
    if not found:
        return
    missed, unsure = (
        _by_slice(evaluation, name, "generator=", condition)
        for name in ("apcer", "fake_unsure_rate")
    )
    good = [name for name, one in found.items() if one.low >= _CAUGHT]
    poor = [name for name, one in found.items() if one.high < 0.5]
    real = [name for name in poor if missed[name].value >= unsure[name].value]
    open_ = [name for name in poor if name not in real]
    parts = [
        f"At least 8 in 10 fakes are called fake: {_list(good)}."
        if good
        else "None of the generators has 8 in 10 of its fakes surely called fake.",
        f"Fewer than half are called fake, and most others unsure: {_list(open_)}."
        if open_
        else "",
        f"Fewer than half are called fake, and most others real: {_list(real)}." if real else "",
    ]
    yield Statement(
        name="good-for",
        title="Good for",
        text=" ".join(filter(None, parts)),
        caution=_cautions(*(found[name] for name in (*good, *poor))),
    )


def _false_alarms(evaluation: Evaluation, condition: str) -> Iterator[Statement]:
    """Yield the share of real faces called fake, and that of the worst source."""
    overall = evaluation.find("bpcer", "all", condition)
    if not overall:
        yield Statement(
            name="false-alarms", title="False alarms", text="Not measured: no real face was judged."
        )
        return
    text = f"{_figure(overall)} of {count_noun(overall.n, 'real face')} are called fake"
    by_source = _by_slice(evaluation, "bpcer", "source=", condition)
    worst = max(by_source, key=lambda name: by_source[name].value, default=None)
    used = [overall]
    if worst is not None and by_source[worst].value > overall.value:
        text += f"; most in {worst}: {_figure(by_source[worst])} of {by_source[worst].n:,}"
        used.append(by_source[worst])
    yield Statement(
        name="false-alarms", title="False alarms", text=f"{text}.", caution=_cautions(*used)
    )


def _worst_generator(evaluation: Evaluation, condition: str) -> Iterator[Statement]:
    found = _by_slice(evaluation, "apcer", "generator=", condition)
    caught = _by_slice(evaluation, "recall", "generator=", condition)
    worst = max(found, key=lambda name: (found[name].value, -caught[name].value), default=None)
    if worst is None:
        yield Statement(
            name="worst-generator",
            title="Worst generator",
            text="Not measured: no fake was judged.",
        )
        return
    missed, right = found[worst], caught[worst]
    unsure = _by_slice(evaluation, "fake_unsure_rate", "generator=", condition)[worst]
    yield Statement(
        name="worst-generator",
        title=f"Worst generator of {len(found)}" if len(found) > 1 else "The only generator",
        text=f"{worst}: {_figure(missed)} of {count_noun(missed.n, 'fake')} are called real, "
        f"{_figure(right)} fake, and {_figure(unsure)} unsure.",
        caution=_cautions(missed, right),
    )


def _group_statement(results: Mapping[str, AuditResult]) -> Statement:
    found = results.get("fairness")
    return Statement(
        name="worst-group",
        title="Worst group of people",
        text=found.answer if found else "Not measured: the audit fairness was not run.",
        caution=_own_caution(found),
    )


def _condition_statement(
    evaluation: Evaluation | None, results: Mapping[str, AuditResult]
) -> Statement:
    """Return what the audit robustness answers, or the worst condition of an evaluation."""
    name, title = "worst-condition", "Worst condition"
    if found := results.get("robustness"):
        return Statement(name=name, title=title, text=found.answer, caution=_own_caution(found))
    aucs = {
        one: finding
        for one in (evaluation.conditions if evaluation else ())
        if evaluation and (finding := evaluation.find("roc_auc", "all", one))
    }
    if len(aucs) < 2:
        text = "Not measured: the pictures were judged in one condition only."
        return Statement(name=name, title=title, text=text)
    worst = min(aucs, key=lambda one: aucs[one].value)
    first = next(iter(aucs))
    return Statement(
        name=name,
        title=f"{title} of {len(aucs)}",
        text=f"Real faces and fakes are hardest to tell apart when {condition_words(worst)}: "
        f"ROC-AUC {_figure(aucs[worst])}, against {_figure(aucs[first])} when "
        f"{condition_words(first)}; 1 is perfect, and 0.5 is chance.",
        caution=_cautions(aucs[worst]),
    )


def untested(
    evaluation: Evaluation | None, audits: Sequence[AuditResult], seen: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return what the detector was not tested on, a sentence each.

    ``seen`` are the generators that it was trained on.
    """
    lines: list[str] = []
    if evaluation:
        generators, sources = (
            [name.removeprefix(kind) for name in evaluation.slices if name.startswith(kind)]
            for kind in ("generator=", "source=")
        )
        lines.append(
            f"Other generators than {_list(generators)}, and other sources than {_list(sources)}: "
            "results there can be much worse."
        )
        if missing := [name for name in seen if name not in {*generators, "none"}]:
            lines.append(
                f"Fakes of {_list(missing)}: the detector was trained on them, but no figure here "
                "is of them."
            )
    measured = {one.name for one in audits if one.measured}
    not_run = [words for name, words in UNTESTED_WITHOUT.items() if name not in measured]
    lines += [f"{words[0].upper()}{words[1:]}." for words in not_run]
    lines.append(
        "Drawings, video as such, and cameras and file histories unlike those of the data."
    )
    return tuple(lines)


def _by_slice(evaluation: Evaluation, metric: str, kind: str, condition: str) -> dict[str, Finding]:
    """Return a metric of each slice of a kind, by its name."""
    found = ((name, evaluation.find(metric, name, condition)) for name in evaluation.slices)
    return {name.removeprefix(kind): one for name, one in found if one and name.startswith(kind)}


def _figure(found: Finding) -> str:
    return Figure.of(found).words


def _cautions(*found: Finding) -> str | None:
    """Return the cautions of these findings as one text, None without.

    Of cautions that differ in their numbers only, the one with the smallest is kept.
    """
    ordered = sorted((one.caution for one in found if one.caution), key=lambda one: (len(one), one))
    kinds = {re.sub(r"\d+", "", one): one for one in reversed(ordered)}
    return "; ".join(reversed(kinds.values())) or None


def _own_caution(found: AuditResult | None) -> str | None:
    """Return the most serious caution of an audit's own figures; its section has all of them."""
    return found.own_cautions[0] if found and found.own_cautions else None


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"
