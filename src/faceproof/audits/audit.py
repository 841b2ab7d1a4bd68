"""`audit`: what breaks a detector, for whom it is worse, and how far its probabilities hold.

`AUDITS` has a question for each audit. To add one, write a file beside the others that ends in an
`Audit`, and give it a line in the table; tests run every entry on a small detector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from faceproof.audits.attacks import ATTACKS_AUDIT
from faceproof.audits.calibration import CALIBRATION
from faceproof.audits.context import SCORINGS, Audit, AuditContext, Progress
from faceproof.audits.fairness import FAIRNESS
from faceproof.audits.generators import GENERATORS, find_leave_one_out
from faceproof.audits.robustness import ROBUSTNESS
from faceproof.audits.shortcuts import SHORTCUTS
from faceproof.audits.stability import STABILITY
from faceproof.data.manifest import Manifest
from faceproof.detector import Detector
from faceproof.detector.scorers import usable_cores
from faceproof.errors import UsageError
from faceproof.evaluation.audit_result import AuditResult, AuditRun, AuditSettings
from faceproof.evaluation.predict import check_batch_size
from faceproof.evaluation.scored_faces import FACES
from faceproof.evaluation.selection import select_rows
from faceproof.outputs import atomic_write, refuse_overwriting, write_error
from faceproof.sources import to_printable
from faceproof.tables import choose

AUDITS: Mapping[str, Audit] = {
    "robustness": ROBUSTNESS,
    "stability": STABILITY,
    "calibration": CALIBRATION,
    "generators": GENERATORS,
    "fairness": FAIRNESS,
    "shortcuts": SHORTCUTS,
    "attacks": ATTACKS_AUDIT,
}
"""The audits by name, in the order in which they are run."""

MOST = 300
"""How many pictures a cell of a sample has at most, unless all are asked for."""

SETTINGS = "audit.json"
"""The file of the settings that all results of a folder share."""


def audit(
    detector: Detector | str | Path,
    manifest: Manifest | str | Path,
    *,
    only: Sequence[str] | None = None,
    output: str | Path | None = None,
    split: str | None = None,
    root: str | Path | None = None,
    at: str | None = None,
    faces: str = "largest",
    most: int | None = MOST,
    seed: int = 0,
    leave_one_out: str | Path | None = None,
    by: Sequence[str] = (),
    batch_size: int = 32,
    progress: Progress | None = None,
) -> AuditRun:
    r"""Return the results of the audits called ``only`` (None: all) of a detector.

    ``detector``, ``manifest``, ``split``, ``root``, ``at``, ``faces`` and ``batch_size`` are those
    of `faceproof.evaluate`. Each cell of a sample has at most ``most`` pictures, None takes all; a
    result names its cells with fewer than 300 groups. ``by`` are the attribute columns of the
    audit *fairness*, joined by ``+`` for groups by several; without any, those of
    `faceproof.audits.attributes.KNOWN` and their pairs. ``output`` is a folder, new, empty or of an
    earlier audit with the same settings: each result is written as ``NAME.json`` when it is done,
    and a result or predictions table that is there is read and not made again. ``leave_one_out``
    is the output of `faceproof.leave_one_out`, a file or its folder; without it the audit
    *generators* reads ``leave-one-out.json`` in ``output``, if it is there. ``progress`` is
    called with the name of a predictions table, its answers so far and their final number.

    Raises:
        UsageError: a file or folder cannot be used, or has other settings; the split has no row.
        UnknownChoiceError: the audit, operating point, split, attribute column or choice of faces
            is unknown.
        ManifestError: the manifest breaks its contract, or a picture is another than it names.

    >>> import hashlib, tempfile
    >>> from PIL import Image
    >>> folder = Path(tempfile.mkdtemp())
    >>> rows = ["path,label,generator,source,split,group,sha256"]
    >>> for n, (label, generator) in enumerate([("real", "none"), ("fake", "lamp")] * 3):
    ...     Image.new("RGB", (64, 64), (40 * n, 90, 90)).save(file := folder / f"{n}.png")
    ...     digest = hashlib.sha256(file.read_bytes()).hexdigest()
    ...     rows.append(f"{n}.png,{label},{generator},home,test,{n},{digest}")
    >>> _ = (folder / "faces.csv").write_text("\n".join(rows))
    >>> run = audit("default", folder / "faces.csv", only=["generators"], faces="whole")
    >>> run.settings.rows, [one.name for one in run.results]
    (6, ['generators'])
    """
    names = tuple(dict.fromkeys(only)) if only else tuple(AUDITS)
    chosen = {name: choose(AUDITS, name, what="audit") for name in names}
    find = choose(FACES, faces, what="choice of faces")()
    if most is not None and most < 1:
        raise UsageError(f"most is {most}; a cell needs at least 1 picture")
    check_batch_size(batch_size)
    judge = (
        detector
        if isinstance(detector, Detector)
        else Detector.load(detector, threads=usable_cores())
    )
    point, selection = judge.operating_point(at), select_rows(manifest, root, split)
    settings = AuditSettings(
        faceproof=version("faceproof"),
        detector=judge.spec.name,
        detector_version=judge.spec.version,
        detector_sha256=judge.sha256,
        data=selection.name,
        data_sha256=selection.sha256,
        split=selection.split,
        rows=len(selection.rows),
        operating_point=point.name,
        faces=faces,
        most=most,
        seed=seed,
        by=tuple(by),
    )
    folder = None if output is None else Path(output)
    if folder:
        if not isinstance(manifest, Manifest):
            written = {f"--output {name}": folder / name for name in _file_names()}
            refuse_overwriting(written, [manifest])
        _open_folder(folder, settings)
    context = AuditContext(
        judge,
        point,
        selection,
        find,
        settings,
        folder,
        progress or (lambda _, __, ___: None),
        find_leave_one_out(leave_one_out, folder),
        batch_size,
    )
    if by:
        context.attributes  # noqa: B018 - an unknown column is an error before anything is scored
    results = (_run_or_read(name, one, context) for name, one in chosen.items())
    return AuditRun(settings=settings, results=tuple(results))


def _open_folder(folder: Path, settings: AuditSettings) -> None:
    """Make the folder, or check that it holds an audit with the same settings.

    Raises:
        UsageError: it holds something else, or cannot be written to.
    """
    shown, file = to_printable(str(folder)), folder / SETTINGS
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{shown} is not a folder; name one that is new or empty")
    if file.is_file():
        _compare_settings(file, settings)
    elif folder.exists() and any(folder.iterdir()):
        raise UsageError(
            f"{shown} is not empty and holds no earlier audit; name a new or empty folder"
        )
    else:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(folder, error) from error
        _replace(file, settings.model_dump_json(indent=2))


def _compare_settings(file: Path, settings: AuditSettings) -> None:
    """Reject the settings of another audit, and name the differences.

    Raises:
        UsageError: they differ, or the file cannot be read.
    """
    shown = to_printable(str(file.parent))
    try:
        before = AuditSettings.read(file)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{to_printable(str(file))} cannot be read as settings of an audit; name a new folder"
        ) from error
    old, new = before.model_dump(), settings.model_dump()
    if differing := [name for name in new if old[name] != new[name]]:
        differences = "; ".join(f"{name} {old[name]!r}, now {new[name]!r}" for name in differing)
        raise UsageError(
            f"{shown} holds an audit with other settings ({differences}): name a new folder, or "
            "repeat the earlier options to resume it"
        )


def _run_or_read(name: str, one: Audit, context: AuditContext) -> AuditResult:
    """Return the result in the folder, or run the audit and write it there."""
    file = context.folder / f"{name}.json" if context.folder else None
    stale = one is GENERATORS and context.leave_one_out is not None
    if file and file.is_file() and not stale:
        try:
            return AuditResult.read(file)
        except ValueError as error:
            raise UsageError(
                f"{to_printable(str(file))} cannot be read as the result of an audit; delete it to "
                "run the audit again"
            ) from error
    found, main = one.run(context), one.reads[0]
    about_data = context.cautions(main) if context.sample(main) else ()
    result = AuditResult(
        name=name,
        question=one.question,
        answer=found.answer,
        details=found.details,
        measured=found.measured,
        settings=context.settings,
        pictures=len(context.sample(main)),
        cautions=(*about_data, *found.cautions),
        own_cautions=found.cautions,
        tables=found.tables,
        plots=found.plots,
        findings=found.findings,
    )
    if file:
        _replace(file, result.model_dump_json(indent=2))
    return result


def _file_names() -> list[str]:
    """Return the names of all files that an audit writes."""
    return [
        SETTINGS,
        *(f"{name}.json" for name in AUDITS),
        *(f"predictions-{name}.parquet" for name in SCORINGS),
    ]


def _replace(file: Path, text: str) -> None:
    """Write a file as a whole.

    Raises:
        OutputError: the disk is full.
        UsageError: the file cannot be written.
    """
    try:
        with atomic_write(file) as stream:
            stream.write(f"{text}\n".encode())
    except OSError as error:
        raise write_error(file, error) from error
