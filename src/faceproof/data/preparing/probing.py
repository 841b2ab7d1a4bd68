"""The shortcut probe on the same pictures before and after: what preparing took away."""

from __future__ import annotations

from faceproof.data.manifest import Manifest
from faceproof.data.preparing.spec import Preparing
from faceproof.data.shortcuts.pictures import ProbeItem, probe_pictures
from faceproof.data.shortcuts.result import ProbeResult
from faceproof.errors import DataError
from faceproof.imaging.faces import YuNet

Probes = tuple[ProbeResult, ProbeResult] | tuple[None, None]


def probe_both(before: Manifest, after: Manifest, *, seed: int, how: Preparing) -> Probes:
    """Return what files and frames alone say of the label, before and after.

    Both look at the rows of ``after``, where they came from and as they are, and choose the same
    of them. Two times None, and a message, where these rows are too few to tell.
    """
    origins, now = ("origin", before), ("path", after)
    try:
        how.say("probing for shortcuts before and after")
        first, second = (
            probe_pictures(
                _items(after, column, manifest), seed=seed, workers=how.workers, finder=YuNet()
            )
            for column, manifest in (origins, now)
        )
    except DataError as error:
        how.say(f"the shortcut probe was left out: {error}")
        return None, None
    return first, second


def compared(before: ProbeResult, after: ProbeResult) -> list[tuple[str, str, str]]:
    """Return the rows of a table: what predicts the label, its AUC before, and after.

    First all features together, then each family that is guilty on either side.
    """
    names = dict.fromkeys(guilty.family for guilty in (*before.guilty, *after.guilty))
    return [
        ("all features", _scored(before), _scored(after)),
        *((name, _family(before, name), _family(after, name)) for name in names),
    ]


def _items(after: Manifest, column: str, manifest: Manifest) -> list[ProbeItem]:
    """Return the pictures that a column of the prepared table names."""
    rows = after.table.select(column, "label", "group").iter_rows()
    return [
        ProbeItem(manifest.picture_path(path), label == "fake", group)
        for path, label, group in rows
    ]


def _scored(found: ProbeResult) -> str:
    return f"{found.auc:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _family(found: ProbeResult, name: str) -> str:
    """Return the AUC of a family, and how many of its features tell alone."""
    for family in found.families:
        if family.name == name:
            guilty = sum(item.family == name for item in found.guilty)
            said = f"{family.auc:.3f} [{family.low:.3f}, {family.high:.3f}]"
            return f"{said}, {guilty} guilty" if guilty else said
    return "the same for all"
