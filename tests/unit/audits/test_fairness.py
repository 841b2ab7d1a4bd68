"""The audit *fairness*: groups, gaps, the guard of small groups, refusals, and what is sampled."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import polars as pl
import pytest

from faceproof.audits.attributes import find_attributes
from faceproof.audits.audit import audit
from faceproof.audits.context import draw_rows_of_people
from faceproof.audits.fairness import FAIRNESS, run
from faceproof.data.manifest import Manifest, Row
from faceproof.errors import UnknownChoiceError
from faceproof.evaluation.audit_result import AuditResult
from support.audit_contexts import make_context, prediction

DARK, BRIGHT = 0.1, 0.9  # the tiny detector calls the first real and the second fake


def people(number, label, source, gender, *, wrong=0, **more):
    """Return faces of one gender, the first ``wrong`` of which get a wrong verdict."""
    right, other = (DARK, BRIGHT) if label == "real" else (BRIGHT, DARK)
    return [
        (label, source, other if n < wrong else right, {"gender": gender}, more)
        for n in range(number)
    ]


@pytest.fixture
def measure(tiny_bundle):
    """Return the outcome of the audit on predictions, without pictures."""

    def measure(faces, by=()):
        made = [
            prediction(n, label, p, source=source, attributes=attributes, **more)
            for n, (label, source, p, attributes, more) in enumerate(faces)
        ]
        return run(make_context(tiny_bundle, {"people": made}, by=by))

    return measure


def table(outcome, name):
    (found,) = [one for one in outcome.tables if one.name == name]
    return found.frame()


def rows_of(result):
    frame = table(result, "groups")
    return {(row["class"], row["group"]): row for row in frame.to_dicts()}


@pytest.fixture
def unequal(measure):
    """Real women are accused more often than men; the fakes are of another source."""
    faces = [
        *people(40, "real", "album", "female", wrong=20),
        *people(40, "real", "album", "male", wrong=1),
        *people(12, "real", "album", "other", wrong=12),
        *people(40, "fake", "press", "female", wrong=4),
        *people(40, "fake", "press", "male", wrong=4),
    ]
    return measure(faces)


class TestUnequalGroups:
    def test_rates_are_those_of_each_group_within_its_class_and_source(self, unequal):
        rows = rows_of(unequal)
        assert rows["real", "gender=female"]["wrong"] == 0.5
        assert rows["real", "gender=male"]["wrong"] == 1 / 40
        assert rows["fake", "gender=female"]["wrong"] == 0.1
        assert {row["source"] for row in rows.values()} == {"album", "press"}
        low, high = (rows["real", "gender=female"][f"wrong_{end}"] for end in ("low", "high"))
        assert low < 0.5 < high

    def test_a_small_group_is_named_and_neither_measured_nor_compared(self, unequal):
        small = rows_of(unequal)["real", "gender=other"]
        assert (small["pictures"], small["judged"], small["groups"]) == (12, 12, 12)
        assert (small["wrong"], small["unsure"], small["no_face"]) == (None, None, None)
        assert small["caution"] == "only 12 groups: not measured"
        assert any("1 group, such as gender=other (12)" in one for one in unequal.cautions)
        gaps = table(unequal, "gaps")
        assert not gaps.filter(pl.col("highest") == "gender=other").height
        assert gaps["compared"].unique().to_list() == [2]

    def test_the_worst_group_and_what_chance_explains_are_in_the_answer(self, unequal):
        assert "false alarms are most frequent for gender=female of album: 50.0 %" in unequal.answer
        assert "for gender=male, more than chance explains (p = 0.006 after Holm)" in unequal.answer
        assert any(one.startswith("No group differs in misses: 10.0 %") for one in unequal.details)

    def test_gaps_have_intervals_and_the_gap_of_random_groups(self, unequal):
        frame = table(unequal, "gaps")
        gap = frame.row(by_predicate=pl.col("figure") == "false_alarms", named=True)
        assert gap["difference"] == 0.475
        assert gap["difference_low"] < 0.475 < gap["difference_high"]
        assert gap["chance"] < 0.475
        assert gap["p_holm"] >= gap["p"]
        assert gap["ratio"] is None, "one man was accused: too few for a ratio"
        assert any("The worst of many groups is so by chance" in one for one in unequal.cautions)

    def test_figures_that_would_compare_data_sets_are_refused_with_the_reason(self, unequal):
        refused = table(unequal, "refused")
        assert refused["group"].to_list() == ["gender=female", "gender=male", "gender=other"]
        female = refused.row(0, named=True)
        assert (female["real_faces_of"], female["fakes_of"]) == ("album", "press")
        assert female["reason"].endswith("would compare data sets, not people")
        assert refused["reason"][2] == "no fake face: both classes are needed"
        assert "separation" not in {one.name for one in unequal.tables}
        assert any("compare data sets, not people" in one for one in unequal.cautions)
        assert not any(one.metric in {"roc_auc", "ece"} for one in unequal.findings)

    def test_findings_name_source_group_and_gap(self, unequal):
        found = {(one.metric.partition("@")[0], one.slice): one for one in unequal.findings}
        women = found["bpcer", "source=album,generator=none,gender=female"]
        assert (women.value, women.n, women.caution) == (0.5, 40, "only 40 groups")
        assert found["bpcer_difference", "source=album,generator=none,by=gender"].value == 0.475
        assert ("no_face_rate", "source=press,generator=lamp,gender=male") in found


def test_both_classes_of_one_source_give_auc_and_calibration(measure):
    faces = [
        *people(30, "real", "album", "female"),
        *people(30, "fake", "album", "female"),
        *people(30, "real", "album", "male", wrong=15),
        *people(30, "fake", "album", "male"),
    ]
    found = measure(faces)
    rows = {row["group"]: row for row in table(found, "separation").to_dicts()}
    assert rows["gender=female"]["roc_auc"] == 1.0
    assert rows["gender=male"]["roc_auc"] == 0.75
    assert rows["gender=male"]["ece"] > rows["gender=female"]["ece"]
    assert "refused" not in {one.name for one in found.tables}
    gap = table(found, "gaps").filter(pl.col("figure") == "roc_auc").row(0, named=True)
    assert (gap["highest"], gap["lowest"]) == ("gender=female", "gender=male")
    assert gap["difference"] == 0.25
    assert gap["class"] == "both"


def test_faces_that_are_not_found_count_by_group_and_unreadable_ones_do_not(measure):
    lost, broken = {"reason": "no_face"}, {"reason": "changed_file"}
    found = measure(
        [
            *people(30, "real", "album", "female"),
            *people(30, "real", "album", "female", **lost),
            *people(30, "real", "album", "male"),
            *people(30, "real", "album", "male", **broken),
        ]
    )
    rows = rows_of(found)
    assert rows["real", "gender=female"]["no_face"] == 0.5
    assert rows["real", "gender=male"]["no_face"] == 0.0
    assert rows["real", "gender=male"]["pictures"] == 60
    assert rows["real", "gender=male"]["judged"] == 30
    assert "pictures without a found face are most frequent for gender=female" in found.answer
    assert found.details[0].startswith("No group differs in false alarms")
    assert "No fake face" in " ".join(found.cautions)


def test_a_withheld_verdict_is_unsure_in_its_group(measure):
    found = measure(
        [
            *people(30, "real", "album", "female", wrong=30, cautions="damaged"),
            *people(30, "real", "album", "male", wrong=30, cautions="small"),
        ]
    )
    rows = rows_of(found)
    assert rows["real", "gender=female"]["wrong"] == 0.0
    assert rows["real", "gender=female"]["unsure"] == 1.0
    assert rows["real", "gender=male"]["wrong"] == 1.0


def test_groups_that_never_err_still_have_a_gap_with_width(measure):
    found = measure([*people(30, "real", "a", "female"), *people(30, "real", "a", "male")])
    gap = table(found, "gaps").filter(pl.col("figure") == "false_alarms").row(0, named=True)
    assert (gap["difference"], gap["difference_low"]) == (0.0, 0.0)
    assert 0.05 < gap["difference_high"] < 0.2
    assert gap["p"] == 1.0
    assert "no group differs in false alarms" in found.answer


def test_only_small_groups_are_not_measured(measure):
    found = measure([*people(9, "real", "a", "female"), *people(30, "real", "a", "male")])
    assert not found.measured
    assert found.answer.startswith("Not measured: no two groups of people with 30")


def test_without_attributes_it_is_not_measured_and_says_what_to_name(measure):
    found = measure([("real", "album", DARK, {"city": "here"}, {})] * 3)
    assert not found.measured
    assert found.answer.startswith("Not measured: none of the columns age")


class TestColumns:
    ROWS = tuple(
        Row(f"{n}.png", "real", "none", "s", f"g{n}", "0" * 64, "test", attributes)
        for n, attributes in enumerate(
            [
                *({"age": str(age), "gender": "mf"[age % 2], "city": "x"} for age in range(90)),
                {"gender": "m"},
                {"city": "y"},
            ]
        )
    )

    def test_known_columns_and_their_pairs_are_the_default(self):
        assert find_attributes(self.ROWS).sets == (("age",), ("gender",), ("age", "gender"))

    def test_named_columns_replace_them(self):
        found = find_attributes(self.ROWS, ["city+gender", "city"])
        assert found.sets == (("city", "gender"), ("city",))
        assert found.groups(self.ROWS[0]) == ("city=x, gender=m", "city=x")
        assert found.groups(self.ROWS[90]) == (), "its city is not known"

    def test_an_unknown_column_is_refused_before_anything_is_scored(self, tiny_bundle):
        manifest = Manifest(
            [Row("a.png", "real", "none", "s", "g", "0" * 64, attributes={"gender": "f"})],
            root=Path(),
        )
        with pytest.raises(UnknownChoiceError, match="did you mean 'gender'"):
            audit(tiny_bundle, manifest, only=["fairness"], by=["gendre"])

    def test_ages_are_sorted_into_bands_and_other_numbers_into_quarters(self):
        ages = find_attributes(self.ROWS, ["age"])
        assert ages.groups(self.ROWS[12]) == ("age=0 to below 13",)
        assert ages.groups(self.ROWS[70]) == ("age=70 and over",)
        rows = [
            Row(f"{n}.png", "real", "none", "s", f"g{n}", "0" * 64, "test", {"px": str(n)})
            for n in range(100)
        ]
        quarters = find_attributes(rows, ["px"])
        names = [quarters.groups(row)[0] for row in rows]
        assert [names.count(name) for name in dict.fromkeys(names)] == [25, 25, 25, 25]

    def test_few_numbers_stay_as_they_are(self):
        rows = [
            Row(f"{n}.png", "real", "none", "s", "g", "0" * 64, "test", {"skin_type": str(n % 6)})
            for n in range(60)
        ]
        assert find_attributes(rows).groups(rows[5]) == ("skin_type=5",)

    def test_every_group_gets_its_share_of_the_sample(self):
        rows = [
            Row(
                f"{n}.png",
                "real",
                "none",
                "s",
                f"g{n}",
                "0" * 64,
                "test",
                {"gender": "m" if n < 80 else "f", "race": "abc"[n % 3]},
            )
            for n in range(100)
        ]
        attributes = find_attributes(rows)
        drawn = draw_rows_of_people(rows, 10, attributes)
        counts = {}
        for row in drawn:
            for group in attributes.groups(row):
                counts[group] = counts.get(group, 0) + 1
        held = {group for row in rows for group in attributes.groups(row)}
        assert set(counts) == held
        assert all(
            counts[one] >= 10 or one in {"gender=f, race=a", "gender=f, race=b", "gender=f, race=c"}
            for one in held
        )
        assert all(counts[f"gender=f, race={race}"] >= 6 for race in "abc"), "all that there are"
        assert len(drawn) < 60
        assert draw_rows_of_people(rows, None, attributes) == tuple(rows)
        assert draw_rows_of_people(rows[::-1], 10, attributes)[::-1] == drawn


def test_named_columns_sort_the_faces(measure):
    faces = [("real", "a", DARK, {"gender": "f", "club": "xy"[n % 2]}, {}) for n in range(80)]
    assert table(measure(faces, by=("club",)), "groups")["group"].to_list() == ["club=x", "club=y"]


def test_the_page_of_the_docs_has_every_group_and_gap(unequal, tiny_bundle, monkeypatch):
    place = Path(__file__).parents[3] / "docs" / "fairness.py"
    monkeypatch.syspath_prepend(place.parent)  # as for a script
    spec = importlib.util.spec_from_file_location("fairness_page", place)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    context = make_context(tiny_bundle, {"people": [prediction(0, "real", DARK)]})
    result = AuditResult(
        name="fairness",
        question=FAIRNESS.question,
        settings=context.settings,
        pictures=172,
        **{
            name: getattr(unequal, name)
            for name in ("answer", "details", "cautions", "tables", "plots")
        },
    )
    text = "\n".join(script.lines(result))
    assert "| gender=female | 40 | 50.0 (35.2 to 64.8) | 0.0 (0.0 to 8.8) |" in text
    assert "| gender=other | 12 | - | - | - |" in text
    assert (
        "| real faces called fake | album | gender | gender=female | gender=male | 47.5 (" in text
    )
    assert all(one in text for one in (unequal.answer, *unequal.details))
    assert "None" not in text
