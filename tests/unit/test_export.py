"""Export is refused unless torch and onnxruntime answer alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from faceproof import export  # noqa: E402
from faceproof.detector import Bundle, Detector, DetectorSpec, write_bundle  # noqa: E402
from faceproof.detector.bundle import put_weights, weights_bytes  # noqa: E402
from faceproof.detector.onnx_file import insert_weights, refuse_unsafe  # noqa: E402
from faceproof.detector.scorers import OnnxScorer, RunOptions  # noqa: E402
from faceproof.errors import BundleError, ExportError  # noqa: E402
from faceproof.imaging.preprocessing import CropSpec, Preprocessing  # noqa: E402
from faceproof.networks import HeadSpec, build  # noqa: E402

SMALL = Preprocessing(crop=CropSpec(size=32))
HEAD = HeadSpec(hidden=8)


class Small(torch.nn.Module):
    """A network with each kind of layer that matters; ``twist`` is done to its logits."""

    def __init__(
        self, twist: Callable[[torch.Tensor], torch.Tensor] = lambda logits: logits
    ) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.twist = twist
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(3, 64, 5),
            torch.nn.BatchNorm2d(64),
            torch.nn.ReLU(),
            torch.nn.Conv2d(64, 16, 3, stride=2),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
            torch.nn.Dropout(0.5),
            torch.nn.Linear(16, 1),
        )
        self.body[1].running_var.uniform_(0.01, 3)
        self.body[1].running_mean.normal_()

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.twist(self.body(pictures).squeeze(1))


def larger(network: torch.nn.Module, factor: float) -> torch.nn.Module:
    """Return the network with its last layer multiplied."""
    with torch.no_grad():
        network.body[-1].weight.mul_(factor)
    return network


def test_a_small_network_is_exported() -> None:
    data = export.export_onnx(Small(), SMALL)
    refuse_unsafe(data, "small.onnx")
    assert export.verify_export(export._round_to_stored(Small()), data, SMALL) < 1e-5


def test_export_is_the_same_each_time() -> None:
    assert export.export_onnx(Small(), SMALL) == export.export_onnx(Small(), SMALL)


def test_export_leaves_the_network_as_it_was() -> None:
    network = Small().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    export.export_onnx(network, SMALL)
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_large_weights_are_halved_and_are_those_of_the_safetensors_file() -> None:
    onnx = pytest.importorskip("onnx")
    network = Small()
    graph = onnx.load_from_string(export.export_onnx(network, SMALL)).graph
    kept = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    stored = export.round_to_stored(network.state_dict())
    for name in ("body.0.weight", "body.3.weight"):
        assert kept[f"{name}.half"].dtype == np.float16
        assert np.array_equal(kept[f"{name}.half"], stored[name].numpy())
    assert np.array_equal(kept["body.1.running_var"], stored["body.1.running_var"].numpy())


def member_of(network: torch.nn.Module) -> tuple[bytes, bytes]:
    """Return the ONNX file and the weights of a bundle's member."""
    _, files = export.make_member(
        network, SMALL, name="small", backbone="densenet121", head=HeadSpec()
    )
    return files["small.onnx"], files["small.safetensors"]


class Wide(Small):
    """A small network with a kernel that is large enough to be stored once."""

    def __init__(self) -> None:
        super().__init__()
        self.body[3] = torch.nn.Conv2d(64, 16, 9, padding=4)


def test_large_weights_are_stored_once_and_onnxruntime_finds_them(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    network = Wide()
    whole = export.export_onnx(network, SMALL)
    onnx, weights = member_of(network)
    assert len(onnx) < len(whole) - 10_000
    filled = insert_weights(
        onnx, lambda: weights, name="small.onnx", weights_name="small.safetensors"
    )
    options = RunOptions()
    inputs = export.export_probe_inputs(SMALL)
    scores = OnnxScorer(filled, name="filled", options=options)(inputs)
    assert np.array_equal(scores, OnnxScorer(whole, name="whole", options=options)(inputs))
    (tmp_path / "small.onnx").write_bytes(onnx)
    (tmp_path / "small.safetensors").write_bytes(weights)
    session = onnxruntime.InferenceSession(str(tmp_path / "small.onnx"))
    assert np.allclose(session.run(["logit"], {"pixels": inputs})[0], scores, atol=1e-5)


def test_a_reference_is_followed_into_the_weights_file_only() -> None:
    onnx, weights = member_of(Wide())

    def insert(data: bytes, read: bytes, name: str = "small.safetensors") -> bytes:
        return insert_weights(data, lambda: read, name="small.onnx", weights_name=name)

    with pytest.raises(BundleError, match="it keeps weights in another file"):
        insert(onnx, weights, "other.safetensors")
    with pytest.raises(BundleError, match=r"outside of small\.safetensors"):
        insert(onnx, weights[:-100])
    with pytest.raises(BundleError, match=r"small\.onnx is rejected"):
        insert(onnx.replace(b"offset", b"offxet").replace(b"length", b"lenxth"), weights)
    with pytest.raises(BundleError, match="it keeps weights in another file"):
        refuse_unsafe(onnx, "small.onnx")
    refuse_unsafe(insert(onnx, weights), "small.onnx")


def test_a_file_with_its_weights_inside_is_returned_as_it_is() -> None:
    def refuse() -> bytes:
        raise AssertionError("the weights are not needed")

    data = export.export_onnx(Small(), SMALL)
    assert insert_weights(data, refuse, name="x", weights_name="y") is data


@pytest.mark.parametrize("factor", [1.01, 0.99, -1.0])
def test_another_networks_answers_are_refused(factor: float) -> None:
    data = export.export_onnx(larger(Small(), 10), SMALL)
    with pytest.raises(ExportError, match=r"outputs differ at batch size 1: by [0-9.e-]+ in prob"):
        export.verify_export(larger(Small(), 10 * factor), data, SMALL)


def test_certainty_hides_no_difference() -> None:
    """Where every probability is 1 - 1e-20, only logits tell two networks apart."""
    data = export.export_onnx(Small(lambda logits: logits + 50), SMALL)
    with pytest.raises(
        ExportError, match=r"by [0-9.]+e-[0-9]{2} in probability|by 0 in probability"
    ):
        export.verify_export(Small(lambda logits: logits + 60), data, SMALL)


class Counting(Small):
    """Counts the pictures that it has seen; ``seen`` is shared by copies."""

    def __init__(self, seen: list[int]) -> None:
        super().__init__()
        self.seen = Shared(seen)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        self.seen.batches.append(len(pictures))
        return super().forward(pictures)


class Shared:
    """A list that a deep copy shares with its original."""

    def __init__(self, batches: list[int]) -> None:
        self.batches = batches

    def __deepcopy__(self, _: object) -> Shared:
        return self


@pytest.mark.parametrize("probes", [16, 64])
def test_torch_answers_each_probe_input_once_at_every_batch_size(probes: int) -> None:
    data = export.export_onnx(Small(), SMALL)
    seen: list[int] = []
    export.verify_export(export._round_to_stored(Counting(seen)), data, SMALL, probes=probes)
    assert sum(seen) == probes
    assert set(export.BATCH_SIZES) <= set(seen)


def test_onnxruntime_answers_every_probe_input_at_each_batch_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []
    run = OnnxScorer.__call__

    def counted(self: OnnxScorer, inputs: np.ndarray) -> np.ndarray:
        seen.append(len(inputs))
        return run(self, inputs)

    monkeypatch.setattr(OnnxScorer, "__call__", counted)
    export.export_onnx(Small(), SMALL, probes=16)
    assert sum(seen) == 16 * len(export.BATCH_SIZES)
    assert set(export.BATCH_SIZES) <= set(seen)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("size", [1, 7])
def test_a_network_that_looks_at_the_batch_size_is_refused(size: int) -> None:
    def twist(logits: torch.Tensor) -> torch.Tensor:
        return logits + 1 if len(logits) == size else logits

    with pytest.raises(ExportError, match=f"batch size {size}"):
        export.export_onnx(Small(twist), SMALL)


def test_an_answer_that_is_no_number_is_refused() -> None:
    with pytest.raises(ExportError):
        export.export_onnx(Small(lambda logits: logits * torch.nan), SMALL)


def test_what_torch_cannot_export_is_an_export_error() -> None:
    with pytest.raises(ExportError, match="torch cannot export"):
        export.export_onnx(Small(torch.special.bessel_j0), SMALL)


def test_varied_inputs_are_64_unlike_ones_and_always_the_same() -> None:
    inputs = export.export_probe_inputs(SMALL)
    assert inputs.shape == (64, 3, 32, 32)
    assert inputs.dtype == np.float32
    assert np.array_equal(inputs, export.export_probe_inputs(SMALL))
    flat = inputs.reshape(64, -1).std(axis=1) < 0.3
    assert 8 <= flat.sum() <= 24
    assert len({row.tobytes() for row in inputs}) >= 56
    assert inputs.min() < -2
    assert inputs.max() > 2


def test_a_member_becomes_a_bundle_and_its_export_can_be_repeated(
    tmp_path: Path, tiny_spec: DetectorSpec
) -> None:
    torch.manual_seed(0)
    network = build("mobilenetv3_small_050", head=HEAD)
    member, files = export.make_member(
        network, SMALL, name="small", backbone="mobilenetv3_small_050", head=HEAD
    )
    spec = tiny_spec.model_copy(update={"members": (member,), "preprocessing": SMALL, "card": None})
    bundle = write_bundle(tmp_path / "first", spec, files)
    assert export.verify_answers(bundle) < 1e-4
    messages: list[str] = []
    again = export.export_bundle(bundle, tmp_path / "second", progress=messages.append)
    assert messages == ["export of small: torch against onnxruntime"]
    assert again.sha256 == bundle.sha256
    inputs = export.export_probe_inputs(SMALL, 9)
    by_torch = Detector.load(bundle.folder, scorer="torch").fake_probabilities(inputs)
    assert np.allclose(Detector.load(bundle.folder).fake_probabilities(inputs), by_torch, atol=1e-4)


def test_a_bundle_whose_two_files_disagree_is_found(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_build_network", lambda member, weights: BrightTwice())
    with pytest.raises(ExportError):
        export.verify_answers(Bundle.read(tiny_bundle))


class BrightTwice(torch.nn.Module):
    """Twice what the fixture's ONNX file says."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return 8 * pictures.mean(dim=(1, 2, 3)) + 1


@pytest.mark.slow
def test_densenet121_goes_out_and_in(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build("densenet121", head=HEAD)
    data = export.export_onnx(network, SMALL)
    weights = weights_bytes(network)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert 2 * parameters < len(data) < 2.4 * parameters
    assert 2 * parameters < len(weights) < 2.4 * parameters
    put_weights(network, weights)


@pytest.mark.parametrize("shape", [(2,), (1, 1)])
def test_a_network_without_one_logit_per_picture_is_refused(shape: tuple[int, ...]) -> None:
    wrong = Small(lambda logits: logits.reshape(-1, *([1] * len(shape))).expand(-1, *shape))
    with pytest.raises(BundleError, match="float32 logits"):
        export.export_onnx(wrong, SMALL)
