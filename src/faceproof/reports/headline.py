"""The first screen of a report: what a verdict is worth, what fails, and what is untested.

Each answer is made from findings or is the answer of an audit; what was not measured is stated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from faceproof.detector.spec import DetectorSpec, Finding
from faceproof.evaluation.audit_result import AuditResult
from faceproof.evaluation.evaluation_record import Evaluation
from faceproof.reports.report import Figure, Statement

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
    found = [*_measured_statements(evaluation)] if evaluation else []
    results = {one.name: one for one in audits}
    return (*found, _group_statement(results), _condition_statement(evaluation, results))


def _measured_statements(evaluation: Evaluation) -> Iterator[Statement]:
    condition = evaluation.conditions[0]
    judged = sum(evaluation.count_judged("all", condition))
    if not judged:
        yield Statement(name="worth", title="Verdicts", text="No face was judged.")
        return
    yield from _worth(evaluation, condition)
    yield from _good_for(evaluation, condition)
    yield from _false_alarms(evaluation, condition)
    yield from _worst_generator(evaluation, condition)
    coverage = evaluation.find_coverage("all", condition)
    if coverage and coverage.not_judged:
        total = coverage.judged + coverage.not_judged
        yield Statement(
            name="not-judged",
            title="Not judged",
            text=f"{coverage.not_judged:,} of {total:,} faces were not judged and count in no "
            f"figure: {coverage.describe().partition(' ')[2].strip('()')}.",
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
    """Yield the generators most of whose fakes are called fake, by the end of the interval."""
    found = _by_slice(evaluation, "recall", "generator=", condition)
    if not found:
        return
    good = [name for name, one in found.items() if one.low >= _CAUGHT]
    poor = [name for name, one in found.items() if one.high < 0.5]
    text = (
        f"At least 8 in 10 fakes are called fake (lower end of the interval): {_list(good)}."
        if good
        else f"For none of {len(found)} generators are 8 in 10 fakes surely called fake."
    )
    if poor:
        text += f" Fewer than half are: {_list(poor)}."
    yield Statement(
        name="good-for",
        title="Good for",
        text=text,
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
    text = f"{_figure(overall)} of {overall.n:,} real faces are called fake"
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
    worst = max(found, key=lambda name: found[name].value, default=None)
    if worst is None:
        yield Statement(
            name="worst-generator",
            title="Worst generator",
            text="Not measured: no fake was judged.",
        )
        return
    missed, caught = found[worst], evaluation.find("recall", f"generator={worst}", condition)
    text = f"{worst}: {_figure(missed)} of {missed.n:,} fakes are called real"
    if caught:
        text += f" and {_figure(caught)} fake"
    yield Statement(
        name="worst-generator",
        title=f"Worst generator of {len(found)}",
        text=f"{text}.",
        caution=_cautions(missed, *([caught] if caught else [])),
    )


def _group_statement(results: Mapping[str, AuditResult]) -> Statement:
    found = results.get("fairness")
    return Statement(
        name="worst-group",
        title="Worst group of people",
        text=found.answer if found else "Not measured: the audit fairness was not run.",
        caution=_first_caution(found),
    )


def _condition_statement(
    evaluation: Evaluation | None, results: Mapping[str, AuditResult]
) -> Statement:
    """Return what the audit robustness answers, or the worst condition of an evaluation."""
    name, title = "worst-condition", "Worst condition"
    if found := results.get("robustness"):
        return Statement(name=name, title=title, text=found.answer, caution=_first_caution(found))
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
        text=f"{worst}: ROC-AUC {_figure(aucs[worst])}, and {_figure(aucs[first])} for {first}.",
        caution=_cautions(aucs[worst]),
    )


def untested(
    evaluation: Evaluation | None, audits: Sequence[AuditResult], spec: DetectorSpec | None
) -> tuple[str, ...]:
    """Return what the detector was not tested on, a sentence each."""
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
        seen = [
            name
            for name in (spec.generators_seen if spec else ())
            if name not in {*generators, "none"}
        ]
        if seen:
            lines.append(f"Generators seen in training: {_list(seen)}.")
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
    cell = Figure.of(found)
    return f"{cell.short} {cell.interval}"


def _cautions(*found: Finding) -> str | None:
    """Return the cautions of these findings as one text, None without."""
    return "; ".join(dict.fromkeys(one.caution for one in found if one.caution)) or None


def _first_caution(found: AuditResult | None) -> str | None:
    """Return the most serious caution of an audit; its section has all of them."""
    return found.cautions[0] if found and found.cautions else None


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"
