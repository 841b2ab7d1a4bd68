"""Which networks have heat maps, and what becomes of those that have none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from faceproof import export  # noqa: E402
from faceproof.detector import Bundle, Detector, DetectorSpec, write_bundle  # noqa: E402
from faceproof.detector.scorers import OnnxScorer, RunOptions, TorchScorer  # noqa: E402
from faceproof.errors import ExportError, NoHeatMapError  # noqa: E402
from faceproof.imaging.preprocessing import CropSpec, Preprocessing  # noqa: E402
from faceproof.networks import HeadSpec, build, gradcam  # noqa: E402
from faceproof.networks.gradcam import SLOPES  # noqa: E402

HEAD = HeadSpec(hidden=8)
SIDE = 64
SPEC = Preprocessing(crop=CropSpec(size=SIDE))


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return build("resnet10t", head=HEAD)


def layers() -> dict[type[torch.nn.Module], torch.nn.Module]:
    """Return a layer of each kind in `SLOPES`, from 6 numbers, with weights that were drawn."""
    torch.manual_seed(3)
    norm = torch.nn.BatchNorm1d(6)
    norm.running_var.uniform_(0.2, 2)
    made = [
        *(torch.nn.Identity(), torch.nn.Dropout(0.5), torch.nn.Flatten(), torch.nn.Linear(6, 4)),
        *(torch.nn.Conv2d(6, 4, 1), norm, torch.nn.ReLU(inplace=True)),
        *(torch.nn.Hardswish(), torch.nn.LayerNorm(6)),
    ]
    for layer in made:
        for parameter in layer.parameters():
            torch.nn.init.normal_(parameter)
    return {type(layer): layer.eval() for layer in made}


@pytest.mark.parametrize("kind", SLOPES, ids=lambda kind: kind.__name__)
def test_each_slope_is_autograds(kind: type[torch.nn.Module]) -> None:
    layer = layers()[kind]
    x = 3 * torch.randn(50, 6, 1, 1) if kind is torch.nn.Conv2d else 3 * torch.randn(50, 6)
    x.requires_grad_()
    y = layer(x.clone())
    down = torch.randn_like(y)
    (theirs,) = torch.autograd.grad((y * down).sum(), x)
    ours = SLOPES[kind](gradcam._Step(layer, x, y), down.flatten(1))
    assert torch.allclose(ours, theirs.flatten(1), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "side"),
    [("vit_tiny_patch16_224", 224), ("swin_tiny_patch4_window7_224", 224), ("vgg11", 64)],
)
def test_networks_without_a_mean_of_a_feature_map_have_none(name: str, side: int) -> None:
    """A swin averages, but over a map whose channels come last: its cells would be taken amiss."""
    assert gradcam.add_heatmaps(build(name, head=HEAD), side=side) is None


def test_parts_that_are_not_the_network_are_not_believed(network: torch.nn.Module) -> None:
    assert gradcam.add_heatmaps(network, side=SIDE) is not None
    plain = network.backbone.forward_features
    network.backbone.forward_features = lambda x: 1.1 * plain(x)
    network.backbone.forward = lambda x: network.backbone.global_pool(plain(x))
    assert gradcam.add_heatmaps(network, side=SIDE) is None


def test_a_layer_without_a_known_slope_gives_no_map(network: torch.nn.Module) -> None:
    network.head.relu = torch.nn.GELU()
    assert gradcam.add_heatmaps(network, side=SIDE) is None


def test_pooling_by_the_maximum_gives_no_map(network: torch.nn.Module) -> None:
    network.backbone.global_pool = torch.nn.Sequential(
        torch.nn.AdaptiveMaxPool2d(1), torch.nn.Flatten()
    )
    assert gradcam.add_heatmaps(network, side=SIDE) is None


def test_the_network_stays_as_it_was(network: torch.nn.Module) -> None:
    network.train()
    network.backbone.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    whole = gradcam.add_heatmaps(network, side=SIDE)
    assert network.training
    assert not network.backbone.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert list(whole.state_dict()) == list(before)


def test_a_bundle_without_maps_says_so(
    tmp_path: Path, tiny_spec: DetectorSpec, network: torch.nn.Module
) -> None:
    network.head.relu = torch.nn.GELU()
    member, files = export.make_member(network, SPEC, name="m", backbone="resnet10t", head=HEAD)
    whole = tiny_spec.model_copy(update={"members": (member,), "preprocessing": SPEC, "card": None})
    detector = Detector.load(write_bundle(tmp_path / "gelu", whole, files).folder)
    assert member.onnx.heatmap is None
    with pytest.raises(NoHeatMapError, match=r"m\.onnx has no heat maps: .*transformers do not"):
        detector.explain(np.zeros((1, 3, SIDE, SIDE), np.float32))


def test_a_bundle_from_before_heat_maps_gets_them_by_export(
    tmp_path: Path, tiny_spec: DetectorSpec, network: torch.nn.Module
) -> None:
    """The old file is the new one without its second output: its logits stay the same bits."""
    onnx = pytest.importorskip("onnx")
    member, files = export.make_member(network, SPEC, name="m", backbone="resnet10t", head=HEAD)
    assert member.onnx.heatmap == "grad-cam"
    model = onnx.load_from_string(files["m.onnx"])
    del model.graph.output[1:]
    files["m.onnx"] = model.SerializeToString()
    old = member.model_copy(update={"onnx": member.onnx.model_copy(update={"heatmap": None})})
    spec = tiny_spec.model_copy(update={"members": (old,), "preprocessing": SPEC, "card": None})
    bundle = write_bundle(tmp_path / "old", spec, files)
    new = export.export_bundle(bundle, tmp_path / "new")
    assert new.spec.members[0].onnx.heatmap == "grad-cam"
    inputs = export.export_probe_inputs(SPEC, 9)
    before, after = Detector.load(bundle.folder), Detector.load(new.folder)
    assert np.array_equal(before.logits(inputs), after.explain(inputs).logits)
    assert Bundle.read(tmp_path / "new").spec.members[0].onnx.heatmap == "grad-cam"


def test_another_map_is_refused(network: torch.nn.Module) -> None:
    """The logit is right, but the second output is the map of another head."""
    ready = export._round_to_stored(network)
    whole = gradcam.add_heatmaps(ready, side=SIDE)
    forward = whole.forward
    whole.forward = lambda pictures: (forward(pictures)[0], 1.01 * forward(pictures)[1])
    data = export._halve_weights(export._export_with_torch(whole, SIDE, ["logit", "heatmap"]))
    with pytest.raises(ExportError, match=r"heat maps of the exported network differ in \d+ of 64"):
        export.verify_export(ready, data, SPEC)


def test_runtimes_agree_that_there_is_none(network: torch.nn.Module) -> None:
    network.head.relu = torch.nn.GELU()
    data = export.export_onnx(network, SPEC)
    onnx = OnnxScorer(data, name="gelu.onnx", options=RunOptions())
    assert not onnx.has_maps
    for scorer in (onnx, TorchScorer(network, options=RunOptions())):
        with pytest.raises(NoHeatMapError):
            scorer.explain(np.zeros((1, 3, SIDE, SIDE), np.float32))
