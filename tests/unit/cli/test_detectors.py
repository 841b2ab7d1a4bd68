"""`faceproof detectors show`: in what sense a promise holds, and which were left out."""

from __future__ import annotations

from faceproof.cli.detectors import all_result_lines, describe_detector, result_lines
from faceproof.detector import DetectorSpec, Unsupported
from faceproof.detector.spec import Finding


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
