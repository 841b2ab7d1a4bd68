"""`write_report`: the report of an evaluation or of audits, into the folder that they wrote.

``report.html``, ``report.json`` and ``report.md`` have the same content; ``plots`` has each plot as
SVG and PNG.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faceproof.detector import Detector
from faceproof.errors import UsageError
from faceproof.evaluation.audit_result import AuditRun, AuditSettings
from faceproof.evaluation.evaluate import PREDICTIONS, make_evaluation
from faceproof.evaluation.evaluation_record import DatasetRef, DetectorRef, Evaluation
from faceproof.evaluation.predictions import read_table
from faceproof.evaluation.selection import data_cautions
from faceproof.outputs import atomic_write, write_error, write_text
from faceproof.reports.make_report import audit_report, evaluation_report
from faceproof.reports.report import Report
from faceproof.reports.report_page import NO_PICTURES, report_markdown, report_page
from faceproof.reports.vega import draw_png, draw_svg, fill_colours
from faceproof.reports.worst_errors import SmallPicture, missing_reasons, small_pictures
from faceproof.sources import to_printable

if TYPE_CHECKING:
    import pyarrow as pa

PAGE, RECORD, MARKDOWN, PLOTS = "report.html", "report.json", "report.md", "plots"
NO_ROOT = "No picture is shown: the data folder is not known (--root)."

_SAMPLES = ("clean", "degraded")
"""The predictions tables of audits, that of unchanged pictures first."""


def write_report(
    found: Evaluation | AuditRun,
    folder: str | Path,
    *,
    detector: Detector | str | Path | None = None,
    root: str | Path | None = None,
    pictures: bool = True,
) -> Path:
    r"""Write the report of what `evaluate` or `audit` wrote to ``folder``; return its page's path.

    ``detector`` is the one that was judged: audits need it, and an evaluation then states which
    generators of its training were not tested. ``root`` is the data folder: with it, small pictures
    of the worst errors are part of the page, unless ``pictures`` is False.

    >>> import tempfile
    >>> from faceproof import evaluate_scores, write_report
    >>> folder = Path(tempfile.mkdtemp())
    >>> rows, scores = ["path,label,generator,source,split,group,sha256"], ["path,score"]
    >>> for n, (label, generator) in enumerate([("real", "none"), ("fake", "lamp")] * 3):
    ...     rows.append(f"{n}.png,{label},{generator},home,test,{n},{n:064}")
    ...     scores.append(f"{n}.png,{0.9 if label == 'fake' else 0.2}")
    >>> _ = (folder / "faces.csv").write_text("\n".join(rows))
    >>> _ = (folder / "lamp.csv").write_text("\n".join(scores))
    >>> found = evaluate_scores(folder / "lamp.csv", folder / "faces.csv", resamples=20)
    >>> write_report(found, folder, detector="default")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    faceproof.errors.UsageError: the results are of the detector ...

    Raises:
        UsageError: the detector is missing or another one, or the folder cannot be written to.
        OutputError: the disk is full.
        DataError: the predictions in the folder cannot be read.
        MissingExtraError: jinja2 or vl-convert is not installed (extra `data`).
    """
    place = Path(folder)
    judge = (
        detector if detector is None or isinstance(detector, Detector) else Detector.load(detector)
    )
    if isinstance(found, Evaluation):
        _require_same(judge, found.detector.sha256)
        table = read_table(place / PREDICTIONS)
        report = evaluation_report(found, table, judge.spec if judge else None)
    else:
        report = _report_audits(found, place, judge)
    note = NO_PICTURES if not pictures else NO_ROOT
    source = _PictureSource(Path(root), report.faces, judge) if pictures and root else None
    return _write(report, place, source, note)


def _require_same(judge: Detector | None, sha256: str) -> None:
    if judge and judge.sha256 != sha256:
        raise UsageError(
            f"the results are of the detector {sha256[:12]}, not of {judge.spec.name} "
            f"({judge.sha256[:12]}); name the detector that was judged"
        )


def _report_audits(run: AuditRun, folder: Path, judge: Detector | None) -> Report:
    if judge is None:
        raise UsageError("the report of audits needs their detector; name it")
    _require_same(judge, run.settings.detector_sha256)
    point = judge.operating_point(run.settings.operating_point)
    return audit_report(run.results, judge.spec, point, measure_sample(run.settings, folder, judge))


def measure_sample(
    settings: AuditSettings, folder: Path, judge: Detector
) -> tuple[Evaluation, pa.Table] | None:
    """Return the figures and predictions of the unchanged pictures of an audit's sample.

    They are kept in the folder as ``evaluation-NAME.json``; None if no picture was judged.
    """
    for name in _SAMPLES:
        file, kept = folder / f"predictions-{name}.parquet", folder / f"evaluation-{name}.json"
        if not file.is_file():
            continue
        table = read_table(file)
        table = table.filter([one == "clean" for one in table["condition"].to_pylist()])
        found = _read_kept(kept, settings, table)
        if found is None:
            found = _evaluate_sample(settings, judge, table)
            try:
                found.write(kept)
            except OSError as error:
                raise write_error(kept, error) from error
        return found, table
    return None


def _read_kept(file: Path, settings: AuditSettings, table: pa.Table) -> Evaluation | None:
    """Return the figures in the folder if they are of this sample."""
    try:
        found = Evaluation.read(file)
    except (OSError, ValueError):
        return None
    same = (found.detector.sha256, found.data.sha256, found.data.rows, found.seed) == (
        *(settings.detector_sha256, settings.data_sha256, table.num_rows, settings.seed),
    )
    return found if same else None


def _evaluate_sample(settings: AuditSettings, judge: Detector, table: pa.Table) -> Evaluation:
    known = (settings.split, settings.data_sha256, judge.spec.trained_on.data_sha256)
    return make_evaluation(
        table,
        DetectorRef(
            name=settings.detector,
            version=settings.detector_version,
            sha256=settings.detector_sha256,
        ),
        DatasetRef(
            name=settings.data,
            sha256=settings.data_sha256,
            split=settings.split,
            rows=table.num_rows,
        ),
        judge.operating_point(settings.operating_point),
        chosen_faces=settings.faces,
        cautions=tuple(data_cautions(*known, table)),
        seed=settings.seed,
    )


@dataclass(frozen=True)
class _PictureSource:
    """Where the pictures are, how their faces were chosen, and the detector for heat maps."""

    root: Path
    faces: str
    detector: Detector | None


def _write(report: Report, folder: Path, source: _PictureSource | None, note: str) -> Path:
    """Write all files of a report."""
    drawings = {plot.name: draw_svg(plot) for plot in report.plots}
    small: Sequence[SmallPicture] = ()
    if source:
        small = small_pictures(report.worst_errors, source.root, source.faces, source.detector)
    if small and not any(one.picture for one in small):
        where, why = to_printable(str(source and source.root)), ", ".join(missing_reasons(small))
        small, note = (), f"No picture could be read in {where} ({why})."
    page = report_page(report, drawings, pictures=small, pictures_note=note)
    try:
        _write_plots(drawings, folder / PLOTS)
        report.write(folder / RECORD)
        write_text(folder / MARKDOWN, report_markdown(report))
        write_text(folder / PAGE, page)
    except OSError as error:
        raise write_error(folder, error) from error
    return folder / PAGE


def _write_plots(drawings: dict[str, str], folder: Path) -> None:
    """Write each plot as SVG and PNG, and remove those of an earlier report."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {f"{name}.{ending}" for name in drawings for ending in ("svg", "png")}
    for old in folder.iterdir():
        if old.suffix in {".svg", ".png"} and old.name not in wanted:
            old.unlink()
    for name, svg in drawings.items():
        write_text(folder / f"{name}.svg", fill_colours(svg))
        with atomic_write(folder / f"{name}.png", sync=False) as file:
            file.write(draw_png(svg))
