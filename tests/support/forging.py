"""Pictures, faces and a small autoencoder for the tests of made fakes."""

import cv2
import numpy as np

from faceproof.imaging.preprocessing import TEMPLATE_112
from faceproof.training.forging.table import RealFace

SIZE = 224
LANDMARKS = (TEMPLATE_112 * 1.2 + 40).astype(np.float32)

#: Landmarks without a face in a picture of `SIZE`.
NO_FACE = {
    "one spot": np.full((5, 2), 50, np.float32),
    "outside, right": LANDMARKS + np.float32(5000),
    "outside, left": LANDMARKS - np.float32(5000),
    "not a number": np.full((5, 2), np.nan, np.float32),
    "infinite": np.full((5, 2), np.inf, np.float32),
    "far outside": LANDMARKS + np.float32(1e30),
    "tiny": LANDMARKS * np.float32(1e-3),
}


def picture(seed: int, height: int = SIZE, width: int = SIZE) -> np.ndarray:
    """Return smooth colours with some grain, uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 236, (8, 8, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


def real_face(seed: int, landmarks: np.ndarray = LANDMARKS) -> RealFace:
    """Return a picture with a face of a person of its own."""
    return RealFace(picture(seed), landmarks, groups=(f"person-{seed}",))


def small_autoencoder(*, has_norm: bool = True, seed: int = 0):
    """Return an untrained autoencoder of 4 channels, with weights by a seed."""
    import torch

    from faceproof.training.forging.tiny_autoencoder import TinyAutoencoder

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TinyAutoencoder(2, 4, has_norm=has_norm).eval()
