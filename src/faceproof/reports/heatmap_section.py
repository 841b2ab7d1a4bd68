"""The section of a card about heat maps: whether they can be believed."""

from __future__ import annotations

from collections.abc import Sequence

from faceproof.detector.findings import Finding
from faceproof.evaluation.heatmaps import (
    BEATS_RANDOM,
    CORRELATION,
    HOTTEST,
    RANDOM,
    RELIABLE,
    is_of_heatmaps,
)
from faceproof.reports.markdown import figure, plain, section, table

_TESTED = {"all": "all faces", "label=real": "real faces", "label=fake": "fake faces"}


def heatmap_section(results: Sequence[Finding]) -> str:
    """Return the section; empty where nobody studied the heat maps."""
    told = [one for one in results if is_of_heatmaps(one.metric)]
    if not told:
        return ""
    return section(
        "Heat maps",
        "Grad-CAM at the last feature map, before its ReLU: what each cell of a coarse grid over "
        "the face adds to the logit. It says what moved this network, not where a face was "
        "changed.",
        "Deletion: the fifth of the crop that the map calls hottest is blurred away, and so are "
        "four fifths of the same shape elsewhere. A map is marked reliable where the first lowers "
        "the logit most of the five; a map that knows nothing comes first in one of five.",
        _deletion(told),
        _cascade(told),
    )


def _deletion(told: Sequence[Finding]) -> str:
    """Return the table of deletions: of the pictures' own maps, then of maps that are not."""
    head = [
        "maps",
        "lowers the logit most of five",
        "lowers it more than the others' mean",
        "change of the logit, hottest deleted",
        "change of the logit, another fifth deleted",
    ]
    slices = dict.fromkeys(one.slice for one in told if one.metric == RELIABLE)
    found = {(one.slice, one.metric): one for one in told}
    rows = [
        [
            _TESTED.get(name, plain(name.removeprefix("map="))),
            *(_share(found.get((name, metric))) for metric in (RELIABLE, BEATS_RANDOM)),
            *(_number(found.get((name, metric))) for metric in (HOTTEST, RANDOM)),
        ]
        for name in slices
    ]
    return table(head, rows)


def _cascade(told: Sequence[Finding]) -> str:
    """Return the table of rank correlations, stage by stage, or nothing."""
    rows = [
        [plain(one.slice.removeprefix("map=")), _number(one)]
        for one in told
        if one.metric == CORRELATION
    ]
    if not rows:
        return ""
    return (
        "Randomisation: the network's weights are shuffled stage by stage from the logit down. 1 "
        "is the same order of cells, 0 none in common.\n\n"
    ) + table(["network", "rank correlation with its own maps"], rows)


def _share(finding: Finding | None) -> str:
    return figure(finding) if finding else "-"


def _number(finding: Finding | None) -> str:
    """Return a number with its interval and its n; it is no share, and may be negative."""
    if finding is None:
        return "-"
    value, low, high = (f"{one:+.3f}" for one in (finding.value, finding.low, finding.high))
    return f"{value} [{low}, {high}], n {finding.n:,}"
