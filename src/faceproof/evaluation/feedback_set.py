"""`FeedbackSet`: a regression set of feedback matched with local pictures by SHA-256."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from faceproof.data.manifest import Manifest, Row
from faceproof.errors import ManifestError
from faceproof.evaluation.feedback import Box, Feedback
from faceproof.sources import Sources, to_printable

SOURCE = "feedback"
UNKNOWN = "unknown"

_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class FeedbackCase:
    """One face of one picture and its reported class; ``box`` if there are several faces."""

    path: str
    feedback: Feedback

    @property
    def name(self) -> str:
        """The picture's path, and the index of the face if there are several."""
        box, face = self.feedback.box, self.feedback.face_meant
        return self.path if box is None else f"{self.path}#{face}"

    @property
    def box(self) -> Box | None:
        """Box of the face, None for the largest one."""
        return self.feedback.box

    @property
    def row(self) -> Row:
        """The picture as a manifest row without a split."""
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
class FeedbackCounts:
    """Number of feedback entries, and of those excluded for each reason."""

    told: int = 0
    repeated: int = 0
    """Repeated for the same face, from another detector or operating point."""
    contradicted: int = 0
    """Contradictory: one entry reports real, another fake; the picture is excluded."""
    unclear: int = 0
    """Ambiguous: fake, in a picture with several faces, without a face index."""
    not_found: int = 0
    """Its picture is not in the folder."""
    known: int = 0
    """Its picture, or a near-duplicate, is in the update's data."""


@dataclass(frozen=True)
class FeedbackSet:
    """Cases with pictures in ``root``, and the counts of excluded feedback."""

    cases: tuple[FeedbackCase, ...]
    root: Path
    name: str
    counts: FeedbackCounts

    @property
    def sha256(self) -> str:
        """SHA-256 over picture, face and truth of every case."""
        lines = sorted(
            f"{case.row.sha256} {case.row.label} {case.row.generator} {case.box}"
            for case in self.cases
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def without(self, paths: Iterable[str]) -> FeedbackSet:
        """Return the set without the pictures of these paths, counted as known."""
        known = set(paths)
        left = tuple(case for case in self.cases if case.path not in known)
        gone = len(self.cases) - len(left)
        return replace(self, cases=left, counts=replace(self.counts, known=gone))


def collect_cases(feedback: Sequence[Feedback], pictures: Path, *, name: str) -> FeedbackSet:
    """Return the cases of feedback with pictures in a folder or its subfolders.

    Raises:
        ManifestError: the folder does not exist.
    """
    if not pictures.is_dir():
        raise ManifestError(f"{to_printable(str(pictures))} is not a folder of pictures")
    agreed = [
        one for of_one in _group_by_picture(feedback) if not _contradict(of_one) for one in of_one
    ]
    clear = [one for one in agreed if one.face_meant is not None or len(one.faces) < 2]
    single = list({(one.image.sha256, _face_index(one)): one for one in reversed(clear)}.values())
    lying = dict(_find_pictures({one.image.sha256 for one in single}, pictures))
    cases = [
        FeedbackCase(lying[one.image.sha256], one) for one in single if one.image.sha256 in lying
    ]
    counts = FeedbackCounts(
        told=len(feedback),
        contradicted=len(feedback) - len(agreed),
        unclear=len(agreed) - len(clear),
        repeated=len(clear) - len(single),
        not_found=len(single) - len(cases),
    )
    ordered = tuple(sorted(cases, key=lambda case: case.name))
    return FeedbackSet(ordered, pictures, name, counts)


def cases_to_manifest(found: FeedbackSet) -> tuple[Manifest, int]:
    """Return the cases as a manifest, and the number of cases that it cannot express.

    A manifest row means the largest face of its picture, so cases of other faces are excluded.
    """
    single = [case for case in found.cases if case.box is None]
    rows = [replace(case.row, attributes=_attributes(case.feedback)) for case in single]
    return Manifest(rows, root=found.root), len(found.cases) - len(single)


def _attributes(feedback: Feedback) -> dict[str, str]:
    """Return the wrong detector and its verdict as manifest attributes."""
    return {
        "detector": f"{feedback.detector.name} {feedback.detector.version}",
        "detector_sha256": feedback.detector.sha256,
        "verdict": feedback.verdict or "no_face",
        "operating_point": feedback.operating_point,
        "received": feedback.received.date().isoformat(),
    }


def describe_counts(counts: FeedbackCounts, cases: int) -> str:
    """Return a summary of the cases and of the excluded feedback.

    >>> describe_counts(FeedbackCounts(told=5, not_found=2, known=1), cases=2)
    '2 pictures from 5 feedback entries; 2 not in the folder; 1 known to the update'
    """
    left_out = {
        "told before": counts.repeated,
        "reported as real and fake": counts.contradicted,
        "without a face index": counts.unclear,
        "not in the folder": counts.not_found,
        "known to the update": counts.known,
    }
    parts = [f"{count:,} {why}" for why, count in left_out.items() if count]
    return "; ".join([f"{cases:,} pictures from {counts.told:,} feedback entries", *parts])


def _group_by_picture(feedback: Iterable[Feedback]) -> Iterable[list[Feedback]]:
    found: dict[str, list[Feedback]] = defaultdict(list)
    for one in feedback:
        found[one.image.sha256].append(one)
    return found.values()


def _face_index(feedback: Feedback) -> int | None:
    """Return the index of the face to judge, None for the largest one."""
    return None if feedback.box is None else feedback.face_meant


def _contradict(of_one: Sequence[Feedback]) -> bool:
    """Return whether entries on one picture report both real and fake."""
    fakes = {_face_index(one) for one in of_one if one.truth == "fake"}
    reals = {_face_index(one) for one in of_one if one.truth == "real"}
    wholly_real = any(one.truth == "real" and one.face is None for one in of_one)
    return bool(fakes) and (wholly_real or bool(fakes & reals))


def _find_pictures(wanted: set[str], folder: Path) -> Iterator[tuple[str, str]]:
    """Yield SHA-256 and relative path of the wanted pictures in the folder."""
    for source in Sources([str(folder)]):
        if not isinstance(source, str):
            continue
        path = Path(source)
        digest = _file_sha256(path)
        if digest in wanted:
            yield digest, path.relative_to(folder).as_posix()


def _file_sha256(path: Path) -> str | None:
    """Return the SHA-256 of a file, None if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while data := file.read(_READ_BYTES):
                digest.update(data)
    except OSError:
        return None
    return digest.hexdigest()
