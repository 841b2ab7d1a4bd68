"""A heat map is laid where its crop lies, also over turned, cut off and tiny faces."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from faceproof.imaging.heat import crop_corners, heat_overlay
from faceproof.imaging.preprocessing import TEMPLATE_112, CropSpec, crop_face

SPEC = CropSpec(size=160, margin=0.1, fill=(90, 90, 90))


def landmarks(*, centre: tuple[float, float], side: float, degrees: float) -> np.ndarray:
    """Return five landmarks of a face, turned clockwise about the middle of its template."""
    turn = math.radians(degrees)
    matrix = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    points = (TEMPLATE_112 - 56) * (side / 112) @ matrix.T + np.array(centre)
    return points.astype(np.float32)


FACES = {
    "upright": landmarks(centre=(300, 200), side=180, degrees=0),
    "turned": landmarks(centre=(300, 200), side=180, degrees=37),
    "upside down": landmarks(centre=(320, 230), side=150, degrees=-175),
    "large": landmarks(centre=(310, 240), side=400, degrees=12),
    "small": landmarks(centre=(310, 240), side=70, degrees=-20),
}


def centroid(weight: np.ndarray) -> np.ndarray:
    """Return the mean place (x, y) of a weight over pixels."""
    rows, columns = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("cell", [(0, 0), (4, 0), (1, 3), (2, 2)])
@pytest.mark.parametrize("name", FACES)
def test_a_hot_cell_is_coloured_where_the_crop_shows_it(name: str, cell: tuple[int, int]) -> None:
    """The coloured pixels of the picture are cut out by `crop_face` itself, and lie in the cell."""
    picture = np.full((480, 640, 3), 90, np.uint8)
    values = np.zeros((5, 5))
    values[cell] = 1.0
    corners = crop_corners(picture.shape, FACES[name], SPEC)
    laid = heat_overlay(picture, values, corners, opacity=1.0)
    crop = crop_face(laid, FACES[name], SPEC)
    changed = np.abs(crop.astype(float) - 90).sum(axis=2)
    row, column = cell
    wanted = cv2.resize(values, (160, 160), interpolation=cv2.INTER_LINEAR)
    assert np.hypot(*(centroid(changed * (changed > 12)) - centroid(wanted))) < 5
    assert changed[32 * row + 16, 32 * column + 16] > 0.8 * changed.max()
    far = np.abs(np.subtract.outer(np.arange(160) // 32, [row])).ravel() > 1
    assert changed[far].max() == 0


@pytest.mark.parametrize("name", FACES)
def test_corners_are_those_that_the_crop_is_cut_between(name: str) -> None:
    """The picture's own coordinates, cut out as a picture, are at the crop's edge what they say."""
    rows, columns = np.mgrid[:480, :640]
    gradient = np.stack([columns / 3, rows / 2, rows * 0], axis=-1).astype(np.uint8)
    corners = crop_corners(gradient.shape, FACES[name], SPEC)
    crop = crop_face(gradient, FACES[name], SPEC).astype(float)
    middle = corners.mean(axis=0)
    assert crop[79:81, 79:81, :2].mean(axis=(0, 1)) == pytest.approx(
        [middle[0] / 3, middle[1] / 2], abs=1.5
    )
    towards = 0.8 * corners + 0.2 * middle
    places = [(16, 16), (16, 143), (143, 143), (143, 16)]
    for (x, y), (row, column) in zip(towards, places, strict=True):
        if 0 <= x < 640 and 0 <= y < 480:
            assert crop[row, column, :2] == pytest.approx([x / 3, y / 2], abs=2)


def test_corners_are_the_outer_edges_of_pixels() -> None:
    """Of a face that is as the template already, so that crop and picture are the same pixels."""
    corners = crop_corners((112, 112, 3), TEMPLATE_112.astype(np.float32), CropSpec(size=112))
    edges = [[-0.5, -0.5], [111.5, -0.5], [111.5, 111.5], [-0.5, 111.5]]
    assert corners == pytest.approx(np.array(edges), abs=1e-3)


def test_a_whole_picture_is_its_own_crop() -> None:
    corners = crop_corners((480, 640, 3), None, SPEC)
    assert corners.min(axis=0) == pytest.approx([0, -80], abs=3)
    assert corners.max(axis=0) == pytest.approx([640, 560], abs=3)
    whole = CropSpec(method="whole")
    assert crop_corners((480, 640, 3), FACES["turned"], whole) == pytest.approx(corners)


def test_what_speaks_for_real_leaves_the_picture_as_it_is() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    corners = crop_corners(picture.shape, None, SPEC)
    for values in (np.full((5, 5), -2.0), np.zeros((5, 5))):
        laid = heat_overlay(picture, values, corners, opacity=0.9)
        assert np.array_equal(laid, picture)
        assert laid is not picture


def test_no_opacity_is_no_change() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    corners = crop_corners(picture.shape, None, SPEC)
    assert np.array_equal(heat_overlay(picture, np.ones((5, 5)), corners, opacity=0.0), picture)


def test_hotter_is_brighter_and_changes_more() -> None:
    """In grey too: who sees no colours sees the order."""
    picture = np.zeros((160, 160, 3), np.uint8)
    values = np.tile(np.linspace(0, 1, 5), (5, 1))
    laid = heat_overlay(picture, values, crop_corners(picture.shape, None, SPEC), opacity=1.0)
    grey = laid[80] @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(grey[:-1]) > -1.5).all()  # the last one fades into what lies outside
    assert grey[-2] > grey[0] + 150


def test_colours_are_those_of_inferno_in_red_green_and_blue() -> None:
    picture = np.zeros((160, 160, 3), np.uint8)
    corners = crop_corners(picture.shape, None, SPEC)
    for value, colour in ((1.0, (252, 255, 164)), (0.5, (188 / 2, 55 / 2, 84 / 2))):
        laid = heat_overlay(picture, np.full((5, 5), value), corners, opacity=1.0, full=1.0)
        assert laid[80, 80] == pytest.approx(colour, abs=3)


def test_weak_evidence_is_painted_weakly() -> None:
    """On a scale of its own it would look like strong evidence."""
    picture = np.full((160, 160, 3), 128, np.uint8)
    corners = crop_corners(picture.shape, None, SPEC)

    def painted(value: float, **scale: float) -> float:
        laid = heat_overlay(picture, np.full((5, 5), value), corners, opacity=1.0, **scale)
        return float(np.abs(laid - 128.0).mean())

    assert painted(0.01) < 0.3 * painted(0.08)
    assert painted(0.08) == painted(0.8)
    assert painted(0.8, full=8.0) < 0.3 * painted(0.8)


def test_a_face_out_of_the_picture_and_one_of_no_size_do_no_harm() -> None:
    picture = np.zeros((50, 60, 3), np.uint8)
    away = heat_overlay(picture, np.ones((5, 5)), [[900, 900], [990, 900], [990, 990], [900, 990]])
    assert np.array_equal(away, picture)
    assert heat_overlay(picture, np.ones((5, 5)), np.full((4, 2), 20.0)).shape == picture.shape
