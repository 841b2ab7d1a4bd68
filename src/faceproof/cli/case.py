"""``check --report FILE``: a case report on what was checked, as HTML or PDF by the name's end."""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from faceproof.cli.streams import unwritable_error
from faceproof.errors import FaceproofError, MissingExtraError, NoHeatMapError, UsageError
from faceproof.sources import RefusedSource, StreamSource, is_address

if TYPE_CHECKING:
    from faceproof.checker import Checker
    from faceproof.loading import Source
    from faceproof.reports.case_blocks import CaseFacts, Evidence
    from faceproof.results import CheckResult

MOST_PICTURES = 200
"""A report on more would be one that nobody reads, and no browser opens quickly."""


def _render_html(facts: CaseFacts) -> bytes:
    from faceproof.reports.case_report import render_page

    return render_page(facts).encode()


def _render_pdf(facts: CaseFacts) -> bytes:
    from faceproof.reports.case_pdf import render_document

    return render_document(facts)


class _ReportFormat(NamedTuple):
    """A kind of report: the library that it needs, and what makes it."""

    library: str
    render: Callable[[CaseFacts], bytes]


KINDS: Mapping[str, _ReportFormat] = {
    ".html": _ReportFormat("jinja2", _render_html),
    ".htm": _ReportFormat("jinja2", _render_html),
    ".pdf": _ReportFormat("reportlab", _render_pdf),
}
"""The kinds of report, by the end of the file's name."""


class CaseReport:
    """Takes results in order, reduces each at once, and writes the report at the end.

    A result has no pixels: its source is read a second time, and shown only where it is the file
    that was judged. The first `MOST_PICTURES` results are shown and the others counted.
    """

    def __init__(self, file: Path, checker: Checker, *, detector: str, faces: str) -> None:
        """Raise UsageError, before anything is checked, where no report can be written there."""
        self._file, self._kind = file, _choose_format(file)
        self._detector, self._faces = detector, faces
        self._checker, self._explaining = _without_and_with_heatmaps(checker, faces)
        self._sources: deque[Source] = deque()
        self._cases: list[Evidence] = []
        self._left_out = 0
        self._started = datetime.now(UTC)

    def record_sources(self, sources: Iterable[Source]) -> Iterator[Source]:
        """Yield the sources on their way to the checker, whose results `take` gets."""
        for source in sources:
            self._sources.append(source)
            yield source

    def take(self, result: CheckResult) -> None:
        """Take the next result; from then on only reduced pictures are held of it."""
        source = self._sources.popleft()
        if len(self._cases) >= MOST_PICTURES:
            self._left_out += 1
        else:
            self._cases.append(self._collect_evidence(source, result))

    def close(self) -> None:
        """Write the report.

        Raises:
            OutputError: the file cannot be written.
        """
        if not self._cases:
            typer.echo(f"{self._file}: no picture was checked; no report written", err=True)
            return
        from faceproof.outputs import atomic_write

        data = self._render()
        try:
            with atomic_write(self._file) as file:
                file.write(data)
        except OSError as error:
            raise unwritable_error(f"--report {self._file}", error) from error
        if self._left_out:
            typer.echo(
                f"{self._file} holds the first {MOST_PICTURES} sources; {self._left_out} more were "
                "checked: split them into several reports",
                err=True,
            )

    def _render(self) -> bytes:
        from faceproof.reports.case_facts import CheckCommand, case_facts

        facts = case_facts(
            self._cases,
            self._checker.detector.spec,
            generated=self._started,
            asked=CheckCommand(self._detector, self._faces),
            left_out=self._left_out,
        )
        return self._kind.render(facts)

    def _collect_evidence(self, source: Source, result: CheckResult) -> Evidence:
        """Return what the report shows of one result."""
        from faceproof.audits import check_resaved
        from faceproof.reports.case_blocks import collect_evidence

        otherwise = "not shown in the report"
        read = partial(read_source_file, source, self._checker, otherwise=otherwise)
        data = read() if result.image else None
        if data is None or result.image is None:
            return collect_evidence(None, result)
        if sha256(data).hexdigest() != result.image.sha256:
            return collect_evidence(data, result)
        again = result.resaved or (check_resaved(self._checker, data) if result.faces else ())
        if self._explaining and not any(face.heatmap for face in result.faces):
            result = self._explaining.check(data, name=result.source)
        return collect_evidence(data, result, again, limits=self._checker.limits)


def read_source_file(source: Source, checker: Checker, *, otherwise: str) -> bytes | None:
    """Return the source's file, read again; None, and a line with ``otherwise``, if that fails."""
    from faceproof.imaging.decode import read_file
    from faceproof.imaging.fetching import fetch

    if isinstance(source, RefusedSource):
        return None
    try:
        if isinstance(source, StreamSource):
            return source.read(checker.limits.max_bytes)
        if isinstance(source, str) and is_address(source):
            return fetch(source, checker.addresses).data if checker.addresses else None
        return read_file(Path(str(source)), checker.limits)
    except FaceproofError as error:
        typer.echo(f"{error}: {otherwise}", err=True)
        return None


def _choose_format(file: Path) -> _ReportFormat:
    """Return the kind of report, whose library is there and whose folder is as well.

    Raises:
        MissingExtraError: the library is not installed.
        UsageError: the suffix is unknown, or the folder does not exist.
    """
    kind = KINDS.get(file.suffix.lower())
    if kind is None:
        raise UsageError(f"--report {file}: its name must end in .html or .pdf")
    if not file.parent.is_dir():
        raise _unwritable_error(file, "the folder does not exist")
    if file.is_dir():
        raise _unwritable_error(file, "it is a folder")
    try:
        importlib.import_module(kind.library)
    except ImportError as error:
        raise MissingExtraError(kind.library, extra="report") from error
    return kind


def _without_and_with_heatmaps(checker: Checker, faces: str) -> tuple[Checker, Checker | None]:
    """Return the same checker without heat maps, and with them where the detector has any."""
    from faceproof.checker import Checker

    make = partial(
        Checker,
        checker.detector,
        faces=faces,
        at=checker.operating_point.name,
        limits=checker.limits,
        addresses=checker.addresses,
    )
    try:
        return make(), make(heatmaps=True)
    except NoHeatMapError:
        return make(), None


def _unwritable_error(file: Path, reason: str | None) -> UsageError:
    return UsageError(f"--report {file} cannot be written: {reason}")
