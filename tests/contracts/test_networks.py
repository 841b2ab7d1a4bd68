"""What every network of the table keeps, and one of timm's beside them."""

import re
import warnings

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
pytest.importorskip("safetensors")

from safetensors.torch import load_file, save_file  # noqa: E402

from faceproof.errors import UnknownChoiceError  # noqa: E402
from faceproof.networks import NETWORKS, HeadSpec, build, input_defaults  # noqa: E402

pytestmark = pytest.mark.train

SIDE = 80


def pictures(count=4):
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", params=[*NETWORKS, "test_efficientnet"])
def name(request):
    return request.param


@pytest.fixture(scope="module")
def network(name):
    """The network with running statistics that are no longer 0 and 1."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        built = build(name, head=HeadSpec(hidden=32))
        built.train()(pictures())
    return built


@pytest.fixture
def judge(network):
    return network.eval()


def test_one_float32_logit_per_picture(judge):
    with torch.no_grad():
        logits = judge(pictures())

    assert logits.shape == (4,)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    assert len(set(logits.tolist())) == 4


def test_a_picture_is_judged_alike_alone_and_in_company(judge):
    batch = pictures()

    with torch.no_grad():
        together = judge(batch)
        alone = torch.cat([judge(batch[i : i + 1]) for i in range(4)])

    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_channels_last_changes_nothing(judge):
    with torch.no_grad():
        usual = judge(pictures(2))
        last = judge(pictures(2).to(memory_format=torch.channels_last))

    torch.testing.assert_close(usual, last, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("bf16", [False, True])
def test_gradient_reaches_every_parameter(network, bf16):
    network.train().zero_grad()
    batch = pictures().to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = network(batch)
    # Not as many of each: in bf16, equal logits would cancel to a gradient of exactly 0.
    target = torch.tensor([0.0, 1.0, 1.0, 1.0])
    torch.nn.functional.binary_cross_entropy_with_logits(logits, target).backward()

    untouched = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]

    assert untouched == []
    assert all(p.grad.isfinite().all() for p in network.parameters())


def test_state_dict_survives_safetensors(judge, name, tmp_path):
    save_file(judge.state_dict(), tmp_path / "weights.safetensors")
    again = build(name, head=HeadSpec(hidden=32)).eval()

    again.load_state_dict(load_file(tmp_path / "weights.safetensors"))

    with torch.no_grad():
        assert torch.equal(again(pictures(2)), judge(pictures(2)))


def test_onnx_answers_alike_for_every_batch_size(judge, tmp_path):
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    path = tmp_path / "network.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls this exporter old; the new one needs more
        torch.onnx.export(
            judge,
            (pictures(2),),
            path,
            dynamo=False,
            input_names=["pictures"],
            output_names=["logits"],
            dynamic_axes={"pictures": {0: "n"}, "logits": {0: "n"}},
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    for count in (1, 2, 7):
        with torch.no_grad():
            expected = judge(pictures(count))
        (logits,) = session.run(None, {"pictures": pictures(count).numpy()})
        torch.testing.assert_close(torch.from_numpy(logits), expected, atol=1e-3, rtol=1e-3)


def test_input_defaults_are_those_of_timm():
    known = timm.create_model("densenet121").default_cfg

    for name in ("densenet121", "densenet121.tv_in1k"):
        assert input_defaults(name).size == known["input_size"][1]
        assert input_defaults(name).mean == known["mean"]
        assert input_defaults(name).std == known["std"]
    assert input_defaults("vit_tiny_patch16_224").mean == (0.5, 0.5, 0.5)


def test_vggface2_input_is_pixels_less_127_5_over_128():
    size, mean, std = input_defaults("inception_resnet_v1")

    assert size == 160
    assert (255 / 255 - mean[0]) / std[0] == pytest.approx((255 - 127.5) / 128)


@pytest.mark.parametrize(
    "other", ["vit_tiny_patch16_224", "mobilenetv3_small_050", "test_convnext"]
)
def test_any_network_of_timm_by_name(other):
    side = input_defaults(other).size

    assert build(other).eval()(torch.zeros(1, 3, side, side)).shape == (1,)


@pytest.mark.parametrize("wrong", ["densenet112", "densenet121.no_such_tag", ""])
def test_an_unknown_name_is_told_with_its_neighbours(wrong):
    with pytest.raises(UnknownChoiceError, match="unknown network") as caught:
        build(wrong)

    assert "inception_resnet_v1" in str(caught.value)
    if wrong:
        assert re.search(r"nearest: [^.]*densenet121", str(caught.value))
