"""Checkers: one for every choice that a request may make; all share the networks."""

from __future__ import annotations

from dataclasses import dataclass, replace

from faceproof.checker import FACES, Checker
from faceproof.errors import TooManyFacesError
from faceproof.imaging.faces import Face, FaceFinder, YuNet
from faceproof.imaging.picture import Pixels
from faceproof.tables import choose


@dataclass(frozen=True)
class Choice:
    """What a request asks for beside the picture."""

    at: str
    faces: str = "all"
    heatmaps: bool = False


class Bounded:
    """A face finder that refuses a picture with more faces than a request may cost."""

    def __init__(self, finder: FaceFinder, most: int) -> None:
        self._finder, self._most = finder, most

    def find(self, pixels: Pixels) -> list[Face]:
        """Return the faces, the largest first.

        Raises:
            TooManyFacesError: there are more than the service judges in one picture.
        """
        faces = self._finder.find(pixels)
        if len(faces) > self._most:
            raise TooManyFacesError(
                f"{len(faces)} faces, and at most {self._most} are judged in one picture: "
                "send parts of it, or ask for the largest face only"
            )
        return faces


class Checkers:
    """Makes checkers from the one that the service was given, each once."""

    def __init__(self, checker: Checker, *, max_faces: int) -> None:
        self._given, self._max_faces = checker, max_faces
        self._finder = YuNet()
        self._made: dict[Choice, Checker] = {}
        self.default = Choice(at=checker.operating_point.name)

    def choice(
        self, *, at: str | None = None, faces: str = "all", heatmaps: bool = False
    ) -> Choice:
        """Return a choice that there is.

        Raises:
            UnknownChoiceError: no such operating point, or no such choice of faces.
            NoHeatMapError: the detector has no heat maps.
        """
        detector = self._given.detector
        choose(FACES, faces, what="choice of faces")
        if heatmaps:
            detector.refuse_without_maps()
        point = detector.operating_point(self.default.at if at is None else at)
        return Choice(at=point.name, faces=faces, heatmaps=heatmaps)

    def __getitem__(self, choice: Choice) -> Checker:
        """Return the checker of a choice."""
        if choice not in self._made:
            base = replace(choice, at=self.default.at)
            if base not in self._made:
                self._made[base] = self._make(base)
            self._made[choice] = self._made[base].at(choice.at)
        return self._made[choice]

    def _make(self, choice: Choice) -> Checker:
        bounded = Bounded(self._finder, self._max_faces)
        given = self._given
        return Checker(
            given.detector,
            faces=choice.faces,
            at=choice.at,
            limits=given.limits,
            finder=bounded if choice.faces == "all" else self._finder,
            heatmaps=choice.heatmaps,
            addresses=given.addresses,
        )
