"""Resolution matching: one distribution of face widths for both classes.

Sets differ in how large their faces are, so sharpness can stand for the label. Here the class is
drawn first, then a face width from one distribution, and only then a picture whose face has that
width or more; it is reduced to the drawn width before it is compressed and cropped. A source whose
two classes share one distribution of widths may keep its own for a part of its draws.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from faceproof.data.manifest import Row
from faceproof.errors import TrainingError
from faceproof.imaging.preprocessing import CropSpec, face_matrix
from faceproof.training.recipe_pictures import ResolutionRecipe

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float32]
_Widths = npt.NDArray[np.float64]

# A source with fewer pictures at a width than this is drawn from in proportion less there.
_FEW = 100
# A picture as wide as the drawn width but for this share is not resampled.
_CLOSE = 0.03
# A picture that exists at one width only is taken among so many of the nearest widths.
_NEIGHBOURS = 48
#: Kernels that average over what they skip, as programs reduce pictures.
_KERNELS = (
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)


@dataclass(frozen=True)
class DrawnFace:
    """What was drawn for one sample.

    ``row`` is the picture's number, ``width`` the face width in px that it is reduced to, and
    ``forgery`` what makes a fake of the real picture, if anything.
    """

    row: int
    width: float
    forgery: str | None = None


@dataclass(frozen=True)
class _Pool:
    """The rows of one source and class, by ascending face width."""

    rows: npt.NDArray[np.int64]
    widths: _Widths


class WidthMatchedSampler:
    """Draws class, width and picture so that the width says nothing about the class.

    Raises:
        TrainingError: a source has no share or no rows, or a width has no picture of one class.
    """

    def __init__(
        self,
        labels: list[tuple[str, str]],
        widths: _Widths,
        spec: ResolutionRecipe,
        shares: Mapping[str, float],
        forgeries: Mapping[str, float],
        *,
        classes: tuple[str, ...] = ("real", "fake"),
    ) -> None:
        self._spec = spec
        self._pools = _make_pools(labels, widths)
        self._shares = _check_shares(shares, self._pools)
        own = {name: shares.get(name, 0.0) * part for name, part in spec.own_width.items()}
        _refuse_one_class(own, self._pools)
        total = sum(self._share_of(label) for label in ("real", "fake")) / 2
        self._own = sum(own.values()) / total
        self._own_names = sorted(own)
        self._own_chances = _normalise([own[name] for name in self._own_names])
        self._forgeries = dict(forgeries)
        self._classes = classes
        self._refuse_unreachable()

    @classmethod
    def for_class(
        cls,
        rows: Sequence[Row],
        widths: _Widths,
        narrowest: float,
        widest: float,
        shares: Mapping[str, float],
    ) -> WidthMatchedSampler:
        """Return what draws from rows of one class only, by `draw_any_width`."""
        spec = ResolutionRecipe(narrowest=narrowest, widest=widest)
        labels = [(row.source, row.label) for row in rows]
        return cls(labels, widths, spec, shares, {}, classes=(rows[0].label,))

    def __call__(self, rng: np.random.Generator) -> DrawnFace:
        """Return the next draw."""
        kind, label = float(rng.random()), "fake" if rng.random() < 0.5 else "real"
        if kind < self._own:
            name = self._own_names[int(rng.choice(len(self._own_names), p=self._own_chances))]
            pool = self._pools[name, label]
            place = int(rng.integers(len(pool.rows)))
            return DrawnFace(int(pool.rows[place]), float(pool.widths[place]))
        width = self._draw_width(rng)
        forgery = self._choose_forgery(float(rng.random())) if label == "fake" else None
        return self._draw_picture("real" if forgery else label, width, forgery, rng)

    def draw_any_width(self, label: str, rng: np.random.Generator) -> DrawnFace:
        """Return a picture of a class at a width from the distribution."""
        return self._draw_picture(label, self._draw_width(rng), None, rng)

    def draw_real(self, width: float, rng: np.random.Generator) -> int:
        """Return the number of any real row whose face has ``width`` px or more."""
        return self._draw_picture("real", width, None, rng).row

    def _draw_width(self, rng: np.random.Generator) -> float:
        low, high = np.log(self._spec.narrowest), np.log(self._spec.widest)
        return float(np.exp(rng.uniform(low, high)))

    def _choose_forgery(self, drawn: float) -> str | None:
        """Return the forgery that a number in [0, 1) selects, among width-matched fakes."""
        # Shares are of all draws; here only width-matched draws of the class fake are made.
        scale = 1 / (0.5 * (1 - self._own))
        for name, share in self._forgeries.items():
            drawn -= share * scale
            if drawn < 0:
                return name
        return None

    def _draw_picture(
        self, label: str, width: float, forgery: str | None, rng: np.random.Generator
    ) -> DrawnFace:
        names, chances = self._reachable_sources(label, width)
        name = names[int(rng.choice(len(names), p=chances))]
        pool = self._pools[name, label]
        if name in self._spec.fixed_width:
            place = _draw_near_width(pool.widths, width, rng)
            return DrawnFace(int(pool.rows[place]), float(pool.widths[place]), forgery)
        start = int(np.searchsorted(pool.widths, width * (1 - _CLOSE)))
        return DrawnFace(int(pool.rows[int(rng.integers(start, len(pool.rows)))]), width, forgery)

    def _reachable_sources(self, label: str, width: float) -> tuple[list[str], _Widths]:
        """Return the sources that have such a face, and the chance of each."""
        names, weights = [], []
        for (name, its_label), pool in self._pools.items():
            if its_label != label or not self._shares.get(name):
                continue
            matched = 1 - self._spec.own_width.get(name, 0.0)
            there = self._count_rows_at(name, pool, width)
            if there and matched:
                names.append(name)
                weights.append(self._shares[name] * matched * min(1.0, there / _FEW))
        return names, _normalise(weights)

    def _count_rows_at(self, name: str, pool: _Pool, width: float) -> int:
        """Return how many pictures of a source can be shown at a width."""
        start = int(np.searchsorted(pool.widths, width * (1 - _CLOSE)))
        if name not in self._spec.fixed_width:
            return len(pool.rows) - start
        return len(pool.rows) if pool.widths[0] <= width <= pool.widths[-1] else 0

    def _share_of(self, label: str) -> float:
        return sum(share for name, share in self._shares.items() if (name, label) in self._pools)

    def _refuse_unreachable(self) -> None:
        """Refuse a widest face, or forgeries, that no draw can give."""
        every_width_is_own = self._own > 1 - 1e-9
        for label in () if every_width_is_own else self._classes:
            if not self._reachable_sources(label, self._spec.widest)[0]:
                widest = max(
                    (
                        float(pool.widths[-1])
                        for key, pool in self._pools.items()
                        if key[1] == label
                    ),
                    default=0.0,
                )
                raise TrainingError(
                    f"resolution.widest = {self._spec.widest:g} px: no {label} face with a share "
                    f"is that wide; the widest has {widest:.0f} px"
                )
        most, asked = 0.5 * (1 - self._own), sum(self._forgeries.values())
        if asked > most + 1e-9:
            raise TrainingError(
                f"forgeries make {asked:.2f} of all draws, and only {most:.2f} are fakes of "
                "matched width: lower the shares of forgeries, or resolution.own_width"
            )


def face_widths(landmarks: npt.NDArray[np.float32]) -> _Widths:
    """Return the face width in px of each of the landmarks [N, 5, 2], float64 [N].

    It is the side of the square that a crop without margin shows.
    """
    spec = CropSpec(size=112, margin=0.0)
    scales = [np.linalg.det(face_matrix(points, spec)[:, :2]) for points in landmarks]
    return np.asarray(112 / np.sqrt(np.array(scales, np.float64)), np.float64)


def reduce_face(
    pixels: Pixels, landmarks: Points, factor: float, rng: np.random.Generator
) -> tuple[Pixels, Points]:
    """Return the picture reduced by ``factor`` with a random kernel, and the landmarks in it.

    A factor within 3 % of 1, or above it, leaves the pixels as they are.
    """
    kernel = _KERNELS[int(rng.integers(len(_KERNELS)))]
    if factor >= 1 - _CLOSE:
        return pixels, landmarks
    height, width = pixels.shape[:2]
    size = (max(16, round(width * factor)), max(16, round(height * factor)))
    small = np.asarray(Image.fromarray(pixels).resize(size, kernel))
    ratio = np.array([size[0] / width, size[1] / height], np.float32)
    return small, np.asarray((landmarks + 0.5) * ratio - 0.5, np.float32)


def sharpness(crop: Pixels) -> float:
    """Return the logarithm of the variance of a crop's Laplacian."""
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return float(np.log1p(cv2.Laplacian(grey, cv2.CV_64F).var()))


def _make_pools(labels: list[tuple[str, str]], widths: _Widths) -> dict[tuple[str, str], _Pool]:
    """Return the rows of each (source, label), the narrowest face first."""
    numbers: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, key in enumerate(labels):
        numbers[key].append(number)
    pools = {}
    for key, found in sorted(numbers.items()):
        rows = np.array(found)
        order = np.argsort(widths[rows], kind="stable")
        pools[key] = _Pool(rows[order], widths[rows[order]])
    return pools


def _check_shares(
    shares: Mapping[str, float], pools: Mapping[tuple[str, str], _Pool]
) -> dict[str, float]:
    """Return the shares, of which every source must have training rows."""
    known = {name for name, _ in pools}
    if missing := sorted(set(shares) - known):
        raise TrainingError(
            f"shares name {missing[0]!r}, which has no training picture: the sources are "
            f"{', '.join(sorted(known))}"
        )
    return dict(shares)


def _refuse_one_class(own: Mapping[str, float], pools: Mapping[tuple[str, str], _Pool]) -> None:
    """Refuse a source of one class that is to keep its own widths."""
    for name in own:
        if not {(name, "real"), (name, "fake")} <= set(pools):
            raise TrainingError(
                f"resolution.own_width names {name!r}, which does not hold both classes: its "
                "widths would tell the class"
            )


def _draw_near_width(widths: _Widths, width: float, rng: np.random.Generator) -> int:
    """Return the place of one of the nearest widths."""
    centre = int(np.searchsorted(widths, width))
    low = max(0, min(centre - _NEIGHBOURS // 2, len(widths) - _NEIGHBOURS))
    return int(rng.integers(low, min(len(widths), low + _NEIGHBOURS)))


def _normalise(weights: list[float]) -> _Widths:
    found = np.asarray(weights, np.float64)
    return found / found.sum() if len(found) else found
