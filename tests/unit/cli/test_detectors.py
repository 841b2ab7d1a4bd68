"""`faceproof detectors show`: in what sense a promise holds, and which were left out."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from faceproof.cli import app
from faceproof.cli.detectors import (
    all_result_lines,
    describe_detector,
    result_lines,
    summary_lines,
)
from faceproof.detector import Detector, DetectorSpec, StartingPoint, Unsupported
from faceproof.detector.spec import Finding

ROWS, COLUMNS = 24, 80


def finding(metric: str, slice_: str, value: float, condition: str = "clean") -> Finding:
    return Finding(
        metric=metric,
        slice=slice_,
        condition=condition,
        value=value,
        low=value / 2,
        high=min(1.0, 2 * value),
        n=100,
        data_sha256="a" * 64,
    )


def spec_with(spec: DetectorSpec, *found: Finding) -> DetectorSpec:
    return DetectorSpec.model_validate({**dict(spec), "results": found})


def test_families_and_generators_come_with_the_worst_first(tiny_spec):
    point = tiny_spec.default_operating_point
    spec = spec_with(
        tiny_spec,
        finding("roc_auc", "all", 0.9),
        finding(f"bpcer@{point}", "all", 0.01),
        finding(f"bpcer@{point}", "family=good", 0.001),
        finding(f"bpcer@{point}", "family=good", 0.04, "jpeg-60"),
        finding(f"bpcer@{point}", "family=bad", 0.03),
        finding(f"bpcer@{point}", "source=one", 0.5),
        finding(f"recall@{point}", "generator=seen", 0.8),
        finding(f"recall@{point}", "generator=missed", 0.1),
    )
    lines = list(result_lines(spec))
    text = [line for _, line in lines]
    assert text[0] == "ROC-AUC: 0.900 [0.450, 1.000], n 100"
    assert text[1] == "real faces called fake: 1.0 % [0.5, 2.0], n 100"
    assert text[2] == "good: clean 0.1 % [0.1, 0.2], jpeg-60 4.0 % [2.0, 8.0], n 100"
    assert text[3].startswith("bad: clean 3.0 %")
    assert text[4].startswith("missed: clean 10.0 %")
    assert text[5].startswith("seen: clean 80.0 %")
    assert not any("one" in line.split(":")[0] for line in text[:6])
    assert ("limits", text[6]) == lines[6]
    assert "Other generators" in text[6]
    assert len(list(all_result_lines(spec))) == 8


def test_without_families_false_alarms_are_by_source(tiny_spec):
    point = tiny_spec.default_operating_point
    spec = spec_with(tiny_spec, finding(f"bpcer@{point}", "source=one", 0.5))
    assert ("false alarms", "one: clean 50.0 % [25.0, 100.0], n 100") in list(result_lines(spec))


def test_what_is_not_promised_is_shown_with_what_it_takes(tiny_spec):
    assert "not promised" not in dict(describe_detector(tiny_spec, "a" * 64))
    point = tiny_spec.operating_point().model_copy(update={"basis": "over draws, in the mean"})
    left_out = Unsupported(name="1-in-5000", bpcer_budget=0.0002, reason="it takes 14,977 faces")
    spec = DetectorSpec.model_validate(
        {
            **dict(tiny_spec),
            "operating_points": {**tiny_spec.operating_points, point.name: point},
            "unsupported": (left_out,),
        }
    )
    output = list(describe_detector(spec, "a" * 64))
    assert ("", "over draws, in the mean") in output
    assert ("not promised", "1-in-5000: it takes 14,977 faces") in output


def test_the_shipped_detector_fits_a_terminal_with_room_for_the_prompt():
    shown = CliRunner().invoke(app, ["detectors", "show"]).output.splitlines()
    assert len(shown) < ROWS
    assert max(map(len, shown)) <= COLUMNS
    spec, text = Detector.load("default").spec, " ".join(" ".join(shown).split())
    for part in (spec.name, spec.version, spec.licence, spec.operating_point().promise):
        assert part in text
    assert "detectors show default --all" in text
    audits = spec.audited.audits if spec.audited else ()
    assert ("error rates by group of people" in text) == ("fairness" not in audits)


def test_everything_has_what_the_screen_leaves_out():
    spec = Detector.load("default").spec
    shown = CliRunner().invoke(app, ["detectors", "show", "default", "--all"]).output
    assert all(note in shown for note in spec.notes)
    assert all(one.reason in shown for one in spec.unsupported)
    assert len(shown.splitlines()) > len(spec.results)
    for title in ("false alarms", "fakes detected", "limits"):
        assert f"\n{title} " in shown


@pytest.mark.parametrize("words", [3, 300])
def test_a_record_of_any_length_fits_a_terminal_and_marks_what_is_cut(tiny_spec, words):
    long = "word " * words
    point = tiny_spec.operating_point()
    points = {
        name: point.model_copy(update={"name": name, "promise": long})
        for name in (f"p{n}" for n in range(40))
    }
    slices = ["all", *(f"{kind}={n}" for kind in ("family", "generator") for n in range(40))]
    results = [
        finding(f"{metric}@p0", slice_, 0.5, condition)
        for metric in ("bpcer", "recall", "unsure_rate")
        for slice_ in slices
        for condition in ("clean", "jpeg-60")
    ]
    spec = DetectorSpec.model_validate(
        {
            **dict(tiny_spec),
            "licence": long,
            "operating_points": points,
            "default_operating_point": "p0",
            "unsupported": [
                Unsupported(name=f"1-in-{n}", bpcer_budget=1 / n, reason=long) for n in range(2, 40)
            ],
            "started_from": [StartingPoint(name=long, licence="MIT")],
            "generators_seen": [f"generator-{n}" for n in range(40)],
            "notes": [long] * 5,
            "results": results,
        }
    )
    lines = summary_lines(spec, "a" * 64, command="faceproof detectors show mine --all")
    assert len(lines) < ROWS
    assert max(map(len, lines)) <= COLUMNS
    assert lines[1].startswith("licence          word word word")
    assert lines[2].endswith(" ...") == (words > 3)
    assert any("worst of 40: " in line for line in lines)
