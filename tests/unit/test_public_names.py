"""What ``import faceproof`` offers."""

from __future__ import annotations

import doctest
import hashlib
import inspect
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import faceproof
from faceproof.errors import MissingExtraError, UnknownChoiceError, UsageError

NEEDS_TORCH = {"leave_one_out", "train"}
HEAD = "path,label,generator,source,split,group,sha256"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Return a manifest of twelve grainy pictures, dark ones real and bright ones fake."""
    rows = [HEAD]
    for n in range(12):
        label, generator, light = ("fake", "lamp", 210) if n % 2 else ("real", "none", 60)
        grain = np.random.default_rng(n).integers(-40, 40, (48, 48, 3))
        path = tmp_path / f"{n}.png"
        Image.fromarray((light + grain).clip(0, 255).astype(np.uint8)).save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append(f"{path.name},{label},{generator},home,test,g{n},{digest}")
    (tmp_path / "m.csv").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path / "m.csv"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.train] if name in NEEDS_TORCH else [])
        for name in faceproof.__all__
    ],
)
def test_every_public_name_is_there_and_listed(name):
    value = getattr(faceproof, name)
    assert getattr(value, "__name__", name) == name
    assert name in dir(faceproof)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.train] if name in NEEDS_TORCH else [])
        for name in faceproof.__all__
        if name != "__version__"
    ],
)
def test_every_public_name_has_an_example_that_the_doctests_run(name):
    value = getattr(faceproof, name)
    module = sys.modules[value.__module__]
    found = [
        test for test in doctest.DocTestFinder().find(value, name, module) if test.name == name
    ]
    assert [example for test in found for example in test.examples]


@pytest.mark.parametrize(
    "name", [name for name in faceproof.__all__ if name not in {"__version__", *NEEDS_TORCH}]
)
def test_every_signature_is_typed(name):
    value = getattr(faceproof, name)
    members = vars(value).items() if isinstance(value, type) else [(name, value)]
    for member, found in members:
        if member.startswith("__"):
            continue
        function = found.__func__ if isinstance(found, classmethod) else found
        if not inspect.isfunction(function) or function.__module__ != value.__module__:
            continue
        parameters = inspect.signature(function).parameters
        untyped = set(parameters) - {"self", "cls"} - function.__annotations__.keys()
        assert not untyped, f"{name}.{member}"
        assert "return" in function.__annotations__, f"{name}.{member}"


def test_the_public_names_are_those_of_the_readme():
    assert {"Checker", "Detector", "CheckResult"} <= set(faceproof.__all__)
    assert {"check", "inspect", "evaluate", "train"} <= set(faceproof.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'faceproof' has no attribute 'Chekcer'"):
        _ = faceproof.Chekcer


def test_types_are_for_all_to_read():
    assert resources.files(faceproof).joinpath("py.typed").is_file()


def test_a_verb_without_its_extra_names_it(monkeypatch):
    monkeypatch.setattr(
        "faceproof.tables.find_spec", lambda name: None if name == "timm" else object()
    )
    with pytest.raises(MissingExtraError, match=r"timm is not installed: .*\btrain\b"):
        _ = faceproof.train


class TestCheck:
    def test_returns_what_a_checker_does(self, tiny_bundle):
        pixels = np.full((48, 48, 3), 220, np.uint8)
        found = faceproof.check(pixels, detector=tiny_bundle, faces="whole", name="bright")
        detector = faceproof.Detector.load(tiny_bundle)
        same = faceproof.Checker(detector, faces="whole").check(pixels, name="bright")
        timeless = {"elapsed_ms": 0.0}
        assert found.model_copy(update=timeless) == same.model_copy(update=timeless)
        loaded = faceproof.check(pixels, detector=detector, faces="whole", name="bright")
        assert (found.source, loaded.verdict) == ("bright", found.verdict)

    def test_what_cannot_be_checked_is_a_result(self, tiny_bundle, tmp_path):
        found = faceproof.check(tmp_path / "none.jpg", detector=tiny_bundle)
        assert (found.status, found.error.code) == ("error", "source_not_found")

    def test_an_unknown_operating_point_is_refused(self, tiny_bundle):
        with pytest.raises(UnknownChoiceError, match="sternest"):
            faceproof.check(b"", detector=tiny_bundle, at="sternest")


class TestInspect:
    def test_takes_a_file_and_returns_its_faults(self, manifest):
        found = faceproof.inspect(manifest, faceproof.InspectSpec(sample=None))
        assert isinstance(found, faceproof.Inspection)
        assert (found.rows, found.sample, found.leaks) == (12, None, ())
        assert repr(found).startswith("<Inspection 12 rows, 0 opened; kinds of fault: ")
        assert found == faceproof.inspect([manifest], faceproof.InspectSpec(sample=None))

    def test_another_manifest_is_read_beside_it(self, manifest):
        spec = faceproof.InspectSpec(sample=None)
        found = faceproof.inspect(manifest, spec, against=str(manifest))
        assert [one.against for one in found.manifests] == [False, True]


class TestEvaluate:
    def test_returns_the_record_and_writes_nothing(self, tiny_bundle, manifest, tmp_path):
        before = sorted(tmp_path.rglob("*"))
        steps = []
        found = faceproof.evaluate(
            tiny_bundle,
            manifest,
            conditions=["clean", "jpeg-60", "clean"],
            faces="whole",
            resamples=100,
            progress=lambda *step: steps.append(step),
        )
        assert isinstance(found, faceproof.Evaluation)
        assert found.conditions == ("clean", "jpeg-60")
        assert found.count_judged("all", "clean") == (6, 6)
        assert (found.data.split, found.data.name) == ("test", manifest.name)
        assert found.find("roc_auc").value == 1
        assert repr(found).startswith("<Evaluation bright 1.0 at balanced: ")
        assert "12 faces judged (clean), ROC-AUC 1.000 [" in repr(found)
        assert repr(found.find("roc_auc")).startswith("<Finding roc_auc 1 [")
        assert (steps[0], steps[-1]) == ((0, 24), (24, 24))
        assert sorted(tmp_path.rglob("*")) == before

    def test_output_holds_the_predictions_and_the_record(self, tiny_bundle, manifest, tmp_path):
        detector = faceproof.Detector.load(tiny_bundle)
        out = tmp_path / "out"
        found = faceproof.evaluate(
            detector, manifest, output=out, faces="whole", resamples=100, seed=3
        )
        assert {path.name for path in out.iterdir()} == {"evaluation.json", "predictions.parquet"}
        assert faceproof.Evaluation.read(out / "evaluation.json") == found
        assert found.seed == 3

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"conditions": ["jpg-60"]}, "unknown condition"),
            ({"faces": "all"}, "unknown choice of faces"),
            ({"split": "tests"}, "unknown split"),
            ({"at": "sternest"}, "unknown operating point"),
            ({"manifest": "none.csv"}, "none.csv: manifest not found"),
            ({"output": __file__}, "is not a folder"),
        ],
    )
    def test_what_cannot_be_done_is_refused_first(self, tiny_bundle, manifest, changes, message):
        wanted = {"manifest": manifest, **changes}
        with pytest.raises(UsageError, match=message):
            faceproof.evaluate(tiny_bundle, **wanted)


@pytest.mark.train
class TestTrain:
    def test_a_recipe_file_is_read_with_its_overrides(self, tmp_path):
        from faceproof.errors import RecipeError

        with pytest.raises(RecipeError, match="cannot be read as a recipe"):
            faceproof.train(tmp_path / "none.toml", tmp_path / "run")
        recipe = tmp_path / "recipe.toml"
        recipe.write_text("[schedule]\n", encoding="utf-8")
        with pytest.raises(RecipeError, match="epoch"):
            faceproof.train(recipe, tmp_path / "run", overrides=["schedule.epoch=3"])
        assert not (tmp_path / "run").exists()
        assert "torch" in sys.modules
