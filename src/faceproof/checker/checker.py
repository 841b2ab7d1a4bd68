"""Checker: from a picture, or from very many, to CheckResults; every front end calls it."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import cv2
import numpy as np

from faceproof.checker.answering import Answers, again_at
from faceproof.checker.choosing import FACES
from faceproof.checker.loading import Source, load_source, source_name, told
from faceproof.checker.opened import UNREAD, Opened
from faceproof.checker.scoring import scores
from faceproof.detector import Detector
from faceproof.detector.scorers import usable_cores
from faceproof.errors import FaceproofError, UsageError
from faceproof.imaging.faces import FaceFinder, YuNet
from faceproof.imaging.fetching import DEFAULT_POLICY, FetchPolicy
from faceproof.imaging.picture import DEFAULT_LIMITS, Limits, Picture
from faceproof.imaging.preprocessing import prepare
from faceproof.imaging.quality import assess
from faceproof.pipeline import in_batches, in_order
from faceproof.provenance import read_provenance
from faceproof.results import CheckedImage, CheckResult, Provenance
from faceproof.sources import printable
from faceproof.tables import choose

MOST_WORKERS = 8
BATCH = 1  # on a processor, more faces at once cost as much a face and only delay the first


class Checker:
    """A detector at one of its operating points, ready for pictures; safe between threads."""

    def __init__(
        self,
        detector: Detector,
        *,
        faces: str = "all",
        at: str | None = None,
        limits: Limits = DEFAULT_LIMITS,
        finder: FaceFinder | None = None,
        heatmaps: bool = False,
        addresses: FetchPolicy | None = DEFAULT_POLICY,
    ) -> None:
        """Take a detector and how it is asked.

        ``heatmaps`` asks for the heat map of each face, which takes a few more runs of the
        networks. ``addresses`` says which addresses are fetched, and how; None fetches none.

        Raises:
            UnknownChoiceError: an unknown choice of faces or operating point.
            NoHeatMapError: the detector has no heat maps.
        """
        if heatmaps:
            detector.refuse_without_maps()
        self.detector = detector
        self.operating_point = detector.operating_point(at)
        self.limits = limits
        self.heatmaps = heatmaps
        self.addresses = addresses
        self._choose_faces = choose(FACES, faces, what="choice of faces")
        self._whole = faces == "whole"
        self._finder = finder or YuNet()
        side = detector.preprocessing.crop.size
        self._nothing = np.empty((0, 3, side, side), np.float32)

    def at(self, name: str | None) -> Checker:
        """Return this checker at another operating point; it shares the networks.

        Raises:
            UnknownChoiceError: there is none of this name.
        """
        other = copy.copy(self)
        other.operating_point = self.detector.operating_point(name)
        return other

    def verdicts_at(self, result: CheckResult, name: str | None) -> CheckResult:
        """Return a result of this detector with the verdicts of another operating point.

        Raises:
            UnknownChoiceError: there is none of this name.
            UsageError: another detector judged.
        """
        return again_at(result, self.detector, self.detector.operating_point(name))

    def check(self, source: Source, *, name: str | None = None) -> CheckResult:
        """Return the verdict on one picture: a path, address, bytes, stream, image or array.

        Images are Pillow's, arrays uint8 [H, W, 3] in sRGB. ``name`` is the result's ``source``;
        give it with bytes, so that they are told as their file is. What cannot be checked is a
        result with an error.
        """
        return self.judge([self.open(source, name=name)])[0]

    def check_many(
        self,
        sources: Iterable[Source],
        *,
        batch_size: int | None = None,
        workers: int | None = None,
    ) -> Iterator[CheckResult]:
        """Return an iterator of the verdicts, in order, each as `check` would give it.

        ``workers`` threads (None: one per usable core; 0: none) open pictures and find faces
        while as many run the networks on ``batch_size`` faces or more (None: 1, which suits a
        processor; a graphics card wants 64). Sources are taken as they are needed, and no more
        than two batches, two pictures a worker and a batch a worker are held at once.

        Raises:
            UsageError: ``batch_size`` is below 1 or ``workers`` below 0.
        """
        size = BATCH if batch_size is None else batch_size
        threads = min(usable_cores(), MOST_WORKERS) if workers is None else workers
        if size < 1 or threads < 0:
            raise UsageError(f"batch_size {size} must be 1 or more, workers {threads} 0 or more")
        return self._check_many(sources, size, threads)

    def open(self, source: Source, *, name: str | None = None) -> Opened:
        """Return the source with its faces ready for `judge`, or with its error; runs no network.

        The first half of `check`, for who joins the pictures of several callers to one batch.
        """
        started = time.perf_counter()
        given = None if name is None else printable(name)
        called = given or source_name(source)
        try:
            picture = load_source(source, self.limits, self.addresses, name=given)
            opened = self._prepared(called, picture)
        except (FaceproofError, OSError, MemoryError, cv2.error) as error:
            opened = Opened(called, self._nothing, error=told(error, called))
        return replace(opened, seconds=time.perf_counter() - started)

    def judge(self, batch: Sequence[Opened]) -> list[CheckResult]:
        """Return the results of opened sources, whose faces meet the networks together."""
        started = time.perf_counter()
        inputs = np.concatenate([self._nothing, *(opened.inputs for opened in batch)])
        scored = scores(self.detector, inputs, heatmaps=self.heatmaps)
        each = (time.perf_counter() - started) / max(len(scored), 1)
        answers = Answers(self.detector, self.operating_point, whole=self._whole)
        results = []
        for opened in batch:
            count = len(opened.faces)
            own, scored = scored[:count], scored[count:]
            results.append(answers.result(opened, own, opened.seconds + each * count))
        return results

    def _check_many(
        self, sources: Iterable[Source], size: int, workers: int
    ) -> Iterator[CheckResult]:
        with (
            closing(
                in_order(self.open, sources, workers=workers, ahead=2 * (size + workers))
            ) as opened,
            closing(in_batches(opened, lambda one: one.weight, weight=size)) as batches,
            closing(
                in_order(self.judge, batches, workers=workers, ahead=max(workers, 1))
            ) as judged,
        ):
            for results in judged:
                yield from results

    def _prepared(self, name: str, picture: Picture) -> Opened:
        """Return the picture's faces, their quality and their network inputs."""
        pixels, spec = picture.pixels, self.detector.preprocessing
        faces = self._choose_faces(self._finder, pixels)
        points = (None if self._whole else face.landmarks for face in faces)
        inputs = [prepare(pixels, landmarks, spec) for landmarks in points]
        return Opened(
            name,
            np.stack(inputs) if inputs else self._nothing,
            faces=tuple((face, assess(pixels, face)) for face in faces),
            image=_image(picture),
            provenance=_provenance(picture),
        )


def _image(picture: Picture) -> CheckedImage:
    """Return what a result says about the picture."""
    return CheckedImage(
        sha256=picture.sha256, width=picture.width, height=picture.height, format=picture.format
    )


def _provenance(picture: Picture) -> Provenance:
    """Return what the picture's file says of its origin; of pixels without a file, nothing."""
    if not picture.data:
        return UNREAD
    credentials, findings = read_provenance(
        picture.data,
        kind=picture.format,
        pixels=picture.pixels,
        container=picture.container,
    )
    return Provenance(content_credentials=credentials, findings=findings)
