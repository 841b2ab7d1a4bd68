"""`card` generates CARD.md: a detector's description, measured results and limits.

Every figure comes from the detector's own record, none is written by hand. The same record always
gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from faceproof.detector import DetectorSpec
from faceproof.evaluation.finding_names import is_attack
from faceproof.evaluation.findings import COMPOSITION, worst_generator
from faceproof.evaluation.formulas import ECE_BINS
from faceproof.reports.card_sections import (
    IN_THIS_SECTION,
    attack_section,
    heatmap_section,
    is_of_a_member,
    member_section,
    promise_section,
)
from faceproof.reports.markup import escape_markdown, figure, listing, section, table

COMMAND = "faceproof train RECIPE.toml"

TITLES = {
    "roc_auc": "ROC-AUC: the probability that a fake scores above a real face",
    "average_precision": "Average precision",
    "tpr_at_fpr_5": "Fakes caught at the threshold with 5 % false alarms on the same faces",
    "tpr_at_fpr_1": "Fakes caught at the threshold with 1 % false alarms on the same faces",
    "tpr_at_fpr_0_5": "Fakes caught at the threshold with 0.5 % false alarms on the same faces",
    "tpr_at_fpr_0_1": "Fakes caught at the threshold with 0.1 % false alarms on the same faces",
    "partial_auc_5": "Partial ROC-AUC up to 5 % false alarms (McClish: chance is 0.5)",
    "bpcer10": "False alarms where at most 10 % of each generator is missed (BPCER10)",
    "bpcer20": "False alarms where at most 5 % of each generator is missed (BPCER20)",
    "bpcer100": "False alarms where at most 1 % of each generator is missed (BPCER100)",
    "eer": "Equal error rate",
    "ece": f"Expected calibration error, {ECE_BINS} bins of equal mass; above 0 by chance",
    "brier": "Brier score",
    "log_loss": "Log loss in nats",
    "bpcer": "Real faces called fake (BPCER)",
    "real_unsure_rate": "Real faces called unsure",
    "apcer": "Fake faces called real (APCER)",
    "worst_apcer": "Fakes of the worst generator called real (highest APCER)",
    "acer": "Mean of BPCER and the worst generator's APCER (ACER)",
    "fake_unsure_rate": "Fake faces called unsure",
    "real_coverage": "Real faces not called fake (coverage)",
    "fake_coverage": "Fake faces not called real (coverage)",
    "recall": "Fake faces called fake",
    "unsure_rate": "Faces called unsure",
    "accuracy": "Accuracy, unsure counted as real",
    "balanced_accuracy": "Balanced accuracy, unsure counted as real",
    "precision": "Fakes among faces called fake, in this mix of classes",
    "f1": "F1, in this mix of classes",
    "no_face_rate": "Pictures without a detected face (excluded from other figures)",
    "error_rate": "Unreadable pictures (excluded from other figures)",
}
"""The tables of the card, in display order."""

_SLICE = re.compile(r"source=(.*),generator=(.*),split=(\w+)", re.DOTALL)


def card(spec: DetectorSpec, *, command: str = COMMAND, audits: str = "") -> str:
    """Return CARD.md of a detector; ``command`` reproduces it from the data.

    ``audits`` is the section of Markdown on what ``spec.audited`` names.
    """
    parts = (
        f"# {escape_markdown(spec.name)} {escape_markdown(spec.version)}",
        _summary(spec),
        _use(),
        _origins(spec),
        member_section(spec),
        _data(spec),
        promise_section(spec, _conditions(spec)),
        _results(spec),
        attack_section(spec.results, spec.operating_point().name),
        heatmap_section(spec.results),
        audits,
        section("Limits", listing(limit_sentences(spec))),
        _reproduction(spec, command),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(spec: DetectorSpec) -> str:
    networks = " and ".join(
        f"{escape_markdown(m.network)} (weight {m.weight:g})" for m in spec.members
    )
    size = spec.preprocessing.crop.size
    return (
        f"A faceproof detector: {networks} on aligned face crops of {size} x {size} px. For each "
        "face it gives a calibrated probability of being generated or manipulated, and a verdict: "
        "`real`, `fake` or `unsure`.\n\n"
        "This card is generated from `detector.json`, which has every figure with the hash of its "
        "data. Brackets hold 95 % intervals, n is the number of faces counted."
    )


def _use() -> str:
    return section(
        "Use",
        "For a first opinion on single photographs with faces, as one signal among others, by "
        "people who can examine the picture and its origin.",
        "Not for: deciding about a person without other evidence; proving that a picture is "
        "authentic (`real` means that the detector found no known sign of a fake); drawings; "
        "video as such; generators unlike those listed below; identifying a person.",
        "The probability assumes equal numbers of real and fake faces. If fakes are rare, most "
        "pictures called fake can still be real: weight the false alarms below by the base rate.",
    )


def _origins(spec: DetectorSpec) -> str:
    rows = [
        [
            escape_markdown(start.name),
            escape_markdown(start.licence),
            escape_markdown(start.source),
            (start.sha256 or "")[:12],
        ]
        for start in spec.started_from
    ]
    started = table(["starting weights", "licence", "from", "SHA-256"], rows)
    return section(
        "Licences and origins",
        f"Licence: {escape_markdown(spec.licence)}",
        "Most public face data sets are licensed for research and non-commercial use. Users of "
        "this detector must also comply with the terms of the data and of the starting weights.",
        started if rows else "Training started from random weights.",
        listing(map(escape_markdown, spec.notes)),
    )


def _data(spec: DetectorSpec) -> str:
    rows = ", ".join(f"{count:,} {split}" for split, count in spec.trained_on.rows.items())
    generators = ", ".join(map(escape_markdown, spec.generators_seen)) or "none"
    return section(
        "Data",
        f"Pictures by split: {rows} (data SHA-256 `{spec.trained_on.data_sha256}`). Epochs were "
        "chosen on validation, calibration and thresholds on calibration; test was read only "
        "for the figures of this card.",
        _composition(spec),
        f"Generators seen in training: {generators}.",
    )


def _composition(spec: DetectorSpec) -> str:
    """Return the table of pictures by source, generator and split, or an empty string."""
    splits = list(spec.trained_on.rows)
    rows = [
        [
            escape_markdown(source),
            escape_markdown(generator),
            *(f"{counts.get(split, 0):,}" for split in splits),
        ]
        for (source, generator), counts in _counts(spec).items()
    ]
    return table(["source", "generator", *splits], rows) if rows else ""


def _counts(spec: DetectorSpec) -> dict[tuple[str, str], dict[str, int]]:
    """Return the recorded numbers of pictures by source, generator and split."""
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for finding in spec.results:
        named = _SLICE.fullmatch(finding.slice)
        if finding.metric == COMPOSITION and named:
            source, generator, split = named.groups()
            counts.setdefault((source, generator), {})[split] = finding.n
    return counts


def _results(spec: DetectorSpec) -> str:
    point, blocks = spec.operating_point().name, []
    for name, title in TITLES.items():
        for metric in (name, f"{name}@{point}"):
            if name not in IN_THIS_SECTION and _is_tested(spec, metric):
                at = f", at {escape_markdown(point)}" if "@" in metric else ""
                blocks += [f"### {title}{at}", _slice_table(spec, metric)]
    worst = _worst(spec, point)
    return (
        section("Results on the test split", *blocks, worst)
        if blocks
        else section("Results on the test split", "None: this detector was not tested.")
    )


def _slice_table(spec: DetectorSpec, metric: str) -> str:
    conditions = _conditions(spec)
    slices = dict.fromkeys(f.slice for f in spec.results if f.metric == metric)
    rows = [
        [escape_markdown(name), *(_cell(spec, metric, name, condition) for condition in conditions)]
        for name in slices
        if not is_of_a_member(name)
    ]
    return table(["faces", *map(escape_markdown, conditions)], rows)


def _worst(spec: DetectorSpec, point: str) -> str:
    """Return a sentence on the generator with the highest APCER, or an empty string."""
    worst = worst_generator(spec.results, point)
    if worst is None:
        return ""
    name = escape_markdown(worst.slice.removeprefix("generator="))
    return (
        f"Worst APCER of a generator at {escape_markdown(point)}: {name} under "
        f"{escape_markdown(worst.condition)}, "
        f"{figure(worst)}."
    )


def limit_sentences(spec: DetectorSpec) -> list[str]:
    """Return what was tested and what was not, a sentence or two each."""
    generators, sources = _slice_names(spec, "generator="), _slice_names(spec, "source=")
    lines = [
        f"Tested on fakes of {_list_names(generators)} and on pictures of "
        f"{_list_names(sources)}, as "
        f"{_list_names(_conditions(spec))}. Other generators, sources, cameras and file "
        "histories were "
        "not tested; results there can be much worse.",
        *_same_maker_sentences(spec),
        *_untested_sentences(spec, generators),
        *_one_class_sentences(spec, sources),
        "Labels of a source are taken as given; with wrong labels no detector reaches 1.",
    ]
    audits = spec.audited.audits if spec.audited else ()
    by_group = any(re.search(r"\b(age|gender|ethnicity)=", f.slice) for f in spec.results)
    if not by_group and "fairness" not in audits:
        lines.append("Not measured: error rates by group of people.")
    if not any(is_attack(f.condition) for f in spec.results) and "attacks" not in audits:
        lines.append("Not measured: adversarial pictures.")
    return lines


def _same_maker_sentences(spec: DetectorSpec) -> Iterator[str]:
    counts = _counts(spec)
    trained, tested = (
        {source for (source, _), at in counts.items() if split in at} for split in ("train", "test")
    )
    if shared := sorted(trained & tested):
        yield (
            f"Both training and test have pictures of {_list_names(shared)}: other people, videos "
            "and originals, but the same generators. A new source is harder."
        )


def _untested_sentences(spec: DetectorSpec, generators: Sequence[str]) -> Iterator[str]:
    unseen = [name for name in spec.generators_seen if name not in {*generators, "none"}]
    if unseen:
        yield f"Seen in training but not tested: {_list_names(unseen)}."


def _one_class_sentences(spec: DetectorSpec, sources: Sequence[str]) -> Iterator[str]:
    both = {f.slice for f in spec.results if f.metric == "roc_auc"}
    single = [name for name in sources if f"source={name}" not in both]
    if single and both:
        yield f"The test has only one class of {_list_names(single)}, so there is no ROC-AUC."


def _reproduction(spec: DetectorSpec, command: str) -> str:
    return section(
        "Reproduce",
        f"With data whose hash is `{spec.trained_on.data_sha256[:12]}...`, "
        f"one command {'weighs' if member_section(spec) else 'trains'}, calibrates, tests and "
        "writes this card:",
        f"```\n{command}\n```",
    )


def _is_tested(spec: DetectorSpec, metric: str) -> bool:
    return any(finding.metric == metric for finding in spec.results)


def _conditions(spec: DetectorSpec) -> list[str]:
    tested = (f.condition for f in spec.results if f.metric != COMPOSITION)
    return [name for name in dict.fromkeys(tested) if not is_attack(name)]


def _slice_names(spec: DetectorSpec, kind: str) -> list[str]:
    """Return the names in slices of a kind, in order, without those of the data table."""
    slices = (f.slice for f in spec.results if f.metric != COMPOSITION)
    return [name.removeprefix(kind) for name in dict.fromkeys(slices) if name.startswith(kind)]


def _cell(spec: DetectorSpec, metric: str, slice_: str, condition: str) -> str:
    key = (metric, slice_, condition)
    found = (f for f in spec.results if (f.metric, f.slice, f.condition) == key)
    return next((figure(finding) for finding in found), "-")


def _list_names(names: Sequence[str]) -> str:
    return ", ".join(map(escape_markdown, names)) or "nothing"
