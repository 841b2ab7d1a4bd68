"""A manifest that was written and read again is the same, whatever its text holds."""

from __future__ import annotations

import hashlib
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faceproof.data.manifest import CONTRACT, FACTS, SPLITS, Manifest, Row
from faceproof.data.manifest_files import merge, read_manifest, write_manifest

# What no text file can carry: halves of characters, and the zero byte.
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
filled = text.filter(bool)
part = st.text(string.ascii_letters + "äé ,;'\"-_", min_size=1, max_size=8)
names = part.filter(lambda name: name not in {*CONTRACT, *FACTS})


@st.composite
def rows(draw: st.DrawFn) -> tuple[Row, ...]:
    """Return rows of distinct pictures, each group in one split."""
    attributes = draw(st.lists(names, max_size=3, unique=True))
    splits = draw(st.dictionaries(filled, st.sampled_from(["", *SPLITS]), min_size=1, max_size=4))
    made = []
    for number in range(draw(st.integers(0, 6))):
        group = draw(st.sampled_from(sorted(splits)))
        generator = draw(st.sampled_from(["none", "stylegan2", "a,b"]))
        made.append(
            Row(
                path="/".join(draw(st.lists(part, min_size=1, max_size=3))),
                label="real" if generator == "none" else "fake",
                generator=generator,
                source=draw(filled),
                group=group,
                sha256=hashlib.sha256(bytes([number])).hexdigest(),
                split=splits[group],
                attributes={name: value for name in attributes if (value := draw(text))},
            )
        )
    return tuple(made)


@pytest.mark.parametrize("name", ["m.csv", "m.parquet"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(made=rows())
def test_written_and_read_is_the_same(tmp_path: Path, name: str, made: tuple[Row, ...]):
    write_manifest(Manifest(made), tmp_path / name)
    again = read_manifest(tmp_path / name)
    assert again.rows == made
    assert [row.attributes for row in again.rows] == [row.attributes for row in made]
    assert again.sha256 == Manifest(made).sha256


@settings(deadline=None)
@given(made=rows(), cut=st.integers(0, 6))
def test_parts_make_the_whole_again(made: tuple[Row, ...], cut: int):
    root = Path("pictures")
    whole = Manifest(dict.fromkeys(made), root=root)
    parts = [Manifest(whole.rows[:cut], root=root), Manifest(whole.rows[cut:], root=root)]
    merged = merge(parts)
    assert merged.rows == whole.rows
    assert merged.sha256 == whole.sha256
