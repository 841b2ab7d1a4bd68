"""``check --annotate DIR`` and ``--heatmaps DIR``: folders of pictures drawn from results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import typer

from faceproof.cli.streams import unwritable_error
from faceproof.errors import FaceproofError, UsageError
from faceproof.sources import ANNOTATED_MARK, to_printable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image

    from faceproof.checker import Checker
    from faceproof.loading import Source
    from faceproof.results import CheckResult

    Pixels = npt.NDArray[np.uint8]


class Drawing(NamedTuple):
    """An image, the end of its file's name, and the mark that says what it shows."""

    image: Image
    suffix: str
    mark: str


class PictureFolder(ABC):
    """Takes results in order, and draws each into a folder.

    A result has no pixels: the source is opened a second time, and must be the picture that was
    judged. The name of a file is the source's name and SHA-256; a file that does not show the same
    is never overwritten.
    """

    option: ClassVar[str]
    key: ClassVar[str]

    def __init__(self, folder: Path, checker: Checker) -> None:
        """Make the folder, or raise UsageError."""
        self._folder, self._checker = folder, checker
        self._sources: deque[Source] = deque()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"{self.option} {to_printable(str(folder))}: the folder cannot be made "
                f"({error.strerror}); name another"
            ) from error

    @abstractmethod
    def has_picture(self, result: CheckResult) -> bool:
        """Return whether there is something to draw of a result."""

    @abstractmethod
    def draw(self, pixels: Pixels, result: CheckResult) -> Iterator[Drawing]:
        """Yield what there is to draw of a result, on the pixels that were judged."""

    def record_sources(self, sources: Iterable[Source]) -> Iterator[Source]:
        """Yield the sources on their way to the checker, whose results `take` gets."""
        for source in sources:
            self._sources.append(source)
            yield source

    def take(self, result: CheckResult) -> None:
        """Draw the next result; a source that cannot be opened again is a line on standard error.

        Raises:
            OutputError: the folder cannot be written to.
        """
        source = self._sources.popleft()
        if not self.has_picture(result):
            return
        try:
            pixels = self._reload_pixels(source, result)
        except (FaceproofError, OSError) as error:
            typer.echo(f"{result.source}: not drawn for {self.option}: {error}", err=True)
            return
        for drawing in self.draw(pixels, result):
            self._write(drawing, result)

    def _reload_pixels(self, source: Source, result: CheckResult) -> Pixels:
        """Return the pixels of the picture that was judged."""
        from faceproof.loading import load_source

        picture = load_source(source, self._checker.limits, self._checker.addresses)
        if result.image is None or picture.sha256 != result.image.sha256:
            raise UsageError("the picture has changed since it was judged; check it again")
        return picture.pixels

    def _write(self, drawing: Drawing, result: CheckResult) -> None:
        from faceproof.reports.marked_files import free_path, safe_stem, write_marked

        sha256 = result.image.sha256 if result.image else ""
        name = f"{safe_stem(result.source)}-{sha256[:12]}{drawing.suffix}"
        path = free_path(self._folder, name, self.key, drawing.mark)
        try:
            write_marked(drawing.image, path, self.key, drawing.mark)
        except OSError as error:
            raise unwritable_error(f"{self.option}: {to_printable(str(path))}", error) from error


class AnnotatedFolder(PictureFolder):
    """Draws every picture that was checked, with a frame and the verdict at each face."""

    option, key = "--annotate", ANNOTATED_MARK

    def has_picture(self, result: CheckResult) -> bool:
        """Return whether the picture could be opened; one without a face is drawn too."""
        return result.image is not None and result.error is None

    def draw(self, pixels: Pixels, result: CheckResult) -> Iterator[Drawing]:
        """Yield the marked picture."""
        from PIL import Image

        from faceproof.reports.annotated import annotated_mark
        from faceproof.reports.marked_picture import mark_picture

        yield Drawing(Image.fromarray(mark_picture(pixels, result)), "", annotated_mark(result))
