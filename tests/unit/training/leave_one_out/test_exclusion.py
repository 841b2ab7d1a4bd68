"""No row of what is left out, and nothing made of it, is among what a training reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faceproof.data.manifest import Manifest, Row
from faceproof.errors import TrainingError, UnknownChoiceError, UsageError
from faceproof.training.leave_one_out.exclusion import (
    SEEN_SPLITS,
    LeftOut,
    adapt_recipe,
    choose_left_out,
    exclude,
    refuse_known_start,
)
from faceproof.training.recipe import read_recipe

STYLEGAN2 = LeftOut(kind="generator", name="stylegan2")
SPLITS = ("train", "validation", "calibration", "test")


class Rows:
    """Rows with a hash and, unless it is given, a group of their own."""

    def __init__(self) -> None:
        self.all: list[Row] = []

    def add(
        self, generator: str, source: str, split: str, group: str = "", **attributes: str
    ) -> Row:
        number = len(self.all)
        row = Row(
            path=f"{number}.png",
            label="real" if generator == "none" else "fake",
            generator=generator,
            source=source,
            group=group or f"g{number}",
            sha256=f"{number:064x}",
            split=split,
            attributes=attributes,
        )
        self.all.append(row)
        return row


@pytest.fixture
def rows() -> Rows:
    """Two generators and real faces in each split; stylegan2 in two sources and spellings."""
    made = Rows()
    for split in SPLITS:
        made.add("none", "home", split)
        made.add("none", "away", split)
        made.add("stylegan2", "home", split)
        made.add("StyleGAN2", "away", split)
        made.add("flux.1", "away", split)
    return made


def seen(exclusion) -> list[Row]:
    return [row for row in exclusion.manifest.rows if row.split in SEEN_SPLITS]


def in_test(exclusion) -> list[tuple[str, str]]:
    found = [(row.generator, row.source) for row in exclusion.manifest.rows if row.split == "test"]
    return sorted(found)


class TestRows:
    def test_a_generator_goes_from_every_source_and_in_every_spelling(self, rows):
        found = exclude(Manifest(rows.all), STYLEGAN2)
        assert {row.generator for row in seen(found)} == {"none", "flux.1"}
        assert len(seen(found)) == 9
        assert found.removed.model_dump() == {"left_out": 6, "made_of_it": 0, "shared": 0}

    def test_its_fakes_are_tested_against_all_real_faces_of_test_only(self, rows):
        assert in_test(exclude(Manifest(rows.all), STYLEGAN2)) == [
            ("StyleGAN2", "away"),
            ("none", "away"),
            ("none", "home"),
            ("stylegan2", "home"),
        ]

    def test_a_source_goes_with_its_real_faces_and_is_tested_alone(self, rows):
        found = exclude(Manifest(rows.all), LeftOut(kind="source", name="away"))
        assert {row.source for row in seen(found)} == {"home"}
        assert in_test(found) == [("StyleGAN2", "away"), ("flux.1", "away"), ("none", "away")]

    @pytest.mark.parametrize(
        ("generator", "beside"),
        [("none", {"stylegan2", "StyleGAN2", "flux.1"}), ("x", {"none"})],
    )
    def test_a_source_of_one_class_gets_the_other_from_the_rest_of_test(
        self, rows, generator, beside
    ):
        for split in SPLITS:
            rows.add(generator, "shop", split)
        rows.add("made-paste", "paste", "test")
        found = exclude(Manifest(rows.all), LeftOut(kind="source", name="shop"))
        assert {name for name, source in in_test(found) if source != "shop"} == beside
        assert [name for name, source in in_test(found) if source == "shop"] == [generator]

    def test_fakes_made_of_a_sources_faces_go_with_it(self, rows):
        real = next(row for row in rows.all if row.source == "away" and row.label == "real")
        kept = next(row for row in rows.all if row.source == "home" and row.label == "real")
        rows.add("made-paste", "paste", "train", real.group, origin=real.path)
        rows.add("made-swap", "swap", "train", f"{kept.group} + {real.group}", origin=kept.path)
        own = rows.add("made-paste", "paste", "train", kept.group, origin=kept.path)
        found = exclude(Manifest(rows.all), LeftOut(kind="source", name="away"))
        made = [row.path for row in seen(found) if row.generator.startswith("made-")]
        assert made == [own.path]
        assert found.removed.made_of_it == 2
        by_generator = exclude(Manifest(rows.all), STYLEGAN2)
        assert by_generator.removed.made_of_it == 0, "made of real faces, which stay"

    def test_whoever_is_in_the_test_is_in_no_other_split(self, rows):
        """A manifest refuses one group in two splits; a joint group or an original can hide it."""
        person = next(row for row in rows.all if row.split == "test" and row.label == "real")
        swap = rows.add("made-swap", "swap", "train", f"{person.group} + other")
        copy = rows.add("none", "home", "train", origin_sha256="a" * 64)
        rows.add("stylegan2", "home", "test", origin_sha256="a" * 64)
        found = exclude(Manifest(rows.all), STYLEGAN2)
        assert not {swap.path, copy.path} & {row.path for row in seen(found)}
        assert found.removed.shared == 2

    def test_rows_of_each_split_are_counted(self, rows):
        counts = exclude(Manifest(rows.all), STYLEGAN2).rows
        assert list(counts) == list(SPLITS)
        assert (counts["train"].real, counts["train"].fake) == (2, 1)
        assert (counts["test"].real, counts["test"].fake) == (2, 2)


class TestChoice:
    def test_every_generator_of_training_that_test_has(self, rows):
        rows.add("dalle-3", "web", "test")
        rows.add("stable-diffusion-xl", "web", "train")
        for name in ("made-paste", "unknown"):
            rows.add(name, "paste", "train")
            rows.add(name, "paste", "test")
        names = [one.name for one in choose_left_out(Manifest(rows.all), (), ())]
        assert names == ["flux.1", "stylegan2"]

    def test_named_ones_in_any_spelling_and_once(self, rows):
        found = choose_left_out(Manifest(rows.all), ("StyleGAN2", "stylegan2"), ("away",))
        assert [one.words for one in found] == ["generator stylegan2", "source away"]
        assert [one.folder for one in found] == ["generator-stylegan2", "source-away"]

    @pytest.mark.parametrize(
        ("generators", "sources", "error", "message"),
        [
            (("stylgan2",), (), UnknownChoiceError, "did you mean 'stylegan2'"),
            ((), ("hom",), UnknownChoiceError, "did you mean 'home'"),
            (
                ("stable-diffusion-xl",),
                (),
                UsageError,
                "generator stable-diffusion-xl has no row in the split test",
            ),
            (("made-paste",), (), UnknownChoiceError, "unknown generator"),
        ],
    )
    def test_what_cannot_be_left_out_is_refused(self, rows, generators, sources, error, message):
        rows.add("stable-diffusion-xl", "web", "train")
        rows.add("made-paste", "paste", "test")
        with pytest.raises(error, match=message):
            choose_left_out(Manifest(rows.all), generators, sources)

    def test_nothing_to_leave_out_is_an_error(self):
        rows = Rows()
        rows.add("none", "home", "train")
        rows.add("stable-diffusion-xl", "home", "train")
        with pytest.raises(UsageError, match="nothing to leave out"):
            choose_left_out(Manifest(rows.all), (), ())


RECIPE = """
[data]
licence = "MIT"
shares = { home = 0.5, away = 0.3, lab = 0.2 }
[resolution]
own_width = { home = 0.5, lab = 0.5 }
[[stages]]
from_step = 5
shares = { lab = 0.5, home = 0.5 }
[schedule]
steps = 10
[export]
name = "mine"
version = "1"
replaces = "default"
[calibration.families]
all = ["home", "away", "lab"]
"""


@pytest.fixture
def recipe(tmp_path: Path):
    (tmp_path / "r.toml").write_text(RECIPE, encoding="utf-8")
    return lambda *overrides: read_recipe(tmp_path / "r.toml", overrides)


class TestRecipe:
    def test_a_source_without_pictures_loses_its_share(self, rows, recipe):
        for split in SPLITS:
            rows.add("dfdc-swap", "lab", split)
        whole = Manifest(rows.all)
        found = adapt_recipe(recipe(), whole, exclude(whole, LeftOut(kind="source", name="lab")))
        assert found.data.shares == {"home": 0.5, "away": 0.3}
        assert found.stages[0].shares == {"home": 0.5}

    def test_a_source_without_its_fakes_loses_its_own_widths(self, rows, recipe):
        whole = Manifest(rows.all)
        found = adapt_recipe(recipe(), whole, exclude(whole, STYLEGAN2))
        assert found.resolution.own_width == {"lab": 0.5}
        assert found.data.shares == recipe().data.shares

    def test_it_keeps_its_checkpoints_replaces_nothing_and_is_named_so(self, rows, recipe):
        whole = Manifest(rows.all)
        known = recipe("schedule.steps=20")
        found = adapt_recipe(known, whole, exclude(whole, STYLEGAN2))
        assert found.schedule.snapshots
        assert found.export.replaces is None
        assert found.export.name == "mine-without-stylegan2"
        assert found.export.notes[0].startswith("Trained without the generator stylegan2")
        assert found.export.command == (
            "faceproof train leave-one-out RECIPE.toml --set schedule.steps=20 "
            "--generator stylegan2"
        )
        assert found.schedule.steps == 20


class TestStart:
    """Weights that have seen what is left out would make the figure one of a seen generator."""

    def test_the_shipped_detector(self, recipe):
        known = recipe("network.starting_weights=default")
        with pytest.raises(TrainingError, match="trained on the generator stylegan2, so nothing"):
            refuse_known_start(known, [STYLEGAN2])
        with pytest.raises(TrainingError, match="may have seen the source home"):
            refuse_known_start(known, [LeftOut(kind="source", name="home")])
        refuse_known_start(known, [LeftOut(kind="generator", name="a-new-one")])

    def test_a_teacher(self, recipe):
        with pytest.raises(TrainingError, match=r"distil.teacher = 'default' is a detector"):
            refuse_known_start(recipe("distil.teacher=default"), [STYLEGAN2])

    def test_weights_to_average_with(self, recipe):
        known = recipe("network.averaged_with=['default']")
        with pytest.raises(TrainingError, match=r"network.averaged_with = 'default' is a detector"):
            refuse_known_start(known, [STYLEGAN2])

    def test_a_checkpoint_of_a_run(self, recipe, tmp_path):
        start = [{"recipe": {"export": {"name": "a", "version": "1"}, "data": {"licence": "MIT"}}}]
        (tmp_path / "run.json").write_text(json.dumps(start), encoding="utf-8")
        (tmp_path / "best.pt").write_bytes(b"weights")
        path = (tmp_path / "best.pt").as_posix()
        with pytest.raises(TrainingError, match=r"is a checkpoint \(training run\)"):
            refuse_known_start(recipe(f"network.starting_weights={path}"), [STYLEGAN2])

    @pytest.mark.train
    def test_random_weights_and_files_of_their_own(self, recipe, tmp_path):
        refuse_known_start(recipe(), [STYLEGAN2])
        (tmp_path / "imagenet.pt").write_bytes(b"weights")
        path = (tmp_path / "imagenet.pt").as_posix()
        refuse_known_start(recipe(f"network.starting_weights={path}"), [STYLEGAN2])
