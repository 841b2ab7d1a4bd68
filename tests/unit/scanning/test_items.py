"""What makes a picture the same one, and the index of those that were seen."""

import os

import pytest

from faceproof.scanning.items import Item, SeenIndex


def test_the_identity_is_of_name_size_and_time(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"abc")
    os.utime(path, ns=(1, 5_000_000_000))
    first = Item.from_file(str(path)).identify()
    assert (first.size, first.modified_ns) == (3, 5_000_000_000)
    assert Item.from_file(str(path)).identify() == first
    os.utime(path, ns=(1, 5_000_000_001))
    touched = Item.from_file(str(path)).identify()
    path.write_bytes(b"abcd")
    os.utime(path, ns=(1, 5_000_000_000))
    longer = Item.from_file(str(path)).identify()
    other = Item.from_file(str(tmp_path / "b.jpg")).identify()
    assert len({item.identity for item in (first, touched, longer, other)}) == 4


def test_two_names_that_print_alike_are_two_pictures():
    """A name need not be Unicode; what is printed for it may be the name of another file."""
    one, other = Item("caf\\xe9", "caf\udce9").identify(), Item("caf\\xe9", "caf\\xe9").identify()
    assert one.identity != other.identity


def test_by_content_the_name_does_not_matter():
    one, other = Item("a", "a"), Item("b", "b", size=3, modified_ns=7)
    assert one.identify_by_content(b"x").identity == other.identify_by_content(b"x").identity
    assert one.identify_by_content(b"x").identity != one.identify_by_content(b"y").identity


def test_the_index_knows_what_it_was_given_and_what_was_added():
    known, new = Item("a", "a").identify().identity, Item("b", "b").identify().identity
    index = SeenIndex([[known], [known]])
    assert known in index
    assert new not in index
    assert not index.add(known)
    assert index.add(new)
    assert not index.add(new)
    assert new in index
    index.close()


@pytest.mark.parametrize("size", [0, 2**20 - 1, 2**20, 5 * 2**20])
def test_bytes_that_are_carried_weigh(size):
    assert Item("a", "a").weight == 1
    assert Item("a", "a", data=bytes(size)).weight == 1 + size // 2**20
