"""A regression set: feedback and the pictures that its reader kept, matched by their SHA-256."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from faceproof.data.manifest import Manifest, Row
from faceproof.errors import ManifestError
from faceproof.evaluation.feedback import Box, Feedback
from faceproof.sources import Refused, Sources, printable

SOURCE = "feedback"
UNKNOWN = "unknown"

_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Case:
    """One face of one picture, and what it is said to be; ``box`` where the picture has others."""

    path: str
    feedback: Feedback

    @property
    def name(self) -> str:
        """The picture, and the number of the face where it has others."""
        box, face = self.feedback.box, self.feedback.face_meant
        return self.path if box is None else f"{self.path}#{face}"

    @property
    def box(self) -> Box | None:
        """Where the face stands, None where the largest one is meant."""
        return self.feedback.box

    @property
    def row(self) -> Row:
        """The picture as a manifest has it; it is in no split."""
        fake = self.feedback.truth == "fake"
        digest = self.feedback.image.sha256
        return Row(
            path=self.path,
            label=self.feedback.truth,
            generator=(self.feedback.generator or UNKNOWN) if fake else "none",
            source=SOURCE,
            group=digest,
            sha256=digest,
        )


@dataclass(frozen=True)
class Counts:
    """How much feedback there was, and why some of it is no case."""

    told: int = 0
    repeated: int = 0
    """Said of the same face before, by another detector or at another operating point."""
    contradicted: int = 0
    """Real says one, fake the other: of such a picture nothing is taken."""
    unclear: int = 0
    """Fake, of a picture with several faces, none of which is named."""
    not_found: int = 0
    """Its picture is not in the folder."""
    known: int = 0
    """Its picture, or one like it, is among those of the update."""


@dataclass(frozen=True)
class FeedbackSet:
    """Cases whose pictures lie in ``root``, and what was left out."""

    cases: tuple[Case, ...]
    root: Path
    name: str
    counts: Counts

    @property
    def sha256(self) -> str:
        """Hash of what is judged: picture, face and truth of every case."""
        lines = sorted(
            f"{case.row.sha256} {case.row.label} {case.row.generator} {case.box}"
            for case in self.cases
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def without(self, paths: Iterable[str]) -> FeedbackSet:
        """Return the set without the pictures of these paths, which are known already."""
        known = set(paths)
        left = tuple(case for case in self.cases if case.path not in known)
        gone = len(self.cases) - len(left)
        return replace(self, cases=left, counts=replace(self.counts, known=gone))


def feedback_set(feedback: Sequence[Feedback], pictures: Path, *, name: str) -> FeedbackSet:
    """Return the cases of feedback whose pictures lie in a folder, or below it.

    Raises:
        ManifestError: there is no such folder.
    """
    if not pictures.is_dir():
        raise ManifestError(f"{printable(str(pictures))} is no folder of pictures")
    agreed = [one for of_one in _by_picture(feedback) if not _contradict(of_one) for one in of_one]
    clear = [one for one in agreed if one.face_meant is not None or len(one.faces) < 2]
    single = list({(one.image.sha256, _place(one)): one for one in reversed(clear)}.values())
    lying = dict(_found({one.image.sha256 for one in single}, pictures))
    cases = [Case(lying[one.image.sha256], one) for one in single if one.image.sha256 in lying]
    counts = Counts(
        told=len(feedback),
        contradicted=len(feedback) - len(agreed),
        unclear=len(agreed) - len(clear),
        repeated=len(clear) - len(single),
        not_found=len(single) - len(cases),
    )
    ordered = tuple(sorted(cases, key=lambda case: case.name))
    return FeedbackSet(ordered, pictures, name, counts)


def manifest_of(found: FeedbackSet) -> tuple[Manifest, int]:
    """Return the cases as a manifest, and how many are left out as only one of their faces counts.

    Whoever reads a manifest judges the largest face of a picture.
    """
    single = [case for case in found.cases if case.box is None]
    rows = [replace(case.row, attributes=_attributes(case.feedback)) for case in single]
    return Manifest(rows, root=found.root), len(found.cases) - len(single)


def _attributes(feedback: Feedback) -> dict[str, str]:
    """Return which detector was wrong, and what it said."""
    return {
        "detector": f"{feedback.detector.name} {feedback.detector.version}",
        "detector_sha256": feedback.detector.sha256,
        "verdict": feedback.verdict or "no_face",
        "operating_point": feedback.operating_point,
        "received": feedback.received.date().isoformat(),
    }


def in_words(counts: Counts, cases: int) -> str:
    """Return how many cases there are, and what was left out and why.

    >>> in_words(Counts(told=5, not_found=2, known=1), cases=2)
    '2 pictures to judge of 5 told; 2 not in the folder; 1 known to the update'
    """
    left_out = {
        "told before": counts.repeated,
        "called real and fake": counts.contradicted,
        "without saying which face": counts.unclear,
        "not in the folder": counts.not_found,
        "known to the update": counts.known,
    }
    said = [f"{count:,} {why}" for why, count in left_out.items() if count]
    return "; ".join([f"{cases:,} pictures to judge of {counts.told:,} told", *said])


def _by_picture(feedback: Iterable[Feedback]) -> Iterable[list[Feedback]]:
    found: dict[str, list[Feedback]] = defaultdict(list)
    for one in feedback:
        found[one.image.sha256].append(one)
    return found.values()


def _place(feedback: Feedback) -> int | None:
    """Return which face is judged, None for the largest one that is found."""
    return None if feedback.box is None else feedback.face_meant


def _contradict(of_one: Sequence[Feedback]) -> bool:
    """Return whether all of a picture is said to be real, or a face of it, and fake as well."""
    fakes = {_place(one) for one in of_one if one.truth == "fake"}
    reals = {_place(one) for one in of_one if one.truth == "real"}
    wholly_real = any(one.truth == "real" and one.face is None for one in of_one)
    return bool(fakes) and (wholly_real or bool(fakes & reals))


def _found(wanted: set[str], folder: Path) -> Iterator[tuple[str, str]]:
    """Yield hash and path of wanted pictures, the path relative to the folder."""
    for source in Sources([str(folder)]):
        if isinstance(source, Refused):
            continue
        path = Path(source)
        digest = _hash(path)
        if digest in wanted:
            yield digest, path.relative_to(folder).as_posix()


def _hash(path: Path) -> str | None:
    """Return the SHA-256 of a file, None where the file system refuses."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while data := file.read(_READ_BYTES):
                digest.update(data)
    except OSError:
        return None
    return digest.hexdigest()
