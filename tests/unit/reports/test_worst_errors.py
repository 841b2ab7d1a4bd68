"""Which errors are shown, and their pictures."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from faceproof.detector import Detector
from faceproof.evaluation.predictions import Origin, Prediction, make_table
from faceproof.reports.worst_errors import MOST, SIDE, small_pictures, worst_errors
from support.evaluations import evaluated
from support.heatmap_bundles import MappedBundle


def judged(rows):
    """Return the errors of faces given as label, probability, group and cautions."""
    made = [
        Prediction(
            path=f"{n}.png",
            source="home",
            generator="none" if label == "real" else "lamp",
            label=label,
            split="test",
            group=group,
            condition="clean",
            logit=0.0,
            fake_probability=probability,
            status="ok",
            cautions=cautions,
            box=(10.0, 10.0, 20.0, 20.0),
        )
        for n, (label, probability, group, cautions) in enumerate(rows)
    ]
    table = make_table(made, Origin(detector_sha256="a" * 64, data_sha256="b" * 64, purpose="x"))
    return worst_errors(table, evaluated(table))


def test_the_furthest_from_the_truth_come_first_and_unsure_is_no_error():
    found = judged(
        [
            ("real", 0.7, "a", ""),
            ("real", 0.99, "b", ""),
            ("real", 0.5, "c", ""),
            ("fake", 0.2, "d", ""),
            ("fake", 0.01, "e", ""),
            ("fake", 0.99, "f", ""),
            ("real", 0.98, "g", "not_continuous_tone"),
        ]
    )
    assert [one.path for one in found] == ["1.png", "0.png", "4.png", "3.png"]
    assert found[0].box == (10.0, 10.0, 20.0, 20.0)


def test_a_group_gives_one_face_and_a_class_a_bounded_number():
    pair = [("real", 0.9, "a", ""), ("real", 0.95, "a", ""), ("fake", 0.9, "z", "")]
    assert [one.path for one in judged(pair)] == ["1.png"]
    many = [("real", 0.9, f"g{n}", "") for n in range(40)] + [("fake", 0.9, "z", "")]
    assert len(judged(many)) == MOST


@pytest.fixture
def pictures(tmp_path):
    """Write two portraits of noise, the second broken, and return their errors."""
    noise = np.random.default_rng(0).integers(120, 256, (400, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "0.png")
    (tmp_path / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    rows = [("real", 0.99, "a", ""), ("real", 0.9, "b", ""), ("fake", 0.9, "z", "")]
    return tmp_path, judged(rows)


def opened(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_a_picture_is_small_and_around_the_face(pictures):
    first, second = small_pictures(pictures[1], pictures[0], "whole")
    assert opened(first.picture).format == "JPEG"
    assert opened(first.picture).size == (35, 35)
    assert not opened(first.picture).getexif()
    assert (first.heat, second.picture) == ("", "")
    assert second.reason


def test_the_heat_map_lies_over_the_same_part(pictures, tiny_spec, tiny_files, tmp_path):
    folder = MappedBundle().written(tmp_path / "maps", tiny_spec, tiny_files)
    whole = [one.model_copy(update={"box": None}) for one in pictures[1][:1]]
    found = small_pictures(whole, pictures[0], "whole", Detector.load(folder))[0]
    plain, heat = opened(found.picture), opened(found.heat)
    assert plain.size == heat.size
    assert max(plain.size) == SIDE
    assert np.abs(np.asarray(plain, int) - np.asarray(heat, int)).mean() > 1


def test_a_detector_without_heat_maps_gives_the_picture(pictures, tiny_bundle):
    found = small_pictures(pictures[1][:1], pictures[0], "whole", Detector.load(tiny_bundle))[0]
    assert found.picture
    assert found.heat == ""
