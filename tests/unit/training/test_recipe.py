"""Recipes: the shipped ones read, and a wrong one says which key and which is right."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from faceproof.data.manifest import Manifest, Row
from faceproof.detector import Bundle
from faceproof.detector.detector import locate
from faceproof.errors import RecipeError
from faceproof.imaging.preprocessing import CropSpec
from faceproof.networks import input_defaults
from faceproof.training.preflight import refuse_poor_data, start_notes
from faceproof.training.promises import LADDER
from faceproof.training.recipe import Recipe, _keys, read_recipe

EXAMPLES = Path(__file__).parents[3] / "examples"
DEFAULT = EXAMPLES / "default.toml"

LEAST = """
data.licence = "MIT"
export.name = "mine"
export.version = "1"
"""


@pytest.fixture
def least(tmp_path: Path) -> Path:
    (tmp_path / "least.toml").write_text(LEAST, encoding="utf-8")
    return tmp_path / "least.toml"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.name)
def test_examples_are_recipes(path):
    recipe = read_recipe(path)
    assert recipe.schedule.batch_size % 2 == 0
    assert recipe.data.prepared


def test_the_least_recipe_is_filled_with_defaults(least):
    recipe = read_recipe(least)
    assert recipe.network.name == "densenet121"
    made_for = input_defaults("densenet121")
    assert recipe.network.preprocessing.crop.size == made_for.size == 224
    assert recipe.network.preprocessing.input.mean == made_for.mean
    assert recipe.calibration.budgets is recipe.calibration.default_budget is None
    assert recipe.calibration.asked == (0.05, 0.01, 0.005, 0.001)
    assert recipe.export.conditions == ("clean", "jpeg-60", "resize-0.5")


def test_the_input_is_the_networks_own_where_the_recipe_says_nothing(least):
    network = read_recipe(least, ("network.name=inception_resnet_v1",)).network
    assert network.preprocessing.crop.size == 160
    assert network.preprocessing.input.std == input_defaults("inception_resnet_v1").std
    asked = read_recipe(least, ("network.preprocessing.crop.size=96",)).network.preprocessing
    assert asked.crop.size == 96
    assert asked.input.mean == input_defaults("densenet121").mean


def test_a_recipe_survives_json():
    recipe = read_recipe(DEFAULT)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("shedule.steps=3", "shedule is no key of a recipe, did you mean 'schedule'?"),
        ("schedule.step=3", "schedule.step is no key of a recipe, did you mean 'steps'?"),
        ("network.head.hiden=3", "network.head.hiden is no key of a recipe, did you mean 'hidden'"),
        ("resolution.widst=99", "resolution.widst is no key of a recipe, did you mean 'widest'?"),
        ("stages=[{ from_stp = 1 }]", "stages.0.from_stp is no key of a recipe, did you mean"),
        ("network.preprocessing.crop.sise=3", "did you mean 'size'?"),
        ("batch_size=3", "batch_size is no key of a recipe, did you mean 'schedule.batch_size'?"),
        ("qqqq=3", "qqqq is no key of a recipe"),
        ("export.nmae='x'", "export.nmae is no key of a recipe, did you mean 'name'?"),
    ],
)
def test_a_misspelt_key_is_named_with_the_nearest(least, override, message):
    with pytest.raises(RecipeError, match=r"least\.toml: ") as refused:
        read_recipe(least, (override,))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("schedule.steps=many", "schedule.steps: Input should be a valid integer"),
        ("schedule.steps=0", "schedule.steps = 0 trains nothing: name network.starting_weights"),
        ("schedule.steps=-1", "schedule.steps: Input should be greater than or equal to 0"),
        ("schedule.steps=1.5", "schedule.steps: Input should be a valid integer"),
        ("schedule.steps=", "schedule.steps: "),
        ("augment.flip=1.5", "augment.flip: Input should be less than or equal to 1"),
        ("optimizer.learning_rate=nan", "optimizer.learning_rate: Input should be "),
        ("augment=3", "augment: Input should be a valid dictionary"),
        ("seed=-1", "seed: Input should be greater than or equal to 0"),
        ("device.accelerator=warp", "device.accelerator: Input should be 'auto', 'cpu'"),
        ("device.precision=fp8", "device.precision: Input should be 'auto'"),
        ("data.licence=''", "data.licence: String should have at least 1 character"),
        ("export.name=My Detector", "export.name: String should match pattern"),
        ("calibration.budgets=[]", "calibration.budgets: "),
        (
            "calibration={ budgets = [0.05], default_budget = 0.3 }",
            "calibration: default_budget 0.3 is none of",
        ),
        ("calibration.budgets=atuo", "calibration.budgets: Input should be a valid tuple"),
        ("calibration.method=plat", "calibration.method: Input should be 'best', 'temperature'"),
    ],
)
def test_a_wrong_value_is_named(least, override, message):
    with pytest.raises(RecipeError) as refused:
        read_recipe(least, (override,))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("overrides", "asked", "required"),
    [
        (("calibration.budgets=auto",), (0.05, 0.01, 0.005, 0.001), ()),
        (("calibration.budgets=[0.05, 0.02]",), (0.05, 0.02), (0.05, 0.02)),
        (("calibration.default_budget=0.02",), (0.05, 0.02, 0.01, 0.005, 0.001), (0.02,)),
        (
            ("calibration.budgets=[0.05, 0.02]", "calibration.default_budget=0.05"),
            (0.05, 0.02),
            (0.05, 0.02),
        ),
    ],
)
def test_promises_that_are_named_are_required_and_the_ladder_is_not(
    least, overrides, asked, required
):
    promised = read_recipe(least, overrides).calibration
    assert (promised.asked, promised.required) == (asked, required)


def test_the_default_recipe_promises_what_each_family_supports():
    promised = read_recipe(DEFAULT).calibration
    assert promised.required == ()
    assert promised.asked == LADDER
    pooled = [source for family in promised.families.values() for source in family]
    shares = read_recipe(DEFAULT).data.shares
    assert set(pooled) <= set(shares)
    assert len(promised.families) == 7


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("calibration.conditions=['jpg-60']", "'jpeg-60'"),
        ("export.conditions=['clean', 'resize-05']", "'resize-0.5'"),
    ],
)
def test_names_of_tables_are_checked_before_anything_is_trained(least, override, nearest):
    with pytest.raises(RecipeError, match=f"did you mean {nearest}"):
        read_recipe(least, (override,))


class TestOverrides:
    @pytest.mark.parametrize(
        ("override", "value"),
        [
            ("schedule.steps=7", 7),
            (" schedule.steps = 7", 7),
            ("schedule.steps=1_000", 1000),
        ],
    )
    def test_numbers(self, least, override, value):
        assert read_recipe(least, (override,)).schedule.steps == value

    def test_text_needs_no_quotes_and_may_have_them(self, least):
        name = "inception_resnet_v1"
        for written in (name, f"'{name}'", f'"{name}"'):
            assert read_recipe(least, (f"network.name={written}",)).network.name == name

    @pytest.mark.parametrize("version", ["2.0", "1.10", "3", "2026-11-22", "true", "'2.0'"])
    def test_text_may_look_like_something_else(self, least, version):
        recipe = read_recipe(least, ("export.notes=['x']", f"export.version= {version}"))
        assert recipe.export.version == version.strip("'")

    def test_a_number_in_the_file_is_no_text(self, least):
        least.write_text(LEAST.replace('version = "1"', "version = 1"), encoding="utf-8")
        with pytest.raises(RecipeError, match=r"export\.version: Input should be a valid string"):
            read_recipe(least, ("schedule.steps=3",))

    def test_a_value_may_hold_an_equals_sign(self, least):
        assert read_recipe(least, ("export.command=a=b",)).export.command == "a=b"

    def test_arrays_and_tables(self, least):
        recipe = read_recipe(
            least, ("calibration.conditions=['clean']", "network.head={ hidden = 8 }")
        )
        assert recipe.calibration.conditions == ("clean",)
        assert recipe.network.head.hidden == 8

    def test_the_last_one_counts(self, least):
        recipe = read_recipe(least, ("schedule.steps=7", "schedule.steps=8"))
        assert recipe.schedule.steps == 8

    def test_a_share_can_be_changed_and_added(self):
        recipe = read_recipe(DEFAULT, ("data.shares.sdfd=0.4", "data.shares.more=0.6"))
        assert recipe.data.shares["sdfd"] == 0.4
        assert recipe.data.shares["more"] == 0.6

    def test_a_file_is_not_changed(self, least):
        read_recipe(least, ("schedule.steps=7",))
        assert least.read_text(encoding="utf-8") == LEAST

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("schedule.steps", "write it as section.key=value"),
            ("seed.deep.er=3", "'seed' is no section"),
            ("export.name.x=3", "'name' is no section"),
        ],
    )
    def test_what_is_no_override_is_refused(self, least, override, message):
        with pytest.raises(RecipeError) as refused:
            read_recipe(least, ("seed=1", override))
        assert str(refused.value) == f"--set {override}: {message}"


@pytest.mark.parametrize("content", [b"= 3", b"\xff\xfe", b"a = 1\na = 2"])
def test_what_is_no_toml_is_refused(tmp_path, content):
    (tmp_path / "r.toml").write_bytes(content)
    with pytest.raises(RecipeError, match=r"r\.toml cannot be read as a recipe"):
        read_recipe(tmp_path / "r.toml")


def test_a_byte_order_mark_is_no_part_of_a_recipe(tmp_path):
    (tmp_path / "r.toml").write_text(LEAST, encoding="utf-8-sig")
    assert read_recipe(tmp_path / "r.toml").export.name == "mine"
    (tmp_path / "r.toml").write_text(LEAST, encoding="utf-16")
    with pytest.raises(RecipeError, match="it is UTF-16, and must be UTF-8: save it as UTF-8"):
        read_recipe(tmp_path / "r.toml")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="cannot be read as a recipe"):
        read_recipe(tmp_path / "none.toml")


@pytest.mark.parametrize("key", ["sources.mine={ layout = 'utkface' }", "root=raw", "split_seed=1"])
def test_a_key_of_the_old_preparation_names_its_successor(least, key):
    with pytest.raises(RecipeError) as refused:
        read_recipe(least, (f"data.{key}", "sched.steps=1"))
    name = key.split("=")[0].split(".")[0]
    assert str(refused.value) == (
        f"{least}: data.{name} is not a key any more: run `faceproof data import`, `split`, "
        "`prepare`, and name the folder as data.prepared"
    )


def test_shares_need_a_section_that_reads_them(least):
    with pytest.raises(RecipeError, match=r"data\.shares needs a section \[resolution\]"):
        read_recipe(least, ("data.shares.mine=1.0",))
    recipe = read_recipe(least, ("data.shares.mine=1.0", "resolution.widest=300"))
    assert recipe.data.shares == {"mine": 1.0}


#: Tables whose keys are names of sources, forgeries or splits.
FREE_TABLES = (
    ("data", "shares"),
    ("resolution", "own_width"),
    ("calibration", "families"),
)


def test_a_misspelt_key_can_be_led_to_every_key_of_the_default_recipe():
    content = tomllib.loads(DEFAULT.read_text(encoding="utf-8"))
    for section, table in FREE_TABLES:
        content[section][table] = {}
    content["made"] = {}

    def used(section: dict, place: str = "") -> Iterator[str]:
        for name, value in section.items():
            yield f"{place}{name}"
            yield from used(value, f"{place}{name}.") if isinstance(value, dict) else ()

    assert set(used(content)) <= set(_keys(Recipe))


def test_a_recipe_trains_on_a_prepared_folder():
    recipe = read_recipe(EXAMPLES / "own-data.toml")
    assert recipe.data.shares == {}
    assert recipe.data.prepared == Path("prepared")


def test_the_example_asks_no_more_than_four_hundred_pictures_support():
    """200 of each class, split as `faceproof data split` does: 140, 12, 24 and 24 of each."""
    recipe = read_recipe(EXAMPLES / "own-data.toml")
    counts = {"train": 140, "validation": 12, "calibration": 24, "test": 24}
    rows = [
        Row(
            f"{split}{n}{kind}",
            label,
            kind,
            "s",
            f"{split}{n}{kind}",
            sha256(f"{split}{n}{kind}".encode()).hexdigest(),
            split,
        )
        for split, count in counts.items()
        for n in range(count)
        for label, kind in (("real", "none"), ("fake", "gan"))
    ]
    refuse_poor_data(recipe, Manifest(tuple(rows)))
    pytest.importorskip("torch")
    from faceproof.training.optimizers import epochs_to_steps

    steps = epochs_to_steps(recipe, 280).schedule
    assert steps.warmup_steps + steps.head_first_steps < steps.steps < 250
    assert steps.validate_steps <= steps.steps / 3


def test_the_example_starts_from_the_shipped_detector_without_a_connection():
    """Network, head and crop are those of the shipped detector, so that all of it is loaded."""
    recipe, shipped = read_recipe(EXAMPLES / "own-data.toml"), Bundle.read(locate("default")).spec
    assert recipe.network.starting_weights == "default"
    assert start_notes(recipe.network.preprocessing.crop, "default") == []
    assert (recipe.network.name, recipe.network.head) == (
        shipped.members[0].network,
        shipped.members[0].head,
    )


def test_a_crop_unlike_the_shipped_detectors_is_told():
    (told,) = start_notes(CropSpec(size=224), "default")
    assert "size 224 against 160" in told


def test_a_replaced_detector_is_compared_by_family(tmp_path):
    recipe = read_recipe(DEFAULT)
    assert recipe.export.replaces == "default"
    with pytest.raises(RecipeError, match=r"compares families: add calibration\.families"):
        read_recipe(DEFAULT, ("calibration.families={}",))
