"""From a listed picture, embedded bytes or a video to what was measured, or why it was not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from faceproof.data.importing.facts import Facts, measure
from faceproof.data.importing.videos import sample_video
from faceproof.data.layouts.listing import Listed, Problem
from faceproof.errors import SourceError, SourceUnreadableError, TruncatedPictureError
from faceproof.imaging.formats import FORMATS, SUFFIXES
from faceproof.imaging.picture import DEFAULT_LIMITS
from faceproof.imaging.reading import read_file
from faceproof.sources import printable

#: What to do about a file, where the error does not say so itself; by its code.
REMEDIES = {
    "corrupt_picture": "fetch the file again, or delete it",
    "empty_file": "fetch the file again, or delete it",
    "mislabelled_file": "rename it, or delete it",
    "source_not_found": "fetch the missing files, or take the row out of the source's table",
    "source_unreadable": "see to permissions and disk space, then import again",
    "truncated_picture": "fetch the file again, or delete it",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One picture: who listed it, where it lies (below the source, or extracted) and its facts."""

    item: Listed
    path: str
    extracted: bool
    facts: Facts
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """Something listed, and the name under which it would be extracted."""

    item: Listed
    place: str = ""


@dataclass(frozen=True)
class Reader:
    """Reads what is listed below ``folder``; frames and embedded pictures go below ``extract``."""

    folder: Path
    extract: Path
    frames: int

    def read(self, task: Task | Problem) -> list[Measured | Problem]:
        """Return the pictures that a task comes to, or the problems that stand in their place."""
        if isinstance(task, Problem):
            return [task]
        try:
            return list(self._read(task))
        except SourceError as error:
            return [self._problem(task.item, error)]
        except OSError as error:  # of writing; reading raises ours
            said = f"{error.filename}: cannot be written ({error.strerror or error})"
            return [self._problem(task.item, SourceUnreadableError(said))]

    def _read(self, task: Task) -> Iterator[Measured | Problem]:
        item = task.item
        if item.video:
            yield from self._frames(task)
        elif item.data is not None:
            yield self._embedded(task, item.data)
        else:
            data = read_file(self.folder / item.path, DEFAULT_LIMITS)
            yield Measured(item, item.path, extracted=False, facts=measure(data, item.path))

    def _embedded(self, task: Task, data: bytes) -> Measured:
        """Write embedded bytes as they are, once they are known to be a picture."""
        facts = measure(data, task.item.path)
        path = _with_suffix(task.place, facts.format)
        _write(self.extract / path, data)
        return Measured(task.item, path, extracted=True, facts=facts)

    def _frames(self, task: Task) -> Iterator[Measured | Problem]:
        """Yield the frames of a video, and a problem where some could not be had."""
        item, folder = task.item, self.extract / task.place
        sampled = sample_video(self.folder / item.path, folder, self.frames)
        for frame in sampled.frames:
            path = f"{task.place}/{frame.file}"
            facts = measure(read_file(self.extract / path, DEFAULT_LIMITS), path)
            said = {"frame": str(frame.number), "seconds": f"{frame.seconds:.3f}"}
            attributes = {"video": item.path, **said}
            yield Measured(item, path, extracted=True, facts=facts, attributes=attributes)
        if sampled.missing:
            yield self._problem(item, TruncatedPictureError(sampled.missing))

    def _problem(self, item: Listed, error: SourceError) -> Problem:
        """Return an error as a problem: what is wrong and what to do, without the name again."""
        path = self.folder / item.path
        reason = str(error).removeprefix(f"{item.path}: ").removeprefix(f"{path}: ")
        remedy = REMEDIES.get(error.code)
        said = f"{reason}; {remedy}" if remedy else reason
        return Problem(printable(item.path), error.code, printable(said))


def _with_suffix(place: str, kind: str) -> str:
    """Return the name with a suffix of its format.

    >>> _with_suffix("train/7.png", "JPEG"), _with_suffix("v1.5", "PNG")
    ('train/7.jpg', 'v1.5.png')
    """
    suffixes = FORMATS[kind].suffixes
    own = PurePosixPath(place).suffix
    if own.lower() in suffixes:
        return place
    return (place.removesuffix(own) if own.lower() in SUFFIXES else place) + suffixes[0]


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; one that is there and the same is left alone."""
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    part.replace(path)
