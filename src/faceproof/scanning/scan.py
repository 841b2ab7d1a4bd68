"""`scan`: checks very many pictures, and writes their results as Parquet and a summary page."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sized
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from faceproof.checker import FACES
from faceproof.detector.bundle import Bundle
from faceproof.detector.detector import locate
from faceproof.detector.scorers import AUTO, select_scorer, usable_cores
from faceproof.errors import UsageError
from faceproof.outputs import write_error, write_text
from faceproof.results import CheckedBy
from faceproof.runs import RunFolder, lock_folder
from faceproof.scanning.lister import Lister
from faceproof.scanning.local_engine import LocalEngine
from faceproof.scanning.ray_engine import RayEngine
from faceproof.scanning.result_files import RESULTS, PartWriter, ResultFolder, count_rows
from faceproof.scanning.spec import ScanSpec
from faceproof.scanning.summary import ScanSummary, pick_suspicious, summarise
from faceproof.scanning.summary_page import scan_page
from faceproof.scanning.worker import TIMEOUT, CheckOptions
from faceproof.sources import to_printable
from faceproof.tables import choose, require

if TYPE_CHECKING:
    import pyarrow as pa

SPEC, PAGE, SUMMARY, _LOCK = "scan.json", "summary.html", "summary.json", "scan.lock"
#: A file of results is written when it has so many rows, or after so many seconds.
PART_ROWS, PART_SECONDS = 10_000, 30.0


class Progress(Protocol):
    """Shows how a scan proceeds."""

    def start(self, judged: int, chunks: Iterable[Sized]) -> None:
        """Take the number of pictures that have results, and all chunks, to be counted."""

    def advance(self, table: pa.Table) -> None:
        """Take new rows."""


class _Engine(Protocol):
    """Runs the checks of a scan."""

    def run(self, lister: Lister) -> Generator[pa.Table, None, None]:
        """Yield the rows of the lister's chunks as they are finished."""


#: Where the checks run, by name: what makes the engine, and the pictures in a chunk.
ENGINES: Mapping[str, tuple[Callable[..., AbstractContextManager[Any]], int]] = {
    "local": (
        lambda options, workers, _: LocalEngine(options, workers=workers or usable_cores()),
        16,
    ),
    "ray": (
        lambda options, workers, address: RayEngine(options, workers=workers, address=address),
        64,
    ),
}


def scan(
    inputs: Iterable[str | Path],
    output: str | Path,
    *,
    detector: str | Path = "default",
    at: str | None = None,
    faces: str = "all",
    scorer: str = AUTO,
    device: str = "cpu",
    engine: str = "local",
    workers: int | None = None,
    address: str | None = None,
    timeout: float = TIMEOUT,
    resume: bool = False,
    by_content: bool = False,
    column: str | None = None,
    part_rows: int = PART_ROWS,
    part_seconds: float = PART_SECONDS,
    progress: Progress | None = None,
) -> ScanSummary:
    """Check the pictures behind ``inputs`` and return the summary of all results in ``output``.

    ``inputs`` are files, folders, patterns, lists of names, tar archives, Parquet files and
    addresses in stores. The results are in ``output/results``, one row a picture, with a summary
    page beside them. With ``resume``, pictures that have a result are not checked again: those of
    the same name, size and time, or of the same bytes, ``by_content``. ``workers`` processes
    (None: one for each core) run on this machine, or with the ``engine`` "ray" on the cluster at
    ``address`` (None: one that is started here). All of them use the same ``scorer``, which
    "auto" chooses here for the ``device``. ``timeout`` is the limit for the check of one picture,
    in seconds. ``column`` is that of Parquet files. A process of the engine "local" imports the
    main module again: call this below ``if __name__ == "__main__"``.

    >>> import tempfile
    >>> from faceproof import scan
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scan(["samples/real-hopper.jpg"], folder, engine="locl")
    Traceback (most recent call last):
    ...
    faceproof.errors.UnknownChoiceError: unknown engine 'locl', did you mean 'local'? \
Choices: local, ray

    Raises:
        UnknownChoiceError: no such engine, choice of faces, operating point, scorer or device.
        UsageError: ``output`` has results and not ``resume``, or those of another kind of scan;
            or no installed scorer can use the device.
        BundleError: the detector cannot be loaded.
        OutputError: the disk is full; the results so far are kept.
        MissingExtraError: the extra ``scan`` or ``ray`` is not installed.
    """
    require("polars", "pyarrow", "filelock", "jinja2", extra="scan")
    make_engine, chunk = choose(ENGINES, engine, what="engine")
    if address is not None and engine != "ray":
        raise UsageError(f"--address {address} is of a Ray cluster: add --engine ray")
    names = tuple(map(str, inputs))
    if not all(names) or not names:
        raise UsageError("an input is an empty text, or none is given: name files or folders")
    choose(FACES, faces, what="choice of faces")
    if not timeout > 0:
        raise UsageError(f"timeout {timeout:g} s must be more than 0")
    options = _read_options(
        detector, at, faces, scorer=select_scorer(scorer, device), device=device, timeout=timeout
    )
    spec = ScanSpec(
        detector=options.by,
        operating_point=options.operating_point,
        faces=faces,
        identity="content" if by_content else "address",
    )
    folder = Path(output)
    with _open_output(folder, spec, resume=resume) as run:
        results = ResultFolder(folder / RESULTS)
        known = tuple(results.parts())
        lister = Lister(names, known, column, by_content, chunk)
        run.record_start(verb="scan", inputs=names, engine=engine, judged=count_rows(known))
        writer = PartWriter(results, rows=part_rows, seconds=part_seconds)
        if progress is not None:
            progress.start(count_rows(known), Lister(names, column=column))
        with make_engine(options, workers, address) as made:
            _run(made, lister, writer, progress, run)
        return _summarise(folder, lister, column)


def _run(
    engine: _Engine,
    lister: Lister,
    writer: PartWriter,
    progress: Progress | None,
    run: RunFolder,
) -> None:
    """Write the rows of all chunks; after an error or a signal, those that are finished."""
    try:
        with closing(engine.run(lister)) as tables:
            for table in tables:
                if writer.add(table):
                    run.log(judged=writer.written)
                if progress is not None:
                    progress.advance(table)
    finally:
        writer.flush()
    run.log(judged=writer.written, repeated=lister.repeated, skipped=lister.skipped)


def _read_options(
    detector: str | Path, at: str | None, faces: str, *, scorer: str, device: str, timeout: float
) -> CheckOptions:
    """Return the options of the check; the detector's files are verified, but not loaded."""
    bundle = Bundle.read(locate(detector))
    bundle.verify()
    spec = bundle.spec
    return CheckOptions(
        detector=str(detector),
        operating_point=spec.operating_point(at).name,
        faces=faces,
        by=CheckedBy(
            name=spec.name,
            version=spec.version,
            sha256=bundle.sha256,
            scorer=scorer,
            device=device,
        ),
        scorer=scorer,
        device=device,
        timeout=timeout,
    )


@contextmanager
def _open_output(folder: Path, spec: ScanSpec, *, resume: bool) -> Iterator[RunFolder]:
    """Yield the output folder, which no other process writes to meanwhile.

    Raises:
        UsageError: it has results, and they are not to be or cannot be continued.
    """
    shown = to_printable(str(folder))
    try:
        run = RunFolder(folder)
    except OSError as error:
        raise write_error(folder, error) from error
    busy = f"{shown} is in use: another scan writes there; wait for it, or name another folder"
    with lock_folder(folder, name=_LOCK, busy=busy):
        if (folder / SPEC).is_file():
            found = ScanSpec.read(folder / SPEC)
            if not resume:
                raise UsageError(
                    f"{shown} has the results of a scan: add --resume, or name another folder"
                )
            if differences := spec.differences(found):
                raise UsageError(
                    f"{shown} cannot be resumed: {'; '.join(differences)}; name another folder"
                )
        else:
            spec.write(folder / SPEC)
        yield run


def _summarise(folder: Path, lister: Lister, column: str | None) -> ScanSummary:
    """Write the summary and its page, and return the summary."""
    results = ResultFolder(folder / RESULTS)
    summary = summarise(
        results.parts(),
        ScanSpec.read(folder / SPEC),
        repeated=lister.repeated,
        skipped=lister.skipped,
    )
    summary.write(folder / SUMMARY)
    write_text(folder / PAGE, scan_page(summary, pick_suspicious(results.parts(), column)))
    return summary
