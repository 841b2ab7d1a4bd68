"""Write the README's table of results and the two of docs/explanation/accuracy.md.

They are from the default detector's own record.

uv run python docs/figures.py
"""

from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path

from faceproof.detector import Detector, DetectorSpec, Finding

DOCS = Path(__file__).parent

CONDITIONS = ("clean", "jpeg-60", "resize-0.5")


def summary(spec: DetectorSpec) -> Iterator[str]:
    """Yield the table of all test faces: what is called what, with 95 % intervals."""
    point = spec.default_operating_point
    found = {(one.condition, one.metric): one for one in spec.results if one.slice == "all"}
    rates = {
        "real faces called fake": f"bpcer@{point}",
        "real faces left `unsure`": f"real_unsure_rate@{point}",
        "fakes called fake": f"recall@{point}",
        "fakes called real": f"apcer@{point}",
    }
    yield "| at the default operating point | n | unchanged | JPEG, quality 60 | half the size |"
    yield "|---|--:|---|---|---|"
    for words, metric in rates.items():
        cells = [cell(found[condition, metric]) for condition in CONDITIONS]
        yield f"| {words} | {found['clean', metric].n:,} | {' | '.join(cells)} |"


def real_faces(spec: DetectorSpec) -> Iterator[str]:
    """Yield the table of real faces: a row for each family, with 95 % intervals."""
    point = spec.default_operating_point
    yield "| real faces | n | called fake, clean | jpeg-60 | resize-0.5 | unsure, clean |"
    yield "|---|--:|---|---|---|---|"
    yield from rows(spec, "family=", f"bpcer@{point}", f"real_unsure_rate@{point}")


def fake_faces(spec: DetectorSpec) -> Iterator[str]:
    """Yield the table of fakes: a row for each generator, with 95 % intervals."""
    point = spec.default_operating_point
    yield "| fakes | n | called fake, clean | jpeg-60 | resize-0.5 | called real, clean |"
    yield "|---|--:|---|---|---|---|"
    yield from rows(spec, "generator=", f"recall@{point}", f"apcer@{point}")


def rows(spec: DetectorSpec, kind: str, metric: str, last: str) -> Iterator[str]:
    """Yield a row for each slice of a kind, then one for all."""
    found = {(one.slice, one.condition, one.metric): one for one in spec.results}
    names = [name for name, condition, of in found if of == metric and condition == "clean"]
    for name in [*sorted(name for name in names if name.startswith(kind)), "all"]:
        cells = [cell(found[name, condition, metric]) for condition in CONDITIONS]
        count = found[name, "clean", metric].n
        shown = name.removeprefix(kind)
        yield f"| {shown} | {count:,} | {' | '.join(cells)} | {cell(found[name, 'clean', last])} |"


def cell(finding: Finding) -> str:
    """Return a rate in percent and its interval."""
    value, low, high = (100 * one for one in (finding.value, finding.low, finding.high))
    return f"{value:.1f} % [{low:.1f}, {high:.1f}]"


def replace_table(page: Path, table: Iterable[str]) -> None:
    """Replace the page's table with the same first line."""
    lines, made = page.read_text(encoding="utf-8").splitlines(), list(table)
    start = lines.index(made[0])
    old = list(takewhile(lambda line: line.startswith("|"), lines[start:]))
    lines[start : start + len(old)] = made
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    spec = Detector.load("default").spec
    replace_table(DOCS.parent / "README.md", summary(spec))
    replace_table(DOCS / "explanation" / "accuracy.md", real_faces(spec))
    replace_table(DOCS / "explanation" / "accuracy.md", fake_faces(spec))
