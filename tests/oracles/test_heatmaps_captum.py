"""Our heat maps are those of captum's Grad-CAM on the torch network, and sum to the logit."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
captum = pytest.importorskip("captum.attr")
pytestmark = pytest.mark.train

from faceproof.detector.scorers import OnnxScorer, RunOptions, TorchScorer  # noqa: E402
from faceproof.export import export_onnx, export_probe_inputs  # noqa: E402
from faceproof.imaging.preprocessing import CropSpec, Preprocessing  # noqa: E402
from faceproof.networks import HeadSpec, build  # noqa: E402
from faceproof.networks.gradcam import add_heatmaps  # noqa: E402

HIDDEN = HeadSpec(hidden=8)
LINEAR = HeadSpec(hidden=0)
# Name, head, and the layer whose output is the last feature map, as captum is told of it.
NETWORKS = [
    pytest.param("densenet121", HIDDEN, "backbone", marks=pytest.mark.slow),
    ("inception_resnet_v1", HIDDEN, "backbone.block8"),
    ("resnet10t", LINEAR, "backbone.layer4"),
    ("resnet10t", HIDDEN, "backbone.layer4"),
    ("efficientnet_lite0", HIDDEN, "backbone.bn2"),
    ("mobilenetv3_small_050", HIDDEN, "backbone.blocks"),
    ("convnext_atto", HIDDEN, "backbone.stages"),
]
SIDE = 128  # an InceptionResnetV1 has 2 x 2 cells then, the others 4 x 4
TOLERANCE = 1e-5  # of the hottest cell


def made(name: str, head: HeadSpec) -> torch.nn.Module:
    """Return a network whose every number was drawn, so that no slope is 0 or 1 by default."""
    torch.manual_seed(7)
    network = build(name, head=head).eval()
    for module in network.head.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.2, 2)
            torch.nn.init.normal_(module.weight)
            torch.nn.init.normal_(module.bias)
    return network


def pictures(side: int = SIDE) -> torch.Tensor:
    return torch.from_numpy(export_probe_inputs(Preprocessing(crop=CropSpec(size=side)), 8)[2:])


@pytest.mark.parametrize(("name", "head", "layer"), NETWORKS)
def test_the_map_is_captums(name: str, head: HeadSpec, layer: str) -> None:
    network, inputs = made(name, head), pictures()
    oracle = captum.LayerGradCam(network, network.get_submodule(layer))
    theirs = oracle.attribute(inputs, relu_attributions=False).squeeze(1).detach()
    whole = add_heatmaps(network, side=SIDE)
    with torch.no_grad():
        logits, ours = whole(inputs)
        assert torch.equal(logits, network(inputs))
    assert (ours - theirs).abs().max() <= TOLERANCE * theirs.abs().max()
    assert theirs.flatten(1).std(1).min() > 0


@pytest.mark.parametrize("head", [HIDDEN, LINEAR])
def test_the_cells_and_a_rest_that_is_no_picture_are_the_logit(head: HeadSpec) -> None:
    """The rest is the tail's answer to a feature map of nothing, its ReLUs held where they are."""
    network, inputs = made("resnet10t", head), pictures()
    layers = dict(network.head.named_children())
    with torch.no_grad():
        logits, maps = add_heatmaps(network, side=SIDE)(inputs)
        rest = layers["norm"](torch.zeros(1, layers["norm"].num_features))
        if head.hidden:
            features = network.backbone.forward_features(inputs).mean((2, 3))
            on = layers["dense"](layers["norm"](features)) > 0
            rest = layers["dense"](rest) * on
        rest = layers["logit"](rest).squeeze(1)
    assert torch.allclose(maps.sum((1, 2)) + rest, logits, atol=1e-5)
    assert maps.sum((1, 2)).abs().max() > 0.01


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050"])
def test_onnx_draws_the_map_that_torch_draws(name: str) -> None:
    network = made(name, HIDDEN)
    spec = Preprocessing(crop=CropSpec(size=SIDE))
    data = export_onnx(network, spec)
    inputs = export_probe_inputs(spec, 16)
    onnx = OnnxScorer(data, name="x.onnx", options=RunOptions())
    network.load_state_dict(
        {k: v.half().float() if v.ndim > 1 else v for k, v in network.state_dict().items()}
    )
    theirs = TorchScorer(network, options=RunOptions()).explain(inputs)
    for ours, other in zip(onnx.explain(inputs), theirs, strict=True):
        assert np.allclose(ours, other, rtol=1e-3, atol=1e-3 * np.abs(other).max())
    assert np.array_equal(onnx.explain(inputs)[0], onnx(inputs))
