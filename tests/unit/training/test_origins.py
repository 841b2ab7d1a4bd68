"""Name and licence of starting weights come from the weights; a recipe cannot say otherwise."""

import hashlib
import json
import shutil

import pytest

from faceproof.detector import Bundle
from faceproof.detector.detector import locate
from faceproof.detector.spec import StartingPoint
from faceproof.errors import RecipeError, SourceNotFoundError
from faceproof.training.origins import (
    is_placeholder,
    read_starting_points,
    resolve_origin,
    write_starting_points,
)
from faceproof.training.recipe import read_recipe

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from safetensors.torch import save_file  # noqa: E402

DEFAULT = locate("default")
SPEC = Bundle.read(DEFAULT).spec
WHOLE = f"{SPEC.name} {SPEC.version}"
TENSORS = {"conv.weight": torch.zeros(2, 2)}
LEAST = 'data.licence = "MIT"\nexport.name = "mine"\nexport.version = "1"\n'


def weights(path, **metadata):
    save_file(TENSORS, path, metadata=metadata or None)
    return str(path)


@pytest.fixture
def least(tmp_path):
    (tmp_path / "least.toml").write_text(LEAST, encoding="utf-8")
    return tmp_path / "least.toml"


def forms_of_the_default(tmp_path):
    """Yield every way to name the shipped detector's weights."""
    (file,) = [member.weights.name for member in SPEC.members]
    shutil.copytree(DEFAULT, tmp_path / "copy")
    shutil.copy(DEFAULT / file, tmp_path / "renamed.safetensors")
    yield "default"
    yield str(DEFAULT)
    yield f"{DEFAULT}:{SPEC.members[0].name}"
    yield str(DEFAULT / file)
    yield str(tmp_path / "copy")
    yield str(tmp_path / "copy" / file)
    yield str(tmp_path / "renamed.safetensors")


def test_the_shipped_detector_names_itself_however_it_is_named(tmp_path):
    for source in forms_of_the_default(tmp_path):
        start, *ancestors = resolve_origin(source, None, None)
        assert (start.name, start.licence, start.source) == (WHOLE, SPEC.licence, "detector")
        assert tuple(ancestors) == SPEC.started_from


def test_a_recipe_that_says_timm_of_the_shipped_detector_is_refused(tmp_path):
    for source in forms_of_the_default(tmp_path):
        with pytest.raises(RecipeError, match="is of another origin") as refused:
            resolve_origin(source, "densenet121.tv_in1k of timm, ImageNet", "Apache-2.0")
        for part in ("'Apache-2.0'", WHOLE, SPEC.licence, "Delete network.started_from"):
            assert part in str(refused.value)


def test_a_right_name_with_a_wrong_licence_is_refused():
    with pytest.raises(RecipeError, match=r"started_from_licence is 'MIT', but"):
        resolve_origin("default", WHOLE, "MIT")
    (start, *_) = resolve_origin("default", f"the detector {WHOLE}", SPEC.licence.upper())
    assert start.licence == SPEC.licence


def test_weights_of_the_hub_have_the_name_and_licence_that_timm_records():
    (start,) = resolve_origin("densenet121.tv_in1k", None, None)
    assert (start.name, start.licence) == ("densenet121.tv_in1k", "apache-2.0")
    said = "densenet121.tv_in1k of timm, ImageNet"
    assert resolve_origin("densenet121.tv_in1k", said, "Apache License 2.0") == (start,)
    with pytest.raises(RecipeError, match="of another origin"):
        resolve_origin("densenet121.tv_in1k", None, "MIT")
    with pytest.raises(RecipeError, match="of another origin"):
        resolve_origin("densenet121.tv_in1k", "resnet18.a1_in1k", None)


def test_a_plain_file_has_what_the_recipe_says_and_no_less(tmp_path):
    plain = weights(tmp_path / "plain.safetensors")
    (start,) = resolve_origin(plain, "Net, ImageNet", "GPL-3.0")
    assert (start.name, start.licence, start.source) == ("Net, ImageNet", "GPL-3.0", "file")
    for name, licence, missing in (
        (None, "MIT", "set network.started_from,"),
        ("Net", None, "set network.started_from_licence,"),
        (None, None, "set network.started_from and network.started_from_licence,"),
    ):
        with pytest.raises(RecipeError, match="does not state its origin") as refused:
            resolve_origin(plain, name, licence)
        assert missing in str(refused.value)


@pytest.mark.parametrize("key", ["license", "licence", "modelspec.license"])
def test_metadata_of_a_file_is_its_own_statement(tmp_path, key):
    path = weights(tmp_path / "a.safetensors", **{key: "CC-BY-NC-4.0", "format": "pt"})
    (start,) = resolve_origin(path, "Net", None)
    assert (start.name, start.licence) == ("Net", "CC-BY-NC-4.0")
    with pytest.raises(RecipeError, match=r"metadata of the file: licence 'CC-BY-NC-4\.0'"):
        resolve_origin(path, "Net", "MIT")


def test_a_name_in_metadata_is_kept_and_a_placeholder_there_says_nothing(tmp_path):
    path = weights(tmp_path / "a.safetensors", name="FaceNet 9", license="unknown")
    assert resolve_origin(path, None, "MIT")[0].name == "FaceNet 9"
    with pytest.raises(RecipeError, match=r"set network\.started_from_licence"):
        resolve_origin(path, None, None)
    with pytest.raises(RecipeError, match="'DenseNet'"):
        resolve_origin(path, "DenseNet", "MIT")


def test_texts_in_a_torch_file_are_its_own_statement(tmp_path):
    torch.save({"state_dict": TENSORS, "license": "GPL-3.0"}, tmp_path / "a.pt")
    with pytest.raises(RecipeError, match=r"'GPL-3\.0'"):
        resolve_origin(str(tmp_path / "a.pt"), "Net", "MIT")


def test_a_checkpoint_in_its_run_folder_has_the_runs_origin(tmp_path):
    recipe = {"export": {"name": "mine", "version": "3"}, "data": {"licence": "CC-BY-NC-4.0"}}
    (tmp_path / "run.json").write_text(json.dumps([{"recipe": recipe}]), encoding="utf-8")
    ancestor = StartingPoint(name="Net", licence="GPL-3.0", source="file")
    write_starting_points(tmp_path, (ancestor,), "a" * 64)
    torch.save(TENSORS, tmp_path / "best.pt")
    start, before = resolve_origin(str(tmp_path / "best.pt"), None, None)
    assert (start.name, start.licence) == ("mine 3, checkpoint best.pt", "CC-BY-NC-4.0")
    assert before == ancestor.model_copy(update={"sha256": "a" * 64})
    with pytest.raises(RecipeError, match="training run"):
        resolve_origin(str(tmp_path / "best.pt"), "densenet121.tv_in1k", "Apache-2.0")
    (tmp_path / "snapshots").mkdir()
    snapshot = tmp_path / "snapshots" / "step-000004.safetensors"
    save_file(TENSORS, snapshot)
    start, before = resolve_origin(str(snapshot), None, None)
    assert (start.name, before.name) == ("mine 3, checkpoint step-000004.safetensors", "Net")


def test_weights_that_the_shipped_detector_started_from_keep_their_licence(tmp_path, monkeypatch):
    path = weights(tmp_path / "a.safetensors")
    digest = hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest()
    known = StartingPoint(name="Net", licence="GPL-3.0", sha256=digest)
    spec = SPEC.model_copy(update={"started_from": (known,)})
    bundle = Bundle(DEFAULT, spec, "0" * 64)
    monkeypatch.setattr(Bundle, "read", classmethod(lambda *_: bundle))
    assert resolve_origin(path, None, None)[0].licence == "GPL-3.0"
    with pytest.raises(RecipeError, match=r"'GPL-3\.0'"):
        resolve_origin(path, "Net", "MIT")


def test_weights_that_are_nowhere_are_named():
    with pytest.raises(SourceNotFoundError, match=r"no starting weights at none\.pt"):
        resolve_origin("none.pt", "Net", "MIT")


def test_what_earlier_versions_recorded_is_read(tmp_path):
    assert read_starting_points(tmp_path) == ()
    old = StartingPoint(name="Net", licence="MIT", sha256="a" * 64)
    old.write(tmp_path / "started_from.json")
    assert read_starting_points(tmp_path) == (old,)


@pytest.mark.parametrize(
    "text",
    [
        *("TODO", "todo: ask", "TBD", "unknown", "Unknown.", "?", "???", "-", "n/a", "none", "..."),
        *("licence", "License", "<licence>", "[your license here]", "{licence}", "your licence"),
        *("fixme", "xxx", "not specified", "to be decided", "Insert licence here", "changeme", " "),
        "Say here under what terms your pictures, and so the detector, may be used.",
    ],
)
def test_a_placeholder_is_refused_as_licence(least, text):
    assert is_placeholder(text)
    for key in ("data.licence", "network.started_from_licence", "network.started_from"):
        with pytest.raises(RecipeError, match=f"{key}: .*is a placeholder"):
            read_recipe(least, (f"{key}={json.dumps(text)}",))


@pytest.mark.parametrize(
    "text",
    [
        *("MIT", "GPL-3.0", "Apache-2.0", "CC BY-NC 4.0", "BSD-3-Clause", "Unlicense", "0BSD"),
        *("Research use only", "All rights reserved", "Proprietary", "(c) 2026 Ann (all rights)"),
        *("No commercial use", "Internal use at Example Ltd", "Private: not for distribution"),
        SPEC.licence,
    ],
)
def test_a_licence_is_no_placeholder(least, text):
    assert not is_placeholder(text)
    assert read_recipe(least, (f"data.licence={json.dumps(text)}",)).data.licence == text


def test_random_weights_have_no_origin(least):
    with pytest.raises(RecipeError, match="starts from random weights"):
        read_recipe(least, ("network.started_from=densenet121.tv_in1k",))


def test_auto_takes_the_origin_from_the_weights(least):
    how = ("network.starting_weights=default", "network.started_from=auto")
    network = read_recipe(least, (*how, "network.started_from_licence=auto")).network
    assert network.started_from is network.started_from_licence is None


def test_the_command_on_the_card_has_the_overrides_and_no_folders_of_this_machine(least, tmp_path):
    how = ("schedule.steps=9", f"network.starting_weights={tmp_path / 'a.pt'}", "device.threads=1")
    command = read_recipe(least, how).export.command
    assert command == (
        "faceproof train RECIPE.toml --set schedule.steps=9 --set network.starting_weights=a.pt"
    )
