"""The comparison of recipes: what each row trains on, and how the table measures it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from faceproof.data.manifest import Manifest, Row
from faceproof.evaluation.predictions import Faces

pytest.importorskip("polars")
pytest.importorskip("torch")
from faceproof.training.recipe import read_recipe

FOLDER = Path(__file__).parents[3] / "benchmarks"
GENERATORS = {
    "stylegan2": "stylegan2_hmdghoul",
    "stable-diffusion-2.1": "sdfd",
    "dfdc-swap": "dfdc",
    "stylegan": "ffhq_stylegan140k",
}


@pytest.fixture(scope="module")
def comparisons():
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module("default_comparisons")
    sys.path.remove(str(FOLDER))
    del sys.modules["default_comparisons"]


def recipe_of(comparisons, name):
    return read_recipe(comparisons.RECIPE, tuple(comparisons.ROWS[name].overrides(Path("w"))))


def manifest() -> Manifest:
    """Two real sources and four generators, one picture of each in every split."""
    kinds = [("real", "none", "dfdc"), ("real", "none", "ffhq_stylegan140k")]
    kinds += [("fake", generator, source) for generator, source in GENERATORS.items()]
    rows = []
    for split in ("train", "validation", "calibration", "test"):
        for number, (label, generator, source) in enumerate(kinds):
            name = f"{split}-{number}"
            digest = f"{len(rows):064x}"
            rows.append(Row(f"{name}.png", label, generator, source, name, digest, split))
    return Manifest(rows)


def test_every_row_is_a_recipe_and_differs_from_the_others(comparisons):
    recipes = {name: recipe_of(comparisons, name) for name in comparisons.ROWS}
    assert len({one.model_dump_json() for one in recipes.values()}) == len(recipes)
    assert {one.network.name for one in recipes.values()} == {"densenet121", "resnet18"}
    assert {one.network.preprocessing.crop.size for one in recipes.values()} == {160, 224}


def test_a_row_states_its_share_of_made_fakes(comparisons):
    recipe = recipe_of(comparisons, "160 px, made 20 %")
    fakes = 1 - 0.08 + 0.16
    of_fakes = recipe.data.shares["round_trip"] / fakes
    seams = sum(recipe.stages[0].forgeries.values())
    assert of_fakes / 2 + seams == pytest.approx(0.2, abs=0.01)
    assert recipe_of(comparisons, "160 px, made 0 %").stages == ()


def test_nothing_of_the_left_out_generators_is_seen_before_test(comparisons):
    recipe, seen = comparisons.leave_out(recipe_of(comparisons, "resnet18"), manifest())
    generators = {row.generator for row in seen.rows if row.split != "test"}
    assert generators == {"none", "stylegan"}
    assert "stylegan2_hmdghoul" not in recipe.data.shares
    assert "dfdc" in recipe.data.shares
    assert "dfdc" not in recipe.resolution.own_width


def test_a_row_of_the_table(comparisons):
    """StyleGAN2 is above all real faces, Stable Diffusion below, dfdc between two of them."""
    clean = [
        *(("none", logit) for logit in (-2.0, -1.0, 1.0, 2.0)),
        ("stylegan2", 3.0),
        ("stable-diffusion-2.1", -3.0),
        ("dfdc-swap", 0.0),
        ("stylegan", 1.5),
    ]
    rows = [(*one, condition) for condition in comparisons.CONDITIONS for one in clean]
    count = len(rows)
    logits = np.array([logit for _, logit, _ in rows])
    generators = np.array([name for name, _, _ in rows])
    faces = Faces(
        fake=generators != "none",
        logits=logits,
        probabilities=1 / (1 + np.exp(-logits)),
        sources=np.full(count, "a"),
        generators=generators,
        groups=np.arange(count).astype(str),
        conditions=np.array([condition for _, _, condition in rows]),
        splits=np.full(count, "validation"),
        statuses=np.full(count, "ok"),
        withheld=np.zeros(count, np.bool_),
    )
    name, *cells = comparisons.line("row", ("48", "1"), faces).strip("| ").split(" | ")
    assert (name, *cells[:5]) == ("row", "48", "1", "1.000", "0.000", "0.500")
    assert cells[5].startswith("0.500 [")
    assert cells[6:] == ["0.500", "33%", "0.750"]


def test_fakes_of_a_source_with_real_faces_are_measured_against_these(comparisons):
    names = np.array(["none", "none", "dfdc-swap", "stylegan2"])
    count = len(names)
    faces = Faces(
        fake=names != "none",
        logits=np.array([1.0, -2.0, 0.0, 0.5]),
        probabilities=np.full(count, 0.5),
        sources=np.array(["utkface", "dfdc", "dfdc", "stylegan2_hmdghoul"]),
        generators=names,
        groups=np.arange(count).astype(str),
        conditions=np.full(count, "clean"),
        splits=np.full(count, "validation"),
        statuses=np.full(count, "ok"),
        withheld=np.zeros(count, np.bool_),
    )
    assert comparisons.auc(faces, "dfdc-swap") == 1.0
    assert comparisons.auc(faces, "stylegan2") == 0.5


def test_a_row_has_a_folder_of_its_own(comparisons, tmp_path):
    folders = {comparisons.folder_of(tmp_path, name) for name in comparisons.ROWS}
    assert len(folders) == len(comparisons.ROWS)
