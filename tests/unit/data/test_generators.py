"""Every entry of generators.toml, and how names are found."""

import re

import pytest
from pydantic import ValidationError

from faceproof.data.generators import (
    GENERATORS,
    Generator,
    canonical_name,
    find_known_name,
    unknown_generator_warning,
)

IN_USE = (
    *("none", "stylegan", "stylegan2", "stable-diffusion-2.1", "dfdc-swap", "openforensics-swap"),
    *("deepfakes", "face2face", "faceswap", "neuraltextures", "faceshifter", "deepfakedetection"),
    *("celeb-df-swap", "photoshop-composite"),
)


def test_there_are_many_and_all_that_layouts_use_are_among_them():
    assert len(GENERATORS) >= 45
    assert set(IN_USE) <= set(GENERATORS)


@pytest.mark.parametrize("name", GENERATORS)
class TestEveryGenerator:
    def test_is_found_by_each_of_its_spellings_and_no_other_has_them(self, name):
        entry = GENERATORS[name]
        assert entry.name == name
        for spelling in (name, name.upper(), name.replace("-", "_"), *entry.aliases):
            assert find_known_name(spelling) == name
            assert canonical_name(spelling) == name

    def test_says_where_it_is_from(self, name):
        entry = GENERATORS[name]
        assert len(entry.paper) > 10
        assert entry.licence
        for number in re.findall(r"arXiv:(\S+?)(?=[;,]|$)", entry.paper):
            assert re.fullmatch(r"\d{4}\.\d{4,5}", number)

    def test_came_out_no_earlier_than_its_paper_number_allows(self, name):
        """arXiv numbers begin with year and month; sets are described after they were made."""
        entry = GENERATORS[name]
        numbers = re.findall(r"arXiv:(\d\d)", entry.paper)
        if entry.year and numbers and entry.family in ("gan", "autoencoder"):
            assert entry.year == 2000 + int(numbers[0])

    def test_is_not_warned_of(self, name):
        assert unknown_generator_warning(name) is None


def test_only_real_photographs_have_the_family_none():
    assert [entry.name for entry in GENERATORS.values() if entry.family == "none"] == ["none"]


def test_an_unknown_name_is_told_with_the_nearest():
    output = unknown_generator_warning("stylegan-2")
    assert output is not None
    assert "did you mean 'stylegan2'" in output
    assert "did you mean" not in (unknown_generator_warning("qqqq") or "")
    assert "--generator" in (unknown_generator_warning("unknown") or "")


def test_names_that_are_not_known_are_kept_in_our_spelling():
    assert (find_known_name("Holiday"), canonical_name("My_Own GAN v2.1")) == (
        "",
        "my-own-gan-v2.1",
    )


@pytest.mark.parametrize(
    "wrong", [{"name": "Style GAN"}, {"family": "magic"}, {"year": 1815}, {"colour": "red"}]
)
def test_a_wrong_entry_is_refused(wrong):
    good = {"name": "x", "family": "gan", "year": 2020, "paper": "A paper", "licence": "MIT"}
    assert Generator(**good).aliases == ()
    with pytest.raises(ValidationError):
        Generator(**(good | wrong))


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        GENERATORS["x"] = GENERATORS["none"]
