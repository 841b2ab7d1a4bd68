"""The round trip, and the autoencoder files that are taken and refused."""

import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import load_file, save_file  # noqa: E402

from faceproof.errors import SourceNotFoundError, TrainingError  # noqa: E402
from faceproof.training.forging.autoencoder import (  # noqa: E402
    LATENT_NOISE,
    convert_taesd,
    load_autoencoder,
    round_trip,
)
from faceproof.training.forging.tiny_autoencoder import TinyAutoencoder  # noqa: E402
from support.forging import picture, small_autoencoder  # noqa: E402

pytestmark = pytest.mark.train


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def file(tmp_path):
    """An autoencoder with random weights as a safetensors file."""
    path = tmp_path / "small.safetensors"
    save_file(small_autoencoder().state_dict(), path)
    return path


class Plain(torch.nn.Module):
    """An autoencoder whose latents are means of 8 x 8 pixels; it notes what it is given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen, self.latents = [], []

    def encode(self, pictures):
        self.seen.append(pictures)
        return torch.nn.functional.avg_pool2d(pictures, 8)

    def decode(self, latents):
        self.latents.append(latents)
        return torch.nn.functional.interpolate(latents, scale_factor=8).clamp(0, 1)


class TestRoundTrip:
    def test_equal_seeds_give_equal_bytes_and_others_give_others(self, file):
        autoencoder = load_autoencoder(file)
        trips = [round_trip(picture(1), autoencoder, rng(seed)) for seed in (3, 3, 4)]
        assert np.array_equal(trips[0], trips[1])
        assert not np.array_equal(trips[0], trips[2])

    @pytest.mark.parametrize("size", [(1, 1), (3, 50), (8, 8), (63, 65), (120, 161)])
    def test_any_size_comes_back_in_its_own_shape(self, file, size):
        before = picture(2, *size)
        after = round_trip(before, load_autoencoder(file), rng())
        assert (after.shape, after.dtype) == ((*size, 3), np.uint8)
        assert after.flags.c_contiguous
        assert np.array_equal(before, picture(2, *size))

    def test_the_picture_is_padded_by_reflection_and_scaled_to_one(self):
        plain, before = Plain(), picture(1, 13, 22)
        round_trip(before, plain, rng())
        (seen,) = plain.seen
        assert (tuple(seen.shape), seen.dtype) == ((1, 3, 16, 24), torch.float32)
        levels = (seen[0].permute(1, 2, 0) * 255).round().numpy().astype(np.uint8)
        assert np.array_equal(levels[:13, :22], before)
        assert np.array_equal(levels[13:16, :22], before[11:8:-1])
        assert np.array_equal(levels[:13, 22:], before[:, 20:18:-1])

    def test_the_colours_come_back_in_their_order(self):
        red = np.zeros((16, 16, 3), np.uint8)
        red[..., 0] = 200
        assert np.array_equal(round_trip(red, Plain(), rng(), latent_noise=(0, 0)), red)

    @pytest.mark.parametrize("sigma", [0.0, 0.05, 0.1])
    def test_the_noise_on_the_latents_has_the_deviation_asked_for(self, sigma):
        plain, grey = Plain(), np.full((512, 512, 3), 128, np.uint8)
        round_trip(grey, plain, rng(), latent_noise=(sigma, sigma))
        deviation = float((plain.latents[0] - 128 / 255).std(correction=0))
        assert deviation == pytest.approx(sigma, rel=0.05, abs=1e-6)

    def test_the_deviation_is_drawn_from_the_range(self):
        plain, grey = Plain(), np.full((256, 256, 3), 128, np.uint8)
        for seed in range(60):
            round_trip(grey, plain, rng(seed))
        drawn = [float(latents.std()) for latents in plain.latents]
        assert LATENT_NOISE == (0.0, 0.1)
        assert min(drawn) < 0.02
        assert 0.08 < max(drawn) < 0.11

    def test_nothing_is_learned(self, file):
        autoencoder = load_autoencoder(file)
        assert not any(one.requires_grad for one in autoencoder.parameters())
        assert not autoencoder.training


class TestNetwork:
    def test_its_tensors_are_those_of_the_published_one(self):
        """Counts and shapes of `taef2_encoder.pth` and `taef2_decoder.pth`."""
        state = TinyAutoencoder().state_dict()
        assert len(state) == 158
        assert sum(tensor.numel() for tensor in state.values()) == 2_677_027
        shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
        assert shapes["encoder.2.weight"] == (64, 64, 3, 3)
        assert shapes["encoder.11.pool.1.bias"] == (256,)
        assert shapes["encoder.14.weight"] == (32, 64, 3, 3)
        assert shapes["decoder.1.weight"] == (64, 32, 3, 3)
        assert shapes["decoder.5.pool.3.weight"] == (64, 256, 1, 1)
        assert shapes["decoder.19.bias"] == (3,)
        assert not {"encoder.2.bias", "decoder.7.bias", "decoder.8.pool.0.weight"} & set(shapes)

    def test_a_side_is_eight_times_as_long_as_its_latents(self):
        network = small_autoencoder().requires_grad_(requires_grad=False)
        pictures = torch.rand(2, 3, 24, 40)
        assert network.encode(pictures).shape == (2, 2, 3, 5)
        back = network(pictures)
        assert back.shape == pictures.shape
        assert 0 <= float(back.min()) <= float(back.max()) <= 1

    def test_the_decoder_bounds_its_latents(self):
        network = small_autoencoder()
        bounded = network.decoder[0](torch.tensor([-1e6, 0.0, 0.1, 1e6]))
        assert bounded.tolist() == pytest.approx([-3, 0, 0.1, 3], abs=1e-4)


class TestFiles:
    @pytest.mark.parametrize("has_norm", [True, False])
    def test_size_and_kind_are_read_from_the_file(self, tmp_path, has_norm):
        wanted = small_autoencoder(has_norm=has_norm)
        path = tmp_path / "one.safetensors"
        save_file(wanted.state_dict(), path)
        pictures = torch.rand(1, 3, 16, 16)
        assert torch.equal(load_autoencoder(path)(pictures), wanted(pictures))

    def test_half_precision_is_loaded_as_float32(self, tmp_path):
        path = tmp_path / "half.safetensors"
        save_file({k: v.half() for k, v in small_autoencoder().state_dict().items()}, path)
        assert {one.dtype for one in load_autoencoder(path).parameters()} == {torch.float32}

    def test_two_published_halves_become_one_file(self, tmp_path):
        wanted = small_autoencoder().half()
        for half in ("encoder", "decoder"):
            torch.save(getattr(wanted, half).state_dict(), tmp_path / f"{half}.pth")
        output = tmp_path / "new" / "both.safetensors"
        arguments = (tmp_path / "encoder.pth", tmp_path / "decoder.pth", output)
        assert convert_taesd(*arguments) == output
        first = output.read_bytes()
        assert convert_taesd(*arguments).read_bytes() == first
        found = load_file(output)
        assert {tensor.dtype for tensor in found.values()} == {torch.float16}
        assert all(torch.equal(found[k], v) for k, v in wanted.state_dict().items())

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(SourceNotFoundError, match=r"nowhere\.safetensors"):
            load_autoencoder(tmp_path / "nowhere.safetensors")
        with pytest.raises(SourceNotFoundError, match=r"encoder at .*nowhere\.pth"):
            convert_taesd(tmp_path / "nowhere.pth", tmp_path / "b.pth", tmp_path / "out")

    @pytest.mark.parametrize(
        ("spoil", "expected"),
        [
            (lambda s: s.pop("decoder.19.bias"), "1 missing (decoder.19.bias)"),
            (lambda s: s.pop("encoder.0.weight"), "1 missing (encoder.0.weight)"),
            (lambda s: s.update(extra=torch.zeros(1)), "1 unknown (extra)"),
            (
                lambda s: s.update({"encoder.0.bias": torch.zeros(7)}),
                "1 of another shape (encoder.0.bias)",
            ),
            (
                lambda s: s.update({"encoder.0.bias": torch.full((4,), torch.nan)}),
                "1 not finite (encoder.0.bias)",
            ),
            (
                lambda s: s.update({"decoder.1.weight": torch.zeros(4)}),
                "of another shape (encoder.0.weight, decoder.1.weight)",
            ),
            (
                lambda s: s.update({"decoder.1.weight": torch.zeros(5, 2, 3, 3)}),
                "of another shape (encoder.0.weight, decoder.1.weight)",
            ),
            (
                lambda s: s.update({"decoder.1.weight": torch.zeros(4, 0, 3, 3)}),
                "of another shape (encoder.0.weight, decoder.1.weight)",
            ),
        ],
    )
    def test_weights_that_do_not_fit_are_refused(self, file, spoil, expected):
        state = load_file(file)
        spoil(state)
        save_file(state, file)
        with pytest.raises(TrainingError, match=re.escape(expected)) as caught:
            load_autoencoder(file)
        assert "\n" not in str(caught.value)

    def test_a_damaged_file_is_refused(self, file):
        file.write_bytes(file.read_bytes()[:-10])
        with pytest.raises(TrainingError, match="damaged"):
            load_autoencoder(file)

    def test_files_that_hold_code_are_refused(self, tmp_path):
        for half in ("encoder", "decoder"):
            torch.save(small_autoencoder(), tmp_path / f"{half}.pth")
        output = tmp_path / "out.safetensors"
        with pytest.raises(TrainingError, match="could run code"):
            convert_taesd(tmp_path / "encoder.pth", tmp_path / "decoder.pth", output)
        assert not output.exists()

    def test_halves_in_the_wrong_order_are_refused_and_nothing_is_written(self, tmp_path):
        for half in ("encoder", "decoder"):
            state = getattr(small_autoencoder(), half).state_dict()
            torch.save(state, tmp_path / f"{half}.pth")
        output = tmp_path / "out.safetensors"
        with pytest.raises(TrainingError, match="does not fit"):
            convert_taesd(tmp_path / "decoder.pth", tmp_path / "encoder.pth", output)
        assert not output.exists()
