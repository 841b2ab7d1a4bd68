"""Freezes networks.json: what the networks of others answer, for ours to be held against.

    python tests/golden/freeze_networks.py

Run by hand in an environment of its own with timm 1.0, torchvision and facenet-pytorch 2.6.0
(`pip install --no-deps facenet-pytorch requests`, because it pins an old torch). The tests only
use `fixed_tensor` and `fixed_pictures`, which need no file of 90 MB: every weight comes from a
hash of its name, alike on every machine and in every version of every library.
"""

import hashlib
import json
import math
import re
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SIZES = ((160, 160), (99, 131), (75, 75))


def fixed_tensor(name, shape):
    """Return a float32 weight, or running statistic, that depends on its name and shape alone."""
    noise = uniform(name, shape)
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if re.search(r"running_var$|(bn|norm)\d*\.weight$", name):
        return (1 + 0.3 * noise).astype(np.float32)
    if len(shape) < 2:
        return (0.02 * noise).astype(np.float32)
    return (noise * math.sqrt(6 / math.prod(shape[1:]))).astype(np.float32)


def fixed_pictures(height, width):
    """Return float32 [3, 3, height, width] in [-1, 1]: blocks of colour, with fine noise."""
    coarse = uniform(f"coarse {height} {width}", (3, 3, 8, 8))
    tiles = np.kron(coarse, np.ones((-(-height // 8), -(-width // 8))))[..., :height, :width]
    fine = uniform(f"fine {height} {width}", tiles.shape)
    return (0.7 * tiles + 0.3 * fine).astype(np.float32)


def uniform(name, shape):
    """Return float64 numbers, even over [-1, 1), made from the SHAKE-256 hash of the name."""
    stream = hashlib.shake_256(name.encode()).digest(4 * math.prod(shape))
    return np.frombuffer(stream, "<u4").reshape(shape) / 2.0**31 - 1


def fill(network):
    """Return the network in evaluation mode with the fixed weights."""
    import torch

    state = network.state_dict()
    network.load_state_dict(
        {name: torch.from_numpy(fixed_tensor(name, tuple(t.shape))) for name, t in state.items()}
    )
    return network.eval()


def shapes(network):
    return {name: list(tensor.shape) for name, tensor in network.state_dict().items()}


def main():
    import torch
    from facenet_pytorch import InceptionResnetV1
    from torchvision.models import densenet121

    theirs = fill(InceptionResnetV1(pretrained=None))
    embeddings = {}
    with torch.no_grad():
        for height, width in SIZES:
            answer = theirs(torch.from_numpy(fixed_pictures(height, width)))
            embeddings[f"{height}x{width}"] = [
                [round(x, 7) for x in row] for row in answer.tolist()
            ]
        dense = fill(densenet121())
        pictures = torch.from_numpy(fixed_pictures(64, 64))
        features = dense.features(pictures).relu().mean((2, 3))
    dense_shapes = {n: s for n, s in shapes(dense).items() if not n.startswith("classifier.")}
    frozen = {
        "inception_resnet_v1": {"shapes": shapes(theirs), "embeddings": embeddings},
        "densenet121": {
            "shapes": dense_shapes,
            "features": [[round(x, 7) for x in row] for row in features.tolist()],
        },
    }
    (HERE / "networks.json").write_text(json.dumps(frozen, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
