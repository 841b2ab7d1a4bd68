"""Starting weights: everything that fits, or an error that says what does not."""

import hashlib
import json
import random
import re
import threading
import time
from collections import OrderedDict

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
pytest.importorskip("safetensors")
import huggingface_hub  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from torch import nn  # noqa: E402

from faceproof.detector import Bundle  # noqa: E402
from faceproof.detector.detector import locate  # noqa: E402
from faceproof.errors import (  # noqa: E402
    BundleHashError,
    BundleSchemaError,
    SourceNotFoundError,
    TrainingError,
)
from faceproof.networks import HeadSpec, build, load_starting_weights, weights  # noqa: E402
from faceproof.networks.heads import build_head  # noqa: E402
from faceproof.networks.modules import Network  # noqa: E402
from faceproof.networks.weights import bundle_and_member  # noqa: E402

pytestmark = pytest.mark.train


def small(hidden=3):
    """A network of two layers that is saved and read in no time."""
    backbone = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 4, 3), norm=nn.BatchNorm2d(4)))
    head = build_head(HeadSpec(hidden=hidden), features=4)
    return Network(backbone, head, classifier=("classifier",))


@pytest.fixture
def state():
    return {n: torch.rand_like(t.float()) for n, t in small().backbone.state_dict().items()}


def as_read(network, state):
    own = network.state_dict()
    return all(torch.equal(own[n], t.to(own[n].dtype)) for n, t in state.items())


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_both_kinds_of_file_fill_the_backbone(tmp_path, state, suffix):
    path = tmp_path / f"plain{suffix}"
    with_head = {**state, "classifier.weight": torch.ones(2, 4), "classifier.bias": torch.ones(2)}
    save_file(with_head, path) if suffix == ".safetensors" else torch.save(with_head, path)
    network = small()
    head = {n: t.clone() for n, t in network.head.state_dict().items()}

    read = load_starting_weights(network, path)

    assert as_read(network.backbone, state)
    assert as_read(network.head, head)
    assert set(read.used) == set(state)
    assert set(read.ignored) == {"classifier.weight", "classifier.bias"}
    assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert str(read).startswith(f"plain{suffix}: 7 tensors used, left aside: classifier.")


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.module."])
def test_what_wraps_a_state_dict_is_taken_off(tmp_path, state, wrapper, prefix):
    wrapped = {wrapper: {prefix + n: t for n, t in state.items()}, "epoch": 3}
    torch.save(wrapped, tmp_path / "a.pt")
    network = small()

    load_starting_weights(network, tmp_path / "a.pt")

    assert as_read(network.backbone, state)


def test_half_precision_is_widened(tmp_path, state):
    half = {n: t.half() for n, t in state.items()}
    save_file(half, tmp_path / "a.safetensors")
    network = small()

    load_starting_weights(network, tmp_path / "a.safetensors")

    assert network.backbone.conv.weight.dtype == torch.float32
    assert as_read(network.backbone, half)


def test_a_network_of_ours_fills_the_head_too(tmp_path):
    saved, network = small(), small()
    save_file(saved.state_dict(), tmp_path / "a.safetensors")

    read = load_starting_weights(network, tmp_path / "a.safetensors")

    assert as_read(network, saved.state_dict())
    assert not read.ignored
    with pytest.raises(TrainingError, match=r"3 of another shape \(head"):
        load_starting_weights(small(hidden=9), tmp_path / "a.safetensors")


def test_the_old_dotted_names_of_densenet(tmp_path):
    source, network = build("densenet121"), build("densenet121")
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name): tensor
        for name, tensor in source.backbone.state_dict().items()
        if not name.endswith("num_batches_tracked")  # unknown to the torch of the time
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(
        {**old, "classifier.weight": torch.zeros(1000, 1024), "classifier.bias": torch.zeros(1000)},
        tmp_path / "densenet121-a639ec97.pth",
    )

    read = load_starting_weights(network, tmp_path / "densenet121-a639ec97.pth")

    assert as_read(network.backbone, source.backbone.state_dict())
    assert len(read.used) == 604
    assert read.ignored == ("classifier.weight", "classifier.bias")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"conv.weight": None}, r"1 missing \(conv.weight\)"),
        ({"extra.weight": torch.ones(1)}, r"1 unknown \(extra.weight\)"),
        ({"conv.weight": torch.ones(4, 3, 5, 5)}, r"1 of another shape \(conv.weight\)"),
        ({"norm.bias": torch.full((4,), float("nan"))}, r"1 not finite \(norm.bias\)"),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_is_loaded(tmp_path, state, change, expected):
    changed = {n: t for n, t in {**state, **change}.items() if t is not None}
    save_file(changed, tmp_path / "a.safetensors")
    network = small()
    before = {n: t.clone() for n, t in network.state_dict().items()}

    with pytest.raises(TrainingError, match=expected):
        load_starting_weights(network, tmp_path / "a.safetensors")

    assert as_read(network, before)


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_file_that_holds_code_is_refused_and_the_code_does_not_run(tmp_path):
    torch.save({"conv.weight": Evil(tmp_path / "ran")}, tmp_path / "a.pt")

    with pytest.raises(TrainingError, match="could run code"):
        load_starting_weights(small(), tmp_path / "a.pt")

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [{}, {"w": 1}, [1, 2], torch.ones(2), {1: torch.ones(2)}])
def test_a_file_without_a_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "a.pt")

    with pytest.raises(TrainingError, match="does not contain a state dict"):
        load_starting_weights(small(), tmp_path / "a.pt")


@pytest.mark.parametrize("kind", ["zip.pt", "old.pt", "a.safetensors"])
def test_damaged_files_give_our_error_and_no_other(tmp_path, state, kind):
    path = tmp_path / kind
    if kind.endswith("safetensors"):
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip.pt")
    whole, rng = path.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole[: rng.choice([len(whole), rng.randrange(len(whole))])])
        for _ in range(rng.randrange(1, 4)):
            if damaged:
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            load_starting_weights(small(), path)
        except TrainingError:
            refused += 1

    assert refused > 20


@pytest.fixture
def hub(monkeypatch):
    """A hub with an empty cache; the list takes what it does when it is asked to answer."""
    answers = []
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: None)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda *_, **__: answers.pop()())
    return answers


def test_a_name_of_timms_hub(monkeypatch, hub):
    hub.append(lambda: "metadata")
    asked = []

    def answer(origin, *, weights_only):
        asked.append((origin, weights_only))
        return build("test_resnet").backbone.state_dict()

    monkeypatch.setattr(timm.models, "load_state_dict_from_hf", answer)

    read = load_starting_weights(build("test_resnet"), "test_resnet.r160_in1k")

    assert asked == [("timm/test_resnet.r160_in1k", True)]
    assert read.source == "test_resnet.r160_in1k"
    assert len(read.sha256) == 64


def test_a_hub_that_fails_during_the_download_is_told(monkeypatch, hub):
    def no_network(*_, **__):
        raise OSError("no route to host")

    hub.append(lambda: "metadata")
    monkeypatch.setattr(timm.models, "load_state_dict_from_hf", no_network)

    with pytest.raises(TrainingError, match="check the connection"):
        load_starting_weights(build("test_resnet"), "test_resnet.r160_in1k")


@pytest.mark.parametrize("how", ["refuses", "is silent"])
def test_a_hub_out_of_reach_takes_no_longer_than_the_limit(monkeypatch, hub, how):
    def refuse():
        raise ConnectionError("name or service not known")

    ended = threading.Event()
    hub.append(refuse if how == "refuses" else lambda: ended.wait(60))
    monkeypatch.setattr(weights, "HUB_SECONDS", 0.2)
    monkeypatch.setattr(timm.models, "load_state_dict_from_hf", None)
    began = time.monotonic()
    with pytest.raises(
        TrainingError, match=r"timm/densenet121\.tv_in1k: check the conn"
    ) as refused:
        weights.download("densenet121.tv_in1k")
    ended.set()
    assert time.monotonic() - began < 5
    assert str(refused.value).endswith(
        "or start from the shipped detector: network.starting_weights = 'default' "
        "(--set network.starting_weights=default)"
    )
    assert isinstance(refused.value.__cause__, (ConnectionError, TimeoutError))


def test_the_limit_of_the_hub_is_below_five_seconds():
    assert weights.HUB_SECONDS < 5


def test_the_shipped_detector_is_offered_only_for_its_network(hub):
    hub.append(lambda: (_ for _ in ()).throw(ConnectionError))
    with pytest.raises(TrainingError, match=r"name a local \.safetensors or \.pt file$"):
        weights.download("test_resnet.r160_in1k")


def test_what_the_hub_has_cached_needs_no_connection(monkeypatch, tmp_path):
    cached = tmp_path / "model.safetensors"
    save_file(build("test_resnet").backbone.state_dict(), cached)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: str(cached))
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", None)
    assert load_starting_weights(build("test_resnet"), "test_resnet.r160_in1k").used


def test_default_is_the_shipped_detector():
    shipped = locate("default")
    assert bundle_and_member("default") == (shipped, "")
    assert bundle_and_member("default:densenet121") == (shipped, "densenet121")
    spec = Bundle.read(shipped).spec
    network = build(spec.members[0].network, head=spec.members[0].head)
    started = load_starting_weights(network, "default")
    assert started.source == f"default:{spec.members[0].name}"
    assert started.sha256 == spec.members[0].weights.sha256
    assert started.ignored == ()


@pytest.mark.parametrize("name", ["", ".", "..", "default/../default", "__pycache__", "nowhere"])
def test_no_other_name_is_a_shipped_detector(name):
    assert bundle_and_member(name) is None


def saved_bundle(folder, **networks):
    """Write so much of a detector's folder as names the weights of its members."""
    folder.mkdir()
    members = []
    for name, network in networks.items():
        path = folder / f"{name}.safetensors"
        save_file({n: t.half() if t.ndim > 1 else t for n, t in network.state_dict().items()}, path)
        file = {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        members.append({"name": name, "network": "small", "weights": file})
    spec = {"schema": "faceproof.detector/1", "members": members}
    (folder / "detector.json").write_text(json.dumps(spec), encoding="utf-8")
    return folder


def halved(network):
    return {n: t.half() if t.ndim > 1 else t for n, t in network.state_dict().items()}


class TestADetector:
    def test_it_fills_backbone_and_head(self, tmp_path):
        saved, network = small(), small()
        folder = saved_bundle(tmp_path / "mine", only=saved)

        read = load_starting_weights(network, folder)

        assert as_read(network, halved(saved))
        assert read.source == "mine:only"
        assert set(read.used) == set(network.state_dict())
        assert read.sha256 == hashlib.sha256((folder / "only.safetensors").read_bytes()).hexdigest()

    def test_a_head_of_another_size_stays_as_it_is(self, tmp_path):
        saved, network = small(), small(hidden=9)
        before = {n: t.clone() for n, t in network.head.state_dict().items()}

        read = load_starting_weights(network, saved_bundle(tmp_path / "mine", only=saved))

        kept = {n: t.half() if t.ndim > 1 else t for n, t in saved.backbone.state_dict().items()}
        assert as_read(network.backbone, kept)
        assert as_read(network.head, before)
        assert set(read.ignored) == {n for n in saved.state_dict() if n.startswith("head.")}

    def test_the_only_member_that_fits_is_taken(self, tmp_path):
        saved, network = small(), small()
        folder = saved_bundle(tmp_path / "mine", other=build("test_resnet"), ours=saved)
        assert load_starting_weights(network, folder).source == "mine:ours"
        assert as_read(network, halved(saved))

    def test_of_two_that_fit_one_is_named(self, tmp_path):
        first, second, network = small(), small(), small()
        folder = saved_bundle(tmp_path / "mine", a=first, b=second)
        with pytest.raises(TrainingError, match=r"2 of them fit.*mine:a \(small\), .*mine:b"):
            load_starting_weights(network, folder)
        assert load_starting_weights(network, f"{folder}:b").source == "mine:b"
        assert as_read(network, halved(second))

    def test_no_member_of_that_name(self, tmp_path):
        folder = saved_bundle(tmp_path / "mine", a=small())
        with pytest.raises(TrainingError, match=r"mine:a \(small\)"):
            load_starting_weights(small(), f"{folder}:z")

    def test_another_network_is_told_and_nothing_is_loaded(self, tmp_path):
        network = small()
        before = {n: t.clone() for n, t in network.state_dict().items()}
        with pytest.raises(TrainingError, match=r"mine:a does not fit the network"):
            load_starting_weights(network, saved_bundle(tmp_path / "mine", a=build("test_resnet")))
        assert as_read(network, before)

    def test_a_file_that_was_exchanged_is_refused(self, tmp_path):
        folder = saved_bundle(tmp_path / "mine", a=small())
        save_file(small().state_dict(), folder / "a.safetensors")
        with pytest.raises(BundleHashError, match="is not the file"):
            load_starting_weights(small(), folder)

    @pytest.mark.parametrize("name", ["../a.safetensors", "a.pt", "/a.safetensors"])
    def test_a_file_outside_is_never_opened(self, tmp_path, name):
        folder = saved_bundle(tmp_path / "mine", a=small())
        spec = json.loads((folder / "detector.json").read_text(encoding="utf-8"))
        spec["members"][0]["weights"]["name"] = name
        (folder / "detector.json").write_text(json.dumps(spec), encoding="utf-8")
        with pytest.raises(BundleSchemaError, match="does not name the weights"):
            load_starting_weights(small(), folder)


def test_no_such_file_is_told(tmp_path):
    with pytest.raises(SourceNotFoundError, match="no starting weights at"):
        load_starting_weights(small(), tmp_path / "none.pt")
