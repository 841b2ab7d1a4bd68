"""The *round trip*: a real face through the autoencoder of a diffusion model and back.

The decoder leaves the traces of a latent diffusion model. Content, light and file history remain
those of the real picture, so the fake matches its original in all but these traces.

Source: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022;
Ricker, Lukovnikov and Fischer, "AEROBLADE: Training-Free Detection of Latent Diffusion Images Using
Autoencoder Reconstruction Error", CVPR 2024; Rajan et al., "Aligned Datasets Improve Detection of
Latent Diffusion-Generated Images", ICLR 2025.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from faceproof.errors import SourceNotFoundError
from faceproof.networks.weights import misfit_error, read
from faceproof.outputs import atomic_write
from faceproof.tables import require

if TYPE_CHECKING:
    from torch import Tensor

    from faceproof.training.forging.tiny_autoencoder import TinyAutoencoder

Pixels = npt.NDArray[np.uint8]

LATENT_NOISE = (0.0, 0.1)
"""From where to where the standard deviation of the noise on the latents is drawn."""

_NORM = ".pool."
_FIRST_OF_ENCODER, _FIRST_OF_DECODER = "encoder.0.weight", "decoder.1.weight"


def round_trip(
    pixels: Pixels,
    autoencoder: TinyAutoencoder,
    rng: Generator,
    *,
    latent_noise: tuple[float, float] = LATENT_NOISE,
) -> Pixels:
    """Return the picture as the autoencoder gives it back, uint8 [H, W, 3] in its own shape.

    Gaussian noise is added to the latents; its standard deviation is drawn from ``latent_noise``
    (low, high), in units of the latents. A side that is not a multiple of 8 px is padded by
    reflection and cut back. The same generator state and number of threads give the same bytes.

    The work is done on the device of the autoencoder's weights.
    """
    import torch

    height, width = pixels.shape[:2]
    device = next(autoencoder.parameters()).device
    sigma = float(rng.uniform(*latent_noise))
    with torch.inference_mode():
        latents = autoencoder.encode(_to_planes(pixels).to(device))
        noise = rng.standard_normal(tuple(latents.shape), np.float32)
        decoded = autoencoder.decode(latents + torch.from_numpy(noise).to(latents) * sigma)
        levels = (decoded[0] * 255).round().to(torch.uint8).permute(1, 2, 0)
    return np.ascontiguousarray(levels.cpu().numpy()[:height, :width])


def _to_planes(pixels: Pixels) -> Tensor:
    """Return the padded picture, float32 [1, 3, 8 h, 8 w] in [0, 1]."""
    import torch

    from faceproof.training.forging.tiny_autoencoder import REDUCTION

    below, beside = (-side % REDUCTION for side in pixels.shape[:2])
    padded = np.pad(pixels, ((0, below), (0, beside), (0, 0)), mode="reflect")
    scaled = torch.from_numpy(padded.astype(np.float32) / np.float32(255))
    return scaled.permute(2, 0, 1)[None]


def load_autoencoder(path: str | Path) -> TinyAutoencoder:
    """Return the autoencoder of a safetensors file that `convert_taesd` wrote, ready for use.

    Width, latent channels and group normalisation are read from the shapes in the file.

    Raises:
        SourceNotFoundError: there is no such file.
        TrainingError: the file is damaged, or its tensors are not those of an autoencoder; the
            message names the first that are missing, unknown, of another shape or not finite.
        MissingExtraError: torch is not installed.
    """
    require("torch", "safetensors")
    path = Path(path)
    if not path.is_file():
        raise SourceNotFoundError(
            f"no autoencoder at {path}: write one with faceproof.training.forging.autoencoder."
            "convert_taesd, from the two files of github.com/madebyollin/taesd"
        )
    return _build(read(path), source=str(path))


def convert_taesd(encoder: str | Path, decoder: str | Path, output: str | Path) -> Path:
    """Write the two published ``.pth`` files as one safetensors file and return its path.

    The files are read as tensors only. Half precision remains half precision on disk.

    Raises:
        SourceNotFoundError: one of the two files is not there.
        TrainingError: a file is damaged, holds code, or is not half of such an autoencoder.
        MissingExtraError: torch is not installed.
    """
    require("torch", "safetensors")
    from safetensors.torch import save

    halves = {"encoder": Path(encoder), "decoder": Path(decoder)}
    for half, path in halves.items():
        if not path.is_file():
            raise SourceNotFoundError(f"no weights of the {half} at {path}: check the path")
    state = {
        f"{half}.{name}": tensor.contiguous()
        for half, path in halves.items()
        for name, tensor in read(path).items()
    }
    _build(state, source=f"{encoder} with {decoder}")
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(output) as file:
        file.write(save(state))
    return output


def _build(state: dict[str, Tensor], *, source: str) -> TinyAutoencoder:
    """Return an autoencoder of the tensors' size with all of them in it, float32, frozen."""
    from faceproof.training.forging.tiny_autoencoder import TinyAutoencoder

    latent_channels, width = _find_size(state, source)
    has_norm = any(_NORM in name for name in state)
    autoencoder = TinyAutoencoder(latent_channels, width, has_norm=has_norm)
    _validate(autoencoder.state_dict(), state, source)
    autoencoder.load_state_dict(state)
    return autoencoder.float().eval().requires_grad_(requires_grad=False)


def _find_size(state: dict[str, Tensor], source: str) -> tuple[int, int]:
    """Return the latent channels and the width that the first layers have."""
    missing = [name for name in (_FIRST_OF_ENCODER, _FIRST_OF_DECODER) if name not in state]
    if missing:
        raise misfit_error(source, {"missing": missing})
    first, shape = state[_FIRST_OF_ENCODER].shape, state[_FIRST_OF_DECODER].shape
    if len(shape) != 4 or len(first) != 4 or min(shape) < 1 or first[0] != shape[0]:
        raise misfit_error(source, {"of another shape": [_FIRST_OF_ENCODER, _FIRST_OF_DECODER]})
    return int(shape[1]), int(shape[0])


def _validate(wanted: dict[str, Tensor], state: dict[str, Tensor], source: str) -> None:
    """Return if names, shapes and numbers are those of the network; else raise."""
    import torch

    both = [name for name in wanted if name in state]
    faults = {
        "missing": [name for name in wanted if name not in state],
        "unknown": [name for name in state if name not in wanted],
        "of another shape": [name for name in both if wanted[name].shape != state[name].shape],
        "not finite": [name for name in both if not torch.isfinite(state[name]).all()],
    }
    if any(faults.values()):
        raise misfit_error(source, faults)
