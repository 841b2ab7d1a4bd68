"""Score files of other tools: what is read, and what is refused."""

import math

import pytest

from faceproof.errors import DataError, UsageError
from faceproof.evaluation import other_scores
from faceproof.evaluation.score_files import read_scores


def write(folder, text, encoding="utf-8"):
    path = folder / "tool.csv"
    path.write_text(text, encoding=encoding, newline="")
    return path


def test_paths_scores_and_conditions(tmp_path):
    text = "path,score,condition\r\n./a.png,0.5,\r\nb\\c.png,1e-3,jpeg-60\r\na.png,1,jpeg-60\r\n"
    found = read_scores(write(tmp_path, text, "utf-8-sig"))
    assert found.scores == {
        ("a.png", "clean"): 0.5,
        ("b/c.png", "jpeg-60"): 0.001,
        ("a.png", "jpeg-60"): 1.0,
    }
    assert found.without_score == 0
    assert found.are_probabilities


def test_scores_without_a_number_are_kept_and_counted(tmp_path):
    found = read_scores(write(tmp_path, "score,path\n,a\nnan,b\ninf,c\n-3.5,d\n"))
    assert found.without_score == 3
    assert math.isnan(found.scores["b", "clean"])
    assert found.scores["d", "clean"] == -3.5
    assert not found.are_probabilities


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns are missing, expected path"),
        ("path,probability\na,0.5\n", "columns are path, probability, expected"),
        ("path,score,note\na,0.5,x\n", "columns are note, path, score"),
        (
            "path,score\na,0.5\n./a,0.7\n",
            "line 3: ./a is also in line 2|line 3: a is also in line 2",
        ),
        ("path,score\na,high\n", "line 2: score 'high' is not a number"),
        ("path,score\na\n", "line 2: the number of cells differs"),
        ("path,score\na,1,2\n", "line 2: the number of cells differs"),
        ("path,score\n,1\n", "line 2: path is empty"),
    ],
)
def test_what_is_not_a_score_file_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_scores(write(tmp_path, text))


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read as a CSV"):
        read_scores(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"path,score\n\xff\xfe,1\n")
    with pytest.raises(UsageError, match=r"binary\.csv is not UTF-8 .*: save it as UTF-8"):
        read_scores(tmp_path / "binary.csv")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_a_file_in_utf16_is_named(tmp_path, encoding):
    file = write(tmp_path, "path,score\na,0.5\n", encoding)
    for read in (read_scores, lambda path: other_scores.read_scores(path, tmp_path)):
        with pytest.raises(UsageError, match=r"tool\.csv is UTF-16, and must be UTF-8"):
            read(file)
