"""Plain words: every figure is the detector's own, and none says more than was measured."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import faceproof.detector
from faceproof.detector import ChosenOn, Detector, DetectorSpec, Finding, OperatingPoint, Verdict
from faceproof.errors import UnknownChoiceError
from faceproof.evaluation.findings import COMPOSITION, MEMBER
from faceproof.imaging.damage import Damage
from faceproof.imaging.degradations import DEGRADATIONS
from faceproof.imaging.faces import Face
from faceproof.imaging.preprocessing import TEMPLATE_112
from faceproof.imaging.quality import WITHHOLDING, Quality, assess
from faceproof.provenance.records import (
    ContentCredentials,
    CredentialState,
    FindingKind,
    PointsTo,
    ProvenanceFinding,
)
from faceproof.reports import words as plain_words
from faceproof.reports.words import budgets as looked_up
from faceproof.reports.words.budgets import predictive_value, whole_share
from faceproof.results import (
    CheckedBy,
    CheckedFace,
    CheckedImage,
    CheckError,
    CheckResult,
    ResavedResult,
)

HASH = "d" * 64
POINTS = tuple(Detector.load("default").spec.operating_points)


@pytest.fixture(scope="module")
def default() -> DetectorSpec:
    return Detector.load("default").spec


@pytest.fixture(scope="module")
def recorded() -> dict[tuple[str, str, str], dict[str, float]]:
    """The findings of the default detector, read from its file without any code of ours."""
    file = Path(faceproof.detector.__file__).parent / "default" / "detector.json"
    results = json.loads(file.read_text(encoding="utf-8"))["results"]
    return {(one["metric"], one["condition"], one["slice"]): one for one in results}


def finding(metric: str, value: float, low: float, high: float, **more: object) -> Finding:
    actual = {"n": 1000, "data_sha256": HASH} | more
    return Finding(metric=metric, value=value, low=low, high=high, **actual)


def measured(spec: DetectorSpec, *findings: Finding) -> DetectorSpec:
    return spec.model_copy(update={"results": findings})


def result(*verdicts: Verdict, error: bool = False) -> CheckResult:
    score = {"real": 0.1, "unsure": 0.5, "fake": 0.9}
    faces = tuple(
        CheckedFace(
            box=(1, 2, 30, 40),
            landmarks=None,
            detection_score=None,
            quality=Quality(side_px=30),
            verdict=verdict,
            fake_probability=score[verdict],
        )
        for verdict in verdicts
    )
    most = max(faces, key=lambda face: face.fake_probability, default=None)
    return CheckResult(
        source="a.jpg",
        status="error" if error else "ok" if faces else "no_face",
        error=CheckError(code="empty_file", message="a.jpg: the file is empty") if error else None,
        image=None if error else CheckedImage(sha256=HASH, width=90, height=80, format="JPEG"),
        verdict=most.verdict if most else None,
        fake_probability=most.fake_probability if most else None,
        faces=faces,
        detector=CheckedBy(name="bright", version="1.0", sha256=HASH),
        operating_point="balanced",
        elapsed_ms=1,
    )


def numbers(text: str) -> list[int]:
    return [int(found.replace(",", "")) for found in re.findall(r"\b\d[\d,]*\b", text)]


class TestShares:
    @given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
    @example(0.0, 0.0, 0.0)
    @example(1.0, 1.0, 1.0)
    @example(0.0003, 0.0001, 0.0007)
    def test_the_interval_is_never_narrowed_and_holds_the_middle(self, one, two, three):
        low, value, high = sorted([one, two, three])
        actual = whole_share(value, low, high)
        assert actual.low <= low * actual.base + 1e-6
        assert actual.high >= high * actual.base - 1e-6
        assert 0 <= actual.low <= actual.middle <= actual.high <= actual.base

    @given(st.floats(0, 1), st.floats(0, 0.5))
    def test_the_middle_is_nearer_to_the_value_than_the_interval_is_wide(self, value, reach):
        low, high = max(0, value - reach), min(1, value + reach)
        actual = whole_share(value, low, high)
        assert abs(actual.middle - value * actual.base) <= max(
            0.5001, (high - low) * actual.base / 2
        )

    def test_no_more_digits_than_the_interval_allows(self):
        assert whole_share(0.4622, 0.33, 0.61).about == "about 450"
        assert whole_share(0.4622, 0.46, 0.465).about == "about 462"

    def test_what_was_never_seen_is_told_by_its_upper_end(self):
        never = whole_share(0, 0, 0.0042)
        assert (never.about, never.between) == ("at most 5", "")
        always = whole_share(1, 0.987, 1)
        assert (always.about, always.between) == ("at least 987", "")


class TestBudget:
    @pytest.mark.parametrize("point", POINTS)
    def test_every_number_is_one_of_the_findings(self, default, recorded, point):
        alarms = recorded[f"bpcer@{point}", "clean", "all"]
        caught = recorded[f"recall@{point}", "clean", "all"]
        base_a, about_a, low_a, high_a, base_c, about_c, low_c, high_c = numbers(
            plain_words.budget_words(default, point)
        )
        assert {base_a, base_c} <= {1000, 10_000}
        for found, base, about, low, high in (
            (alarms, base_a, about_a, low_a, high_a),
            (caught, base_c, about_c, low_c, high_c),
        ):
            assert low <= base * found["low"] <= about <= base * found["high"] <= high
            assert about == pytest.approx(base * found["value"], abs=5.01)

    def test_the_sentence_of_the_default(self, tiny_spec):
        spec = measured(
            tiny_spec,
            finding("bpcer@balanced", 0.005, 0.0031, 0.0078),
            finding("recall@balanced", 0.931, 0.922, 0.939),
        )
        assert plain_words.budget_words(spec) == (
            "Of 1000 real faces about 5 would be called fake (3 to 8); of 1000 fakes about 931 are "
            "caught (922 to 939), on our tests."
        )

    def test_what_was_not_measured_has_no_number(self, tiny_spec):
        actual = plain_words.budget_words(tiny_spec, "strict")
        assert "was not measured" in actual
        assert numbers(actual) == numbers(tiny_spec.operating_point("strict").promise)
        assert plain_words.budget_details(tiny_spec, "strict") == ()

    def test_one_half_is_told_and_the_other_said_to_be_missing(self, tiny_spec):
        alarms = measured(tiny_spec, finding("bpcer@balanced", 0.01, 0.005, 0.02))
        actual = plain_words.budget_words(alarms)
        assert "about 10 would be called fake" in actual
        assert actual.endswith("How many fakes are caught was not measured.")
        missed = measured(tiny_spec, finding("apcer@balanced", 0.05, 0.04, 0.06))
        actual = plain_words.budget_words(missed)
        assert "fakes about 50 would show no sign of a fake" in actual
        assert "How often real faces are called fake was not measured." in actual
        assert "caught" not in actual

    def test_findings_of_other_points_slices_and_conditions_are_not_taken(self, tiny_spec):
        spec = measured(
            tiny_spec,
            finding("bpcer@strict", 0.1, 0.09, 0.11),
            finding("bpcer@balanced", 0.2, 0.19, 0.21, condition="jpeg-60"),
            finding("bpcer@balanced", 0.3, 0.29, 0.31, slice="source=shop"),
        )
        assert plain_words.measure_budget(spec).false_alarms is None
        assert plain_words.measure_budget(spec, condition="jpeg-60").false_alarms.value == 0.2

    def test_an_unknown_operating_point_is_refused(self, tiny_spec):
        with pytest.raises(UnknownChoiceError, match="balanced"):
            plain_words.budget_words(tiny_spec, "lax")

    @pytest.mark.parametrize("point", POINTS)
    def test_details_name_the_worst_source_and_generator(self, default, recorded, point):
        details = " ".join(plain_words.budget_details(default, point))
        for words, metric, choose, kind in (
            ("Most false alarms", "bpcer", max, "all"),
            ("Fewest caught", "recall", min, "all"),
            ("Most false alarms of a source", "bpcer", max, "source="),
            ("Fewest caught of a generator", "recall", min, "generator="),
        ):
            found = [
                one
                for (name, _, slice_), one in recorded.items()
                if name == f"{metric}@{point}" and slice_.startswith(kind)
            ]
            worst = choose(found, key=lambda one: one["value"])
            name = f", {worst['slice'].removeprefix(kind)}".removesuffix(", ")
            way = plain_words.condition_words(worst["condition"])
            actual = whole_share(worst["value"], worst["low"], worst["high"])
            assert f"{words}{name}, pictures {way}: of 1000" in details
            assert f"{actual.about}{actual.between}." in details
        assert f"{recorded[f'bpcer@{point}', 'clean', 'all']['n']:,} real" in details
        assert f"{recorded[f'recall@{point}', 'clean', 'all']['n']:,} fake" in details

    def test_attacked_faces_are_no_worst_case(self, tiny_spec):
        spec = measured(
            tiny_spec,
            finding("recall@balanced", 0.9, 0.89, 0.91),
            finding("recall@balanced", 0.1, 0.09, 0.11, condition="pgd-2x10"),
        )
        assert looked_up.find_worst(spec, "recall@balanced", min).condition == "clean"

    def test_many_faces_are_many_chances(self, tiny_spec):
        spec = measured(tiny_spec, finding("bpcer@balanced", 0.01, 0.005, 0.02))
        assert plain_words.many_faces_words(spec, None, 1) == ""
        assert numbers(plain_words.many_faces_words(spec, None, 8)) == [8, 8, 1000, 160]
        assert numbers(plain_words.many_faces_words(spec, None, 80))[-1] == 1000
        assert plain_words.many_faces_words(tiny_spec, None, 8) == ""


class TestWorth:
    @given(st.floats(0.001, 0.999), *[st.just(0.0) | st.floats(1e-6, 1)] * 2)
    def test_bayes_is_counting(self, base_rate, caught, alarms):
        """Of a million faces, the fake ones among those called fake, counted."""
        fakes = 1_000_000 * base_rate
        called = fakes * caught + (1_000_000 - fakes) * alarms
        found = predictive_value(caught, alarms, base_rate)
        if called == 0:
            assert found is None
        else:
            assert found == pytest.approx(fakes * caught / called)

    @pytest.mark.parametrize("point", POINTS)
    @pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
    def test_the_interval_takes_both_ends_at_their_worse(self, default, recorded, point, rate):
        caught = recorded[f"recall@{point}", "clean", "all"]
        alarms = recorded[f"bpcer@{point}", "clean", "all"]
        actual = plain_words.worth(default, point, rate)

        def value(a: str, b: str) -> float:
            right, wrong = rate * caught[a], (1 - rate) * alarms[b]
            return right / (right + wrong)

        assert actual.value == pytest.approx(value("value", "value"))
        assert actual.low == pytest.approx(value("low", "high"))
        assert actual.high == pytest.approx(value("high", "low"))
        assert actual.low < actual.value < actual.high
        if "at least" in actual.text:
            about, base = numbers(actual.text)[-2:]
            assert base == 100
            assert about <= 100 * actual.low
            assert actual.value > 0.98
            return
        *_, about, base, low, high = numbers(actual.text)
        assert base == 100
        assert low <= 100 * actual.low <= 100 * actual.high <= high
        assert about == pytest.approx(100 * actual.value, abs=5)

    def test_the_rarer_fakes_are_the_less_a_verdict_is_worth(self, default):
        values = [plain_words.worth(default, None, rate).value for rate in np.linspace(0, 1, 21)]
        assert values == sorted(values)
        assert (values[0], values[-1]) == (0.0, 1.0)

    def test_the_ends_need_no_figures_but_a_measurement(self, default):
        assert "every “looks fake” verdict is wrong" in plain_words.worth(default, None, 0.0).text
        assert "every “looks fake” verdict is right" in plain_words.worth(default, None, 1.0).text

    def test_no_false_alarm_seen(self, tiny_spec):
        spec = measured(
            tiny_spec,
            finding("bpcer@balanced", 0.0, 0.0, 0.004),
            finding("recall@balanced", 0.5, 0.4, 0.6),
        )
        actual = plain_words.worth(spec, None, 0.01)
        assert (actual.value, actual.high) == (1.0, 1.0)
        assert actual.low == pytest.approx(0.004 / (0.004 + 0.99 * 0.004))
        assert "at least" in actual.text

    def test_no_fake_verdict_seen_at_all(self, tiny_spec):
        spec = measured(
            tiny_spec,
            finding("bpcer@balanced", 0.0, 0.0, 0.004),
            finding("recall@balanced", 0.0, 0.0, 0.01),
        )
        actual = plain_words.worth(spec, None, 0.5)
        assert actual.value is None
        assert numbers(actual.text) == []

    def test_not_measured(self, tiny_spec):
        actual = plain_words.worth(tiny_spec, None, 0.5)
        assert (actual.value, actual.low, actual.high) == (None, None, None)
        assert actual.text == "The reliability of a “looks fake” verdict was not measured."

    @pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
    def test_a_base_rate_is_a_share(self, default, rate):
        with pytest.raises(ValueError, match="base rate"):
            plain_words.worth(default, None, rate)


def bands(real_below: float, fake_from: float) -> OperatingPoint:
    on = ChosenOn(data_sha256=HASH, n=9)
    return OperatingPoint(
        name="a", real_below=real_below, fake_from=fake_from, promise="?", chosen_on=on
    )


class TestBands:
    @given(st.floats(0, 1), st.floats(0.001, 0.999), st.floats(0.001, 0.999))
    @example(0.95221, 0.19700203033712282, 0.9522185144209885)
    @example(0.5, 0.5, 0.5)
    @example(1 - 1e-7, 0.2, 0.9)
    def test_rounded_numbers_lie_as_the_exact_ones_do(self, probability, one, two):
        low, high = min(one, two), max(one, two)
        actual = plain_words.band_words(probability, bands(low, high))
        shown, *ends = (float(found) / 100 for found in re.findall(r"([\d.]+) %", actual))
        shown += 1e-12 * (actual.count("more than") - actual.count("less than"))
        for end, exact in zip(ends, [low, high][-len(ends) :], strict=True):
            assert end == pytest.approx(exact, abs=1e-3)
            if abs(probability - exact) > 1e-9 or probability == exact:
                assert (shown >= end) == (probability >= exact)
        if 0 < probability < 1:
            assert 0 < shown < 1

    def test_a_probability_just_below_a_threshold_shows_it(self, default):
        at = default.operating_point(POINTS[-1])
        actual = plain_words.band_words(at.fake_from - 1e-5, at)
        percentages = [float(found) for found in re.findall(r"([\d.]+) %", actual)]
        assert percentages[0] < percentages[2]
        assert "in the band “unsure”" in actual
        assert "in the band “looks fake”" in plain_words.band_words(at.fake_from, at)

    def test_no_more_digits_than_tell_it_from_the_thresholds(self):
        at = bands(0.2, 0.9522)
        assert plain_words.percent(0.95218, at) == "95.218 %"
        assert plain_words.percent(0.5, at) == "50.0 %"

    @pytest.mark.parametrize(
        ("probability", "expected"), [(1e-6, "less than 0.1 %"), (0.0, "0.0 %")]
    )
    def test_small(self, default, probability, expected):
        assert plain_words.percent(probability, default.operating_point()) == expected

    @pytest.mark.parametrize(
        ("probability", "expected"), [(1 - 1e-6, "more than 99.9 %"), (1.0, "100.0 %")]
    )
    def test_large(self, default, probability, expected):
        assert plain_words.percent(probability, default.operating_point()) == expected

    def test_no_unsure_band(self):
        actual = plain_words.bands_words(bands(0.5, 0.5))
        assert actual == "no sign of a fake below 50.0 %, looks fake from there"


class TestTables:
    def test_every_verdict_has_words_and_they_differ(self):
        assert set(plain_words.VERDICTS) == set(get_args(Verdict))
        assert len({words.short for words in plain_words.VERDICTS.values()}) == 3
        assert all(words.short.casefold() == words.word for words in plain_words.VERDICTS.values())

    def test_every_caution_has_words(self):
        """The two worst faces there are have every caution."""
        face = Face((-50.0, -50.0, 60.0, 60.0), (TEMPLATE_112 * 0.3 + 15).astype(np.float32), 0.1)
        dots = np.random.default_rng(0).choice(np.uint8([0, 255]), (64, 64, 1)).repeat(3, axis=2)
        whole = Face((0.0, 0.0, 64.0, 64.0), face.landmarks, 0.9)
        damage = Damage((0.0, 0.0, 64.0, 64.0), share=1.0)
        found = {
            *assess(np.zeros((64, 64, 3), np.uint8), face, damage).cautions,
            *assess(dots, whole).cautions,
        }
        assert set(found) == set(plain_words.CAUTIONS)
        assert all(plain_words.caution_words(one).endswith(".") for one in found)

    def test_every_condition_has_words_of_its_own(self):
        words = [plain_words.condition_words(name) for name in DEGRADATIONS]
        assert len(set(words)) == len(DEGRADATIONS)
        assert not set(words) & set(DEGRADATIONS)

    def test_every_provenance_word_has_words(self):
        assert set(plain_words.KINDS) == set(get_args(FindingKind))
        assert set(plain_words.POINTS) == set(get_args(PointsTo))
        assert set(plain_words.STATES) == set(get_args(CredentialState))

    def test_names_of_findings_are_those_of_evaluation(self):
        assert (looked_up.COMPOSITION, looked_up.MEMBER) == (COMPOSITION, MEMBER)

    def test_a_finding_says_what_where_and_what_for(self):
        actual = plain_words.finding_words(
            ProvenanceFinding(
                kind="generator_trace",
                says="Settings of Stable Diffusion stand in the file.",
                value="Steps: 20",
                where="PNG text",
                points_to="made_by_ai",
            )
        )
        for part in ("Settings of Stable", "PNG text", "“Steps: 20”", "if true"):
            assert part in actual

    @pytest.mark.parametrize("state", get_args(CredentialState))
    def test_credentials_say_their_state_and_signer(self, state):
        actual = plain_words.credentials_words(
            ContentCredentials(state=state, says="A sentence.", signer="Example News")
        )
        assert plain_words.STATES[state] in actual
        assert "A sentence. Signer named: Example News." in actual


class TestAnswers:
    @pytest.mark.parametrize(
        ("verdicts", "expected"),
        [
            (("fake",), "This face looks fake: generated or manipulated."),
            (("real",), "No sign of a fake was found in this face."),
            (("unsure",), "The detector is unsure about this face."),
            (("fake", "real", "fake"), "2 of these 3 faces look fake: generated or manipulated."),
            (("fake", "unsure"), "1 of these 2 faces looks fake: generated or manipulated."),
            (("real", "unsure"), "The detector is unsure about 1 of these 2 faces."),
            (("real", "real"), "No sign of a fake was found in any of these 2 faces."),
            ((), plain_words.verdicts.NO_FACE),
        ],
    )
    def test_a_picture_is_answered_for_its_most_fake_face(self, verdicts, expected):
        assert plain_words.answer_words(result(*verdicts)) == expected

    def test_an_error_is_no_verdict(self):
        assert "could not be checked" in plain_words.answer_words(result(error=True))


def resaved_as(condition: str, verdict: Verdict | None) -> ResavedResult:
    return ResavedResult(
        condition=condition,
        status="ok" if verdict else "no_face",
        verdict=verdict,
        fake_probability=0.5 if verdict else None,
        faces=1 if verdict else 0,
    )


class TestStability:
    def test_what_changed_is_told_by_what_it_became(self):
        actual = plain_words.stability_words(
            result("fake"),
            [
                resaved_as("jpeg-90", "fake"),
                resaved_as("jpeg-40", "unsure"),
                resaved_as("dark", None),
            ],
        )
        assert actual.startswith("The verdict stayed the same in 1 of 3 ways")
        assert "“unsure” when saved as JPEG of quality 40" in actual
        assert "none, as no face was found, when darkened" in actual

    def test_nothing_changed(self):
        actual = plain_words.stability_words(result("real"), [resaved_as("jpeg-90", "real")] * 2)
        assert actual == "The verdict stayed the same in all 2 ways of saving it again."

    def test_nothing_to_compare(self):
        assert "was not run" in plain_words.stability_words(result("fake"), ())
        assert "no verdict" in plain_words.stability_words(result(), [resaved_as("dark", None)])


class TestUntested:
    def test_of_the_default_detector(self, default, recorded):
        actual = " ".join(plain_words.untested_sentences(default))
        tested = {
            slice_
            for metric, _, slice_ in recorded
            if metric != COMPOSITION and not metric.startswith("heatmap_")
        }
        # Families pool sources, which are named.
        for slice_ in {one for one in tested if not one.startswith("family=")} - {"all"}:
            assert slice_.partition("=")[2] in actual
        for note in default.notes:
            assert note in actual
        assert "some groups of people: not measured" in actual

    def test_nothing_was_tested(self, tiny_spec):
        actual = plain_words.untested_sentences(tiny_spec)
        assert actual[0].startswith("This detector was not tested at all")
        assert actual[1] == "Learned from fakes of: lamp."
        assert actual[-1] == "for tests"

    def test_a_test_of_heat_maps_is_no_test_of_verdicts(self, tiny_spec):
        spec = measured(tiny_spec, finding("heatmap_reliable", 0.7, 0.6, 0.8))
        assert plain_words.untested_sentences(spec)[0].startswith(
            "This detector was not tested at all"
        )

    def test_what_was_measured_is_not_said_to_be_missing(self, tiny_spec):
        spec = measured(
            tiny_spec,
            finding("apcer@balanced", 0.1, 0, 0.2, slice="generator=torch"),
            finding("bpcer@balanced", 0.1, 0, 0.2, slice="gender=female"),
            finding("accuracy@balanced", 0.1, 0, 0.2, condition="fgsm-2"),
        )
        actual = " ".join(plain_words.untested_sentences(spec))
        assert "torch" in actual
        assert "Learned from, but not tested on: fakes of lamp." in actual
        assert "groups of people" not in actual
        assert "deceive" not in actual


def test_the_words_need_no_table_library():
    """The page has no polars: it is an extra of its own."""
    program = (
        "import sys, faceproof.reports.words as words\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(loaded & {'polars', 'pyarrow', 'sklearn', 'jinja2', 'reportlab', 'torch'})"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "set()", done.stderr


def test_what_was_not_checked_of_a_picture():
    image = CheckedImage(sha256="a" * 64, width=9000, height=9000, format="JPEG")
    assert list(plain_words.limitations(image)) == list(plain_words.limitations(None)) == []
    limited = image.model_copy(update={"pictures": 3, "damaged": 0.256, "smallest_face_px": 46})
    assert [one.short for one in plain_words.limitations(limited)] == [
        "first of 3 pictures",
        "26 % damaged",
        "faces under 46 px not looked for",
    ]
    assert all(one.sentence.endswith(".") for one in plain_words.limitations(limited))


@pytest.mark.parametrize("caution", sorted(WITHHOLDING))
def test_a_withheld_verdict_says_why_and_names_no_band(caution, default):
    face, point = result("fake", "real").faces[0], default.operating_point(None)
    quality = Quality(side_px=90, cautions=("small", caution))
    withheld = face.model_copy(update={"quality": quality, "verdict": "unsure"})
    assert (
        plain_words.face_words(withheld) == f"No verdict is given. {plain_words.CAUTIONS[caution]}"
    )
    assert "band" not in plain_words.face_band_words(withheld, point)
    assert plain_words.face_words(face) == plain_words.VERDICTS[face.verdict].sentence
    assert plain_words.face_band_words(face, point) == plain_words.band_words(
        face.fake_probability, point
    )
