"""The names of findings about heat maps, as the study writes and the card reads them."""

from __future__ import annotations

RELIABLE = "heatmap_reliable"
"""The share of faces at which deleting the hottest fifth lowers the logit most of five places."""
BEATS_RANDOM = "heatmap_beats_random"
"""The share at which it lowers the logit more than the other four places do on average."""
HOTTEST = "heatmap_hottest_deleted"
"""The mean change of the logit when the hottest fifth is deleted."""
RANDOM = "heatmap_random_deleted"
"""The mean change of the logit when a fifth of the same shape is deleted elsewhere."""
CORRELATION = "heatmap_rank_correlation"
"""The mean rank correlation of maps with those of the network whose weights were shuffled."""

_ANOTHER, _SHUFFLED = "map=another face's", "map=shuffled "


def another() -> str:
    """Return the slice of pictures tested with the map of another one."""
    return _ANOTHER


def shuffled(member: str, stage: str = "") -> str:
    """Return the slice of a network's maps, its weights shuffled down to a stage, or all of them.

    >>> shuffled("densenet121", "head.logit"), shuffled("densenet121")
    ('map=shuffled densenet121 from the logit to head.logit', 'map=shuffled densenet121')
    """
    return f"{_SHUFFLED}{member}{f' from the logit to {stage}' if stage else ''}"


def is_of_heatmaps(metric: str) -> bool:
    """Return whether a finding is about heat maps.

    >>> is_of_heatmaps("heatmap_reliable"), is_of_heatmaps("apcer")
    (True, False)
    """
    return metric.startswith("heatmap_")
