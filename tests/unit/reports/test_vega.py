"""Charts: what they show, their colours, and the files drawn from them."""

from __future__ import annotations

import itertools
import json
import re
from xml.etree import ElementTree as ET

import pytest

from faceproof.evaluation.audit_result import Series
from faceproof.reports.plots import det_plot, roc_plot
from faceproof.reports.report import Axis, ReportPlot
from faceproof.reports.vega import (
    COLOURS,
    DARK,
    LIGHT,
    chart_spec,
    draw_png,
    draw_svg,
    fill_colours,
)
from support.evaluations import EVIL, faces

pytest.importorskip("vl_convert")
CURVES = {"clean": faces([False, True, False, True], [0.1, 0.4, 0.6, 0.9])}


def values(spec: dict, layer: int) -> list[dict]:
    return spec["layer"][layer]["data"]["values"]


def test_a_log_axis_has_no_zero_and_the_pointer_shows_the_true_value():
    spec = chart_spec(roc_plot(CURVES))
    first = values(spec, 1)[0]
    assert spec["layer"][1]["encoding"]["x"]["scale"]["type"] == "log"
    assert (first["x"], first["words"], first["value"]) == (0.25, "0.000", "0.000")


def test_a_probit_axis_is_that_of_normal_deviates():
    spec = chart_spec(det_plot(CURVES))
    places = [(one["x"], one["y"]) for one in values(spec, 0)]
    assert places[1:3] == [(-0.67449, 0.0), (0.0, 0.0)]
    assert spec["layer"][0]["encoding"]["x"]["axis"]["values"] == [0.0]


def test_several_series_can_be_hidden_by_the_legend_and_one_has_none():
    one, two = (
        chart_spec(roc_plot(parts)) for parts in (CURVES, CURVES | {"dark": CURVES["clean"]})
    )
    assert '"bind": "legend"' in json.dumps(two)
    assert '"bind"' not in json.dumps(one)
    assert one["layer"][1]["encoding"]["color"]["legend"] is None


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours. Source: WCAG 2.2, contrast ratio."""
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_lines_have_a_contrast_of_3_and_words_of_4_5(palette):
    assert set(palette) == set(LIGHT)
    for name in COLOURS:
        assert contrast(palette[name], palette["card"]) >= 3, name
    for name in ("ink", "quiet"):
        assert contrast(palette[name], palette["card"]) >= 4.5, name


#: What dichromats see. Source: Vienot, Brettel and Mollon 1999, Color Research 24:243.
BLIND = {
    "protan": ((0.11238, 0.88762, 0), (0.11238, 0.88762, 0), (0.00401, -0.00401, 1)),
    "deutan": ((0.29275, 0.70725, 0), (0.29275, 0.70725, 0), (-0.02234, 0.02234, 1)),
}


def seen(colour: str, kind: str) -> tuple[float, ...]:
    linear = [(int(colour[at : at + 2], 16) / 255) ** 2.2 for at in (1, 3, 5)]
    rows = ([sum(a * b for a, b in zip(row, linear, strict=True)) for row in BLIND[kind]],)
    return tuple(max(0.0, one) ** (1 / 2.2) for one in rows[0])


@pytest.mark.parametrize("kind", BLIND)
@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_the_first_three_colours_differ_for_the_colour_blind(palette, kind):
    looks = [seen(palette[name], kind) for name in COLOURS[:3]]
    for one, other in itertools.combinations(looks, 2):
        assert sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 > 0.12


def test_series_also_differ_by_their_dashes():
    parts = {f"c{n}": CURVES["clean"] for n in range(len(COLOURS))}
    dash = chart_spec(roc_plot(parts))["layer"][1]["encoding"]["strokeDash"]["scale"]["range"]
    assert len(set(map(tuple, dash))) == len(COLOURS)


PLOTS = {
    "curve": roc_plot(CURVES),
    "matrix": ReportPlot(
        name="m",
        kind="matrix",
        title="M",
        description="d",
        x=Axis(title="verdict", scale="name"),
        y=Axis(title="faces"),
        series=(Series(name=EVIL, x=("a", "b"), y=(1.0, 3.0)),),
    ),
    "bars": ReportPlot(
        name="b",
        kind="bar",
        title="B",
        description="d",
        x=Axis(title=EVIL, scale="name"),
        y=Axis(title="rate", low=0),
        series=tuple(
            Series(name=name, x=("a", EVIL), y=(0.5, None), low=(0.4, None), high=(0.6, None))
            for name in ("one", EVIL)
        ),
    ),
}


@pytest.mark.parametrize("name", PLOTS)
def test_a_drawing_is_sound_xml_with_colours_and_unique_ids(name):
    svg = draw_svg(PLOTS[name])
    ET.fromstring(svg)
    assert "<script" not in svg
    assert "NaN" not in svg
    used = set(re.findall(r"var\(--([a-z0-9-]+)\)", svg))
    assert used
    assert used <= set(LIGHT)
    assert all(one.startswith(f"{PLOTS[name].name}-") for one in re.findall(r'id="([^"]+)', svg))
    assert "var(" not in fill_colours(svg)
    assert draw_svg(PLOTS[name]) == svg


def test_a_picture_is_png():
    assert draw_png(draw_svg(PLOTS["matrix"])).startswith(b"\x89PNG")
