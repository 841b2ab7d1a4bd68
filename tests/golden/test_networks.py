"""Our networks answer as the public implementations do: same names, same shapes, same numbers."""

import json
import math
import runpy
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from faceproof.networks import HeadSpec, build  # noqa: E402

pytestmark = pytest.mark.train

HERE = Path(__file__).parent
FREEZER = runpy.run_path(str(HERE / "freeze_networks.py"))
FROZEN = json.loads((HERE / "networks.json").read_text())
EMBEDDINGS = FROZEN["inception_resnet_v1"]["embeddings"]


def fixed(name):
    return FREEZER["fill"](build(name).backbone)


@pytest.mark.parametrize(
    ("name", "tensors", "numbers"),
    [("densenet121", 725, 7_037_625), ("inception_resnet_v1", 714, 23_512_336)],
)
def test_names_shapes_and_counts_are_those_of_the_public_checkpoints(name, tensors, numbers):
    shapes = FREEZER["shapes"](build(name).backbone)

    assert shapes == FROZEN[name]["shapes"]
    assert list(shapes) == list(FROZEN[name]["shapes"])
    assert len(shapes) == tensors
    assert sum(math.prod(shape) for shape in shapes.values()) == numbers


def test_names_and_shapes_of_the_head():
    head = build("densenet121", head=HeadSpec(hidden=64)).head

    assert FREEZER["shapes"](head) == {
        "norm.weight": [1024],
        "norm.bias": [1024],
        "norm.running_mean": [1024],
        "norm.running_var": [1024],
        "norm.num_batches_tracked": [],
        "dense.weight": [64, 1024],
        "dense.bias": [64],
        "logit.weight": [1, 64],
        "logit.bias": [1],
    }


@pytest.fixture(scope="module")
def inception():
    return fixed("inception_resnet_v1")


@pytest.mark.parametrize("size", EMBEDDINGS)
def test_embeddings_are_those_of_facenet_pytorch(inception, size):
    pictures = FREEZER["fixed_pictures"](*map(int, size.split("x")))

    with torch.no_grad():
        bottleneck = inception(torch.from_numpy(pictures))
    embeddings = torch.nn.functional.normalize(bottleneck, dim=1)

    expected = torch.tensor(EMBEDDINGS[size])
    # An epsilon of 1e-5 instead of 1e-3 in the last batch norm alone would show as 2e-5.
    torch.testing.assert_close(embeddings, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(3))


def test_features_are_those_of_torchvisions_densenet121():
    pictures = torch.from_numpy(FREEZER["fixed_pictures"](64, 64))

    with torch.no_grad():
        features = fixed("densenet121")(pictures).mean((2, 3))

    expected = torch.tensor(FROZEN["densenet121"]["features"])
    torch.testing.assert_close(features, expected, atol=1e-4, rtol=1e-4)
