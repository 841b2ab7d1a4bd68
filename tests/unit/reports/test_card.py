"""The card: from the record alone, the same every time, and honest about what is missing."""

import re

import pytest

from faceproof.data.manifest import Manifest, Row
from faceproof.detector import DetectorSpec, Finding, StartingPoint, Unsupported
from faceproof.evaluation.findings import composition
from faceproof.reports.card import TITLES, card

HASH = "d" * 64


def finding(metric, value, *, n=1000, slice_="all", condition="clean"):
    return Finding(
        metric=metric,
        value=value,
        low=max(0, value - 0.01),
        high=min(1, value + 0.01),
        n=n,
        slice=slice_,
        condition=condition,
        data_sha256=HASH,
    )


@pytest.fixture
def manifest():
    def row(number, split, generator, source="shop"):
        label = "real" if generator == "none" else "fake"
        name = f"{source}-{number}-{split}"
        return Row(f"{name}.jpg", label, generator, source, name, f"{number:064x}", split)

    kinds = [
        ("train", "none"),
        ("train", "lamp"),
        ("train", "lamp"),
        ("test", "none"),
        ("test", "lamp"),
    ]
    rows = [row(n, split, generator) for n, (split, generator) in enumerate(kinds)]
    return Manifest((*rows, row(9, "train", "torch|light", "a=b,c")))


@pytest.fixture
def spec(tiny_spec, manifest):
    results = [*composition(manifest)]
    for condition, worse in [("clean", 0.0), ("jpeg-60", 0.05)]:
        for slice_ in ("all", "source=shop", "source=reals"):
            results += [
                finding("bpcer@balanced", 0.02 + worse, slice_=slice_, condition=condition, n=1234),
                finding("bpcer@strict", 0.001, slice_=slice_, condition=condition),
                finding("no_face_rate", 0.004, slice_=slice_, condition=condition, n=2001),
            ]
            if slice_ != "source=reals":
                results.append(
                    finding("roc_auc", 0.9876 - worse, slice_=slice_, condition=condition)
                )
        results += [
            finding(
                "apcer@balanced", 0.1 + worse, slice_="generator=lamp", condition=condition, n=77
            ),
            finding(
                "apcer@balanced", 0.2 - 3 * worse, slice_="generator=torch", condition=condition
            ),
        ]
    started = StartingPoint(
        name="Net, ImageNet", licence="Apache-2.0", source="a hub", sha256="a" * 64
    )
    return DetectorSpec.model_validate(
        {
            **dict(tiny_spec),
            "results": tuple(results),
            "started_from": (started,),
            "generators_seen": ("lamp", "candle"),
            "licence": "for research, non-commercial",
        }
    )


def test_the_same_record_gives_the_same_card(spec):
    again = DetectorSpec.model_validate_json(spec.to_json())
    assert card(spec) == card(again)


def test_what_it_is_where_it_comes_from_and_how_to_make_it_again(spec):
    text = card(spec, command="faceproof train examples/bright.toml")
    assert text.startswith("# bright 1.0\n\nA faceproof detector: bright (weight 1) on aligned")
    assert "Licence: for research, non-commercial" in text
    assert "| Net, ImageNet | Apache-2.0 | a hub | aaaaaaaaaaaa |" in text
    assert "```\nfaceproof train examples/bright.toml\n```" in text
    assert f"data SHA-256 `{HASH}`" in text
    assert "- for tests" in text


def test_the_data_stands_by_source_generator_and_split(spec):
    text = card(spec)
    assert "Pictures by split: 2 train, 1 calibration, 1 test" in text
    assert "| source | generator | train | calibration | test |" in text
    assert "| shop | lamp | 2 | 0 | 1 |" in text
    assert "| shop | none | 1 | 0 | 1 |" in text
    assert r"| a=b,c | torch\|light | 1 | 0 | 0 |" in text


def test_results_have_interval_and_n_under_each_condition(spec):
    text = card(spec)
    area = text.split("### ROC-AUC")[1].split("###")[0]
    assert "| faces | clean | jpeg-60 |" in area
    assert (
        "| source=shop | 0.9876 [0.9776, 0.9976], n 1,000 | 0.9376 [0.9276, 0.9476], n 1,000 |"
        in area
    )
    assert "source=reals" not in area
    alarms = text.split("### Real faces called fake (BPCER), at balanced")[1].split("###")[0]
    assert (
        "| source=reals | 2.00 % [1.00, 3.00], n 1,234 | 7.00 % [6.00, 8.00], n 1,234 |" in alarms
    )


def test_every_operating_point_with_its_promise_and_what_it_came_to(spec):
    text = card(spec)
    assert (
        "| balanced (default) | 0.4 | 0.6 | at most 1 real face in 100 called fake | "
        "100 real faces of calibration |" in text
    )
    promised = text.split("### Promised and measured")[1].split("## Results")[0]
    assert "| operating point | share | promised | clean | jpeg-60 |" in promised
    assert (
        "| strict | real called fake | at most 0.10 % | 0.10 % [0.00, 1.10], n 1,000 |" in promised
    )
    assert "| strict | real, unsure | - |" not in promised


def changed(spec, **fields):
    return DetectorSpec.model_validate({**dict(spec), **fields})


def test_unsure_and_coverage_stand_beside_the_errors(spec):
    strict = spec.operating_point("strict").model_copy(update={"apcer_budget": 0.05})
    points = {**spec.operating_points, "strict": strict}
    more = [
        finding("real_unsure_rate@strict", 0.2),
        finding("real_coverage@strict", 0.999),
        finding("apcer@strict", 0.04),
        finding("fake_coverage@strict", 0.96),
    ]
    text = card(changed(spec, operating_points=points, results=(*spec.results, *more)))
    actual = "0.10 % [0.00, 1.10], n 1,000"
    assert f"| strict | real called fake | at most 0.10 % | {actual} | {actual} |" in text
    for row in (
        "| strict | real, unsure | - | 20.00 % [19.00, 21.00], n 1,000 | - |",
        "| strict | real not called fake (coverage) | at least 99.90 % | 99.90 % [98.90, 100.00]",
        "| strict | fake called real | at most 5.00 % | 4.00 % [3.00, 5.00], n 1,000 | - |",
        "| strict | fake not called real (coverage) | at least 95.00 % | 96.00 % [95.00, 97.00]",
    ):
        assert row in text
    assert "### Real faces not called fake" not in text


def test_a_promise_that_the_test_faces_break_is_said(spec):
    """Beyond with the whole interval: 2 % [1, 3] is not, 7 % [6, 8] of a promised 1 % is."""
    output = card(spec).split("The whole interval exceeds the promise")[1].split("## Results")[0]
    assert (
        "- balanced, all, jpeg-60: real called fake 7.00 % [6.00, 8.00], n 1,234, promised at "
        "most 1.00 %" in output
    )
    assert "- balanced, source=shop, jpeg-60" in output
    assert "clean" not in output
    kept = [f for f in spec.results if f.condition == "clean"]
    assert "The whole interval exceeds the promise" not in card(changed(spec, results=tuple(kept)))


def test_promises_that_the_data_cannot_support_are_told_with_what_they_take(spec):
    assert "cannot support" not in card(spec)
    left_out = Unsupported(
        name="1-in-5000", bpcer_budget=0.0002, reason="It takes at least 14,977 independent ones"
    )
    text = card(changed(spec, unsupported=(left_out,)))
    assert (
        "### Promises that the data cannot support\n\n"
        "- 1-in-5000: It takes at least 14,977 independent ones." in text
    )


def test_in_what_sense_a_promise_holds_is_said(spec):
    point = spec.operating_point("strict")
    chosen_on = point.chosen_on.model_copy(update={"groups": 60})
    output = point.model_copy(update={"basis": "in the mean, | over draws", "chosen_on": chosen_on})
    text = card(changed(spec, operating_points={**spec.operating_points, "strict": output}))
    assert r"- strict, on new faces: in the mean, \| over draws." in text
    assert "| 100 real faces of calibration, 60 groups |" in text


def test_the_worst_generator_is_named(spec):
    assert (
        "Worst APCER of a generator at balanced: torch under clean, 20.00 % [19.00, 21.00]"
        in card(spec)
    )


def test_limits_are_those_of_this_detector(spec):
    limits = card(spec).split("## Limits")[1]
    assert (
        "Tested on fakes of lamp, torch and on pictures of shop, reals, as clean, jpeg-60" in limits
    )
    assert "Seen in training but not tested: candle." in limits
    assert "Both training and test have pictures of shop" in limits
    assert "The test has only one class of reals" in limits
    assert "error rates by group of people" in limits


def test_groups_of_people_that_were_measured_are_not_called_unmeasured(spec):
    results = (*spec.results, finding("bpcer@balanced", 0.02, slice_="gender=female"))
    measured = DetectorSpec.model_validate({**dict(spec), "results": results})
    assert "group of people" not in card(measured)


def test_a_detector_that_was_not_tested_says_so(tiny_spec):
    text = card(tiny_spec)
    assert "None: this detector was not tested." in text
    assert "The promises were not tested on other faces." in text
    assert "Training started from random weights." in text
    assert "Tested on fakes of nothing and on pictures of nothing" in text


def test_it_claims_no_conformity(spec):
    text = card(spec)
    assert "30107-3-style" in text
    assert not re.search("compliant|certified|guarantee", text, re.IGNORECASE)


def test_every_figure_comes_from_the_record(spec):
    """Without results no figure is left in the results but those of definitions."""
    bare = DetectorSpec.model_validate({**dict(spec), "results": ()})
    results = card(bare).split("## Results")[1].split("## Limits")[0]
    assert not re.search(r"\d", results)


def test_names_cannot_break_out_of_their_cell(spec):
    evil = finding("roc_auc", 0.5, slice_="source=x |\n# <b>*y*</b>")
    text = card(DetectorSpec.model_validate({**dict(spec), "results": (*spec.results, evil)}))
    assert r"| source=x \| \# \<b\>\*y\*\</b\> |" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    columns = {line.replace(r"\|", "").count("|") for line in lines if "source=" in line}
    assert columns == {4}


def test_every_metric_has_a_title():
    from faceproof.evaluation.findings import NOT_JUDGED
    from faceproof.evaluation.metrics import METRICS

    assert set(TITLES) == {*METRICS, *NOT_JUDGED}
