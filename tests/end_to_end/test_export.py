"""faceproof export: an old detector gets heat maps, and answers as before."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from typer.testing import CliRunner  # noqa: E402

from faceproof.cli import app  # noqa: E402
from faceproof.detector import Bundle, Detector, write_bundle  # noqa: E402
from faceproof.export import export_probe_inputs, make_member  # noqa: E402
from faceproof.imaging.preprocessing import CropSpec, InputSpec, Preprocessing  # noqa: E402
from faceproof.networks import build  # noqa: E402
from faceproof.networks.heads import HeadSpec  # noqa: E402

pytestmark = pytest.mark.train

NAME = "mobilenetv3_small_050"
HEAD = HeadSpec(hidden=8)
SMALL = Preprocessing(
    crop=CropSpec(size=64), input=InputSpec(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
)


@pytest.fixture
def old(tmp_path, tiny_spec):
    """A bundle whose description knows nothing of heat maps."""
    torch.manual_seed(0)
    network = build(NAME, head=HEAD)
    member, files = make_member(network, SMALL, name="small", backbone=NAME, head=HEAD)
    bare = member.model_copy(update={"onnx": member.onnx.model_copy(update={"heatmap": None})})
    spec = tiny_spec.model_copy(update={"members": (bare,), "preprocessing": SMALL, "card": None})
    return write_bundle(tmp_path / "old", spec, files).folder


def run(*words: object):
    return CliRunner().invoke(app, ["export", *map(str, words)])


def test_an_old_detector_has_heat_maps_then_and_says_the_same(old, tmp_path):
    done = run("--detector", old, "--output", tmp_path / "new")
    assert done.exit_code == 0, done.output
    assert "1 exported, 1 of them with heat maps" in done.stderr
    before, after = Detector.load(old), Detector.load(tmp_path / "new")
    after.refuse_without_maps()
    inputs = export_probe_inputs(SMALL, 8)
    assert (before.logits(inputs) == after.logits(inputs)).all()
    assert Bundle.read(tmp_path / "new").spec.members[0].onnx.heatmap == "grad-cam"


def test_what_cannot_be_done_is_told(old, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").touch()
    for words, code, output in (
        (("--detector", tmp_path / "nowhere", "-o", tmp_path / "n"), 2, "nowhere"),
        (("--detector", old, "-o", tmp_path / "other"), 1, "not part of a bundle"),
        (("--detector", old, "-o", tmp_path / "n", "--to", "onx"), 2, "onnx"),
    ):
        done = run(*words)
        assert done.exit_code == code
        assert output in done.stderr
