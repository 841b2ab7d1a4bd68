"""What callers pass by mistake is named, with what to pass instead."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceproof.checker import Checker
from faceproof.detector import Detector
from faceproof.errors import UsageError


@pytest.fixture
def checker(tiny_bundle: Path) -> Checker:
    return Checker(Detector.load(tiny_bundle), faces="whole")


@pytest.fixture
def jpeg(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    Image.effect_noise((40, 40), 50).convert("RGB").save(path)
    return path


@pytest.mark.parametrize(
    ("source", "remedy"),
    [
        ("", "pass the path of a picture"),
        (b"photos/a.jpg", "pass 'photos/a.jpg' as text, or the bytes of the file"),
        (b"path", "pass 'path' as text, or the bytes of the file"),
        (bytearray(b"photos/IMG_0001"), "pass 'photos/IMG_0001' as text"),
        (memoryview("Fotos/Jörg.jpg".encode()), "pass 'Fotos/Jörg.jpg' as text"),
        (None, "of type NoneType: pass a path, bytes, a binary stream"),
        (["a.jpg"], "check_many takes a list"),
        (42, "of type int"),
    ],
)
def test_check_says_what_to_pass(checker, source, remedy):
    with pytest.raises(UsageError, match=remedy):
        checker.check(source)


@pytest.mark.parametrize(
    "sources",
    [
        "a.jpg",
        Path("a.jpg"),
        b"a.jpg",
        np.zeros((8, 8, 3), np.uint8),
        Image.new("RGB", (8, 8)),
        io.BytesIO(b"GIF89a"),
        None,
    ],
)
def test_check_many_says_what_to_pass(checker, sources):
    with pytest.raises(UsageError, match=r"takes several sources, not one \w+: pass \[source\]"):
        checker.check_many(sources)


def test_a_wrong_one_among_many_is_a_result(checker, jpeg):
    results = list(checker.check_many([str(jpeg), "", b"a.jpg", None, jpeg.read_bytes()]))
    assert [one.status for one in results] == ["ok", "error", "error", "error", "ok"]
    assert [one.error.code for one in results[1:4]] == ["usage"] * 3


def test_many_arrays_are_several(checker):
    results = checker.check_many(np.zeros((2, 8, 8, 3), np.uint8))
    assert [one.status for one in results] == ["ok", "ok"]


@pytest.mark.parametrize(
    "data", [b"", b"plain text.\n", b"GIF89a.jpeg", b"<svg/>", b'{"a": 1}', b"%PDF-1.7"]
)
def test_bytes_of_a_file_are_not_taken_for_a_path(checker, data):
    assert checker.check(data).status == "error"


def test_bytes_with_their_name_are_never_a_path(checker):
    assert checker.check(b"photos/a.jpg", name="upload").error.code == "unsupported_format"


def test_a_data_address_and_its_bytes_have_one_verdict(checker, jpeg):
    import base64

    address = f"data:image/jpeg;base64,{base64.b64encode(jpeg.read_bytes()).decode()}"
    result = checker.check(address)
    assert result.image == checker.check(str(jpeg)).image
    assert result.source.startswith("data:image/jpeg;base64,... (")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes there")
@pytest.mark.parametrize("kind", [str, Path])
def test_a_pipe_is_read(checker, jpeg, kind):
    pipe = jpeg.with_name("pipe")
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(jpeg.read_bytes(),))
    writer.start()
    result = checker.check(kind(pipe))
    writer.join()
    assert (result.status, result.source) == ("ok", str(pipe))
