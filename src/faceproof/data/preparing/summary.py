"""Summary of `prepare` in a few lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from faceproof.data.manifest import Manifest
from faceproof.data.preparing.folder import PROBLEMS
from faceproof.data.preparing.spec import MOST_WEIGHT, STATED, PreparationRecord, PrepareOptions
from faceproof.data.shortcuts.pictures import ProbeItem, probe_pictures
from faceproof.data.shortcuts.result import ProbeResult
from faceproof.errors import DataError
from faceproof.imaging.faces import YuNet
from faceproof.messages import align_rows

Probes = tuple[ProbeResult, ProbeResult] | tuple[None, None]


def probe_both(before: Manifest, after: Manifest, *, seed: int, how: PrepareOptions) -> Probes:
    """Return the shortcut probes of the files before and after.

    Both use the same rows of ``after``: their origins, and the prepared files. If these rows are
    too few, the result is None twice, and a message.
    """
    origins, now = ("origin", before), ("path", after)
    try:
        how.say("probing for shortcuts before and after")
        first, second = (
            probe_pictures(
                _probe_items(after, column, manifest),
                seed=seed,
                workers=how.workers,
                finder=YuNet(),
            )
            for column, manifest in (origins, now)
        )
    except DataError as error:
        how.say(f"the shortcut probe was skipped: {error}")
        return None, None
    return first, second


def _comparison_rows(before: ProbeResult, after: ProbeResult) -> list[tuple[str, str, str]]:
    """Return the rows of a table: the predictor of the label, its AUC before, and after.

    First all features together, then each family that is guilty before or after.
    """
    names = dict.fromkeys(guilty.family for guilty in (*before.guilty, *after.guilty))
    return [
        ("all features", _format_auc(before), _format_auc(after)),
        *((name, _describe_family(before, name), _describe_family(after, name)) for name in names),
    ]


def _probe_items(after: Manifest, column: str, manifest: Manifest) -> list[ProbeItem]:
    """Return the pictures that a column of the prepared table names."""
    rows = after.table.select(column, "label", "group").iter_rows()
    return [
        ProbeItem(manifest.picture_path(path), label == "fake", group)
        for path, label, group in rows
    ]


def _format_auc(found: ProbeResult) -> str:
    return f"{found.auc:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _describe_family(found: ProbeResult, name: str) -> str:
    """Return the AUC of a family, and how many of its features are guilty on their own."""
    for family in found.families:
        if family.name == name:
            guilty = sum(item.family == name for item in found.guilty)
            auc = f"{family.auc:.3f} [{family.low:.3f}, {family.high:.3f}]"
            return f"{auc}, {guilty} guilty" if guilty else auc
    return "the same for all"


#: Less fill than this, as a share of the crop, is not reported.
_MUCH_OUTSIDE = 0.05


def count_failed(prepared: PreparationRecord) -> int:
    """Return how many rows could not be read, or differ from the manifest."""
    return sum(count for code, count in prepared.problems.items() if code not in STATED)


def summary_lines(prepared: PreparationRecord) -> Iterator[str]:
    """Yield the last lines of a run: rows, weights, and the results of both probes."""
    after = prepared.after
    yield (
        f"{prepared.before.rows} rows: {after.rows} prepared "
        f"({after.real} real, {after.fake} fake){_describe_excluded(prepared.problems)}"
    )
    yield from _outside_lines(prepared.outside)
    yield from _weight_lines(prepared)
    if prepared.probe_before and prepared.probe_after:
        before, now = prepared.probe_before, prepared.probe_after
        counts = f"{now.n_real} real, {now.n_fake} fake"
        yield f"prediction of the label without the faces ({counts}):"
        head = ("ROC-AUC [95 % interval]", "before", "after")
        yield from (f"  {line}" for line in align_rows([head, *_comparison_rows(before, now)]))
        yield f"after: {now.severity}: {now.says}"


def _describe_excluded(problems: dict[str, int]) -> str:
    """Return the counts of excluded rows, by code."""
    if not problems:
        return ""
    counts = ", ".join(f"{count} {code}" for code, count in problems.items())
    return f"; excluded: {counts} (see {PROBLEMS})"


def _outside_lines(shares: dict[str, float]) -> Iterator[str]:
    """Yield the filled share of the crops, with a warning if it predicts the class."""
    if max(shares.values(), default=0.0) < _MUCH_OUTSIDE:
        return
    share_words = ", ".join(f"{share:.0%} of a {label} crop" for label, share in shares.items())
    yield f"mean share outside of its picture, and filled: {share_words}"
    if max(shares.values()) - min(shares.values()) >= _MUCH_OUTSIDE:
        yield "warning: the fill predicts the class; a smaller --margin has less fill"


def _weight_lines(prepared: PreparationRecord) -> Iterator[str]:
    """Yield the largest weight of each split, with a warning if it is too large."""
    for item in prepared.weights:
        if item.most == 1.0:
            continue
        where = item.split or "no split"
        yield (
            f"weights in {where}: {item.most:.2f} at the most; its {item.rows} rows vary as much "
            f"as {item.effective_rows:.0f} equal ones"
        )
        if item.most > MOST_WEIGHT:
            yield (
                f"warning: a row with weight {item.most:.0f} is memorised: balance "
                "less, or add pictures of the rare kind"
            )
