"""Print the README's table of results, from the default detector's own record.

uv run python docs/figures.py
"""

import sys
from collections.abc import Iterator

from faceproof.detector import Detector, DetectorSpec, Finding

SOURCES = ("all", "source=ffhq_stylegan140k", "source=openforensics", "source=dfdc")
CONDITIONS = ("clean", "jpeg-60", "resize-0.5")
COLUMNS = {
    "ROC-AUC": "roc_auc",
    "real called fake": "bpcer@{point}",
    "real, unsure": "real_unsure_rate@{point}",
    "fake called fake": "recall@{point}",
    "fake called real": "apcer@{point}",
}


def table(spec: DetectorSpec) -> Iterator[str]:
    """Yield the lines of the table: a row for each source and condition, with 95 % intervals."""
    yield f"| test pictures | saved as | {' | '.join(COLUMNS)} |"
    yield "|---" * (2 + len(COLUMNS)) + "|"
    found = {(one.slice, one.condition, one.metric): one for one in spec.results}
    for source in SOURCES:
        for condition in CONDITIONS:
            cells = [
                cell(found[source, condition, metric.format(point=spec.default_operating_point)])
                for metric in COLUMNS.values()
            ]
            name = source.removeprefix("source=")
            yield f"| {name} | {condition} | {' | '.join(cells)} |"


def cell(finding: Finding) -> str:
    """Return a value and its interval: an AUC with three digits, a rate in percent."""
    value, low, high = finding.value, finding.low, finding.high
    if finding.metric == "roc_auc":
        return f"{value:.3f} [{low:.3f}, {high:.3f}]"
    return f"{100 * value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


if __name__ == "__main__":
    sys.stdout.write("\n".join(table(Detector.load("default").spec)) + "\n")
