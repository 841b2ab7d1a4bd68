"""PNG files with a mark: names that any file system takes, and only files of ours replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from faceproof.reports.marked_files import free_path, read_mark, safe_stem, write_marked


@pytest.mark.parametrize(
    ("source", "stem"),
    [
        ("a/b/party.jpg", "party"),
        ("..\\..\\windows\\party.JPG", "party"),
        ("https://example.org/x/%2e%2e/p?q=/etc/passwd", "passwd"),
        (".hidden", "hidden"),
        ("...", "picture"),
        ("", "picture"),
        ("<bytes>", "bytes"),
        ("zażółć.png", "za"),
        ("caf\\xe9.jpg", "xe9"),
        ("a" * 300 + ".jpg", "a" * 60),
        ("nul\0l.png", "nul_l"),
        ("-rf.png", "rf"),
        ("-", "picture"),
    ],
)
def test_names_are_safe_anywhere(source: str, stem: str) -> None:
    assert safe_stem(source) == stem


def test_only_a_file_with_the_same_mark_gives_up_its_name(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 4))
    first = free_path(tmp_path, "party", "key", "one")
    write_marked(image, first, "key", "one")
    assert (first.name, read_mark(first, "key"), read_mark(first, "other")) == (
        "party.png",
        "one",
        None,
    )
    assert free_path(tmp_path, "party", "key", "one") == first
    assert free_path(tmp_path, "party", "key", "two").name == "party-2.png"
    (tmp_path / "party-2.png").symlink_to(tmp_path / "gone")
    assert free_path(tmp_path, "party", "key", "two").name == "party-3.png"
