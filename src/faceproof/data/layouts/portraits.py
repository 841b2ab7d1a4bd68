"""Sets of portraits whose names say what they show: UTKFace, LFW, CIPLab, OpenForensics."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from faceproof.data.layouts.listing import (
    Entry,
    Listed,
    ListingOptions,
    Note,
    is_video,
    refuse_unused,
    without_suffix,
)
from faceproof.data.layouts.signs import misplaced, unexpected
from faceproof.data.layouts.tree import Tree, read_tree

_UTKFACE = re.compile(r"(\d{1,3})_([01])_([0-4])_")
_GENDERS = {"0": "male", "1": "female"}
_ETHNICITIES = {"0": "white", "1": "black", "2": "asian", "3": "indian", "4": "other"}
_LFW = re.compile(r"(.+)_\d{4}$")
_CIPLAB = re.compile(r"(easy|mid|hard)_\d+_([01]{4})$")
_REGIONS = ("left_eye", "right_eye", "nose", "mouth")
#: Crops of one photograph stand side by side in the numbering of OpenForensics.
_BLOCK = 20


def utkface(source: Path, options: ListingOptions) -> Iterator[Entry]:
    """Yield UTKFace: photographs, named AGE_GENDER_RACE_DATE, at any depth; all real.

    Names with a part missing, of which the set has a few, are listed without attributes.

    Source: Zhang, Song, Qi, Age Progression/Regression by Conditional Adversarial Autoencoder,
    CVPR 2017; the meaning of the numbers is that of the set's home page.
    """
    refuse_unused(options, "utkface")
    tree = read_tree(source)
    named = {path: _UTKFACE.match(_name(path)) for path in tree.media}
    _require_most(named.values(), source, "utkface", "names like 25_0_1_20170116.jpg", tree)
    for path, found in named.items():
        if not found:
            yield Note(f"{path}: not named AGE_GENDER_RACE_DATE, so listed without attributes")
        yield _real(path, without_suffix(path), _utkface_facts(found))
    yield from tree.problems


def lfw(source: Path, options: ListingOptions) -> Iterator[Entry]:
    """Yield Labeled Faces in the Wild: Name_Surname/Name_Surname_0001.jpg; all real.

    A person is a group. The aligned versions (funneled, deep funneled) are named alike.

    Source: Huang, Ramesh, Berg, Learned-Miller, Labeled Faces in the Wild, University of
    Massachusetts, Technical Report 07-49, 2007.
    """
    refuse_unused(options, "lfw")
    tree = read_tree(source)
    named = {path: _LFW.match(without_suffix(_name(path))) for path in tree.media}
    expected = "Name_Surname/Name_Surname_0001.jpg"
    _require_most(named.values(), source, "lfw", expected, tree)
    for path, found in named.items():
        if found:
            yield _real(path, found[1], {"person": found[1]})
        else:
            yield Note(f"{path}: not named {expected}, so listed as a person of its own")
            yield _real(path, without_suffix(path), {})
    yield from tree.problems


def ciplab(source: Path, options: ListingOptions) -> Iterator[Entry]:
    """Yield CIPLab's real and fake faces: training_real and training_fake (easy_12_1110.jpg).

    Fakes were put together by hand from parts of other photographs. The word is how hard people
    found them; the digits say whether left eye, right eye, nose and mouth were replaced.

    Source: Computational Intelligence and Photography Lab, Yonsei University, Real and Fake
    Face Detection, Kaggle, 2019. The order of the digits is taken from memory: the set's page
    shows it in a picture.
    """
    refuse_unused(options, "ciplab")
    tree = read_tree(source)
    if not any(_ciplab_class(path) for path in tree.media):
        raise unexpected(source, "ciplab", "training_real and training_fake", tree)
    for path in tree.media:
        match _ciplab_class(path):
            case "training_real":
                yield _real(path, without_suffix(path), {})
            case "training_fake":
                yield from _composite(path)
            case _:
                yield misplaced(path, "below training_real or training_fake")
    yield from tree.problems


def openforensics(source: Path, options: ListingOptions) -> Iterator[Entry]:
    """Yield the crops of OpenForensics: Dataset/{Train,Validation,Test}/{Real,Fake}/real_1.jpg.

    A GAN face is blended into the photograph. The set gives no photograph's name, but crops of
    one stand side by side in the numbering, so 20 numbers are a group. Its own parts share
    pictures, so they are no splits here: they are the attribute `part`.

    Source: Le, Nguyen, Yamagishi, Echizen, OpenForensics, ICCV 2021, arXiv:2107.14480; the
    folders are those of Kaggle's "deepfake and real images".
    """
    refuse_unused(options, "openforensics")
    tree = read_tree(source)
    listed = {path: _crop(path) for path in tree.media}
    if not any(listed.values()):
        raise unexpected(source, "openforensics", "{Train,Validation}/{Real,Fake}/real_1.jpg", tree)
    yield Note("the set's Train and Validation share pictures: kept as attribute 'part', no split")
    for path, crop in listed.items():
        yield crop or misplaced(path, "{Train,Validation,Test}/{Real,Fake}/NUMBER.jpg")
    yield from tree.problems


def _name(path: str) -> str:
    """Return the last part of a path."""
    return path.rpartition("/")[2]


def _require_most(
    found: Iterable[re.Match[str] | None], source: Path, layout: str, expected: str, tree: Tree
) -> None:
    """Refuse a folder where fewer than half of the names are as the layout expects."""
    hits = [match is not None for match in found]
    if not hits or 2 * sum(hits) < len(hits):
        raise unexpected(source, layout, expected, tree)


def _real(path: str, group: str, attributes: dict[str, str]) -> Listed:
    """Return a photograph."""
    return Listed(path, "real", "none", group, attributes=attributes, video=is_video(path))


def _utkface_facts(found: re.Match[str] | None) -> dict[str, str]:
    """Return what a name of UTKFace says."""
    if not found:
        return {}
    age, gender, ethnicity = found.groups()
    return {"age": age, "gender": _GENDERS[gender], "ethnicity": _ETHNICITIES[ethnicity]}


def _ciplab_class(path: str) -> str:
    """Return the class folder of a picture, or nothing."""
    folders = PurePosixPath(path.lower()).parent.parts
    return next((name for name in folders if name in ("training_real", "training_fake")), "")


def _composite(path: str) -> Iterator[Entry]:
    """Yield a fake of CIPLab, with a note where its name says nothing."""
    about: dict[str, str] = {}
    if found := _CIPLAB.match(without_suffix(_name(path))):
        edited = [name for name, digit in zip(_REGIONS, found[2], strict=True) if digit == "1"]
        about = {"difficulty": found[1], "edited_regions": ",".join(edited)}
    else:
        yield Note(f"{path}: not named like easy_12_1110.jpg, so listed without attributes")
    group = without_suffix(path)
    yield Listed(path, "fake", "photoshop-composite", group, attributes=about)


def _crop(path: str) -> Listed | None:
    """Return a crop of OpenForensics, or nothing where the place or name is another."""
    *_, part, label, name = ("", "", *PurePosixPath(path.lower()).parts)
    number = re.search(r"\d+", name)
    known = part in {"train", "validation", "test"} and label in {"real", "fake"}
    if not (known and number):
        return None
    generator = "none" if label == "real" else "openforensics-swap"
    group = f"{part}/{label}/{int(number[0]) // _BLOCK}"
    return Listed(path, label, generator, group, attributes={"part": part})
