"""`export_onnx`: a torch network as an ONNX file, rejected if the outputs of the two differ."""

from __future__ import annotations

import copy
import io
import itertools
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from faceproof.detector.bundle import (
    Bundle,
    put_weights,
    round_to_stored,
    sha256_of,
    weights_bytes,
    write_bundle,
)
from faceproof.detector.scorers import (
    Inputs,
    Logits,
    Maps,
    OnnxScorer,
    RunOptions,
    Scorer,
    TorchScorer,
    member_onnx,
    usable_cores,
)
from faceproof.detector.spec import Member, OnnxFile, WeightsFile
from faceproof.errors import ExportError
from faceproof.imaging.preprocessing import Preprocessing, network_input
from faceproof.messages import ignore_message, show_clock
from faceproof.networks import build
from faceproof.networks.heads import HeadSpec
from faceproof.statistics import sigmoid
from faceproof.tables import require

if TYPE_CHECKING:
    from torch import nn


_OPSET = 17
TOLERANCE = 1e-4
_MAP_TOLERANCE = 1e-3  # of the hottest cell
_CORNERS = 0.05  # of the pictures
BATCH_SIZES = (1, 2, 7)
PROBES = 64
_HALF_FROM = 4096  # elements; for smaller tensors a cast costs more time than it saves space


def export_onnx(network: nn.Module, preprocessing: Preprocessing, *, probes: int = PROBES) -> bytes:
    """Return the network as an ONNX file with the weights that `save_weights` stores, verified.

    ``probes`` is the number of probe inputs that torch and onnxruntime answer.

    Its outputs are ``logit`` [N] and, where `networks.gradcam.add_heatmaps` can make one,
    ``heatmap`` [N, h, w]. The batch size is free; the side is the preprocessing's. Large weights
    are stored as fp16 and cast to fp32 by the graph, which onnxruntime does once, when it loads the
    file.

    Raises:
        ExportError: torch and ONNX answer differently, or torch cannot export the network.
        MissingExtraError: torch or onnx is not installed.
    """
    return _export(network, preprocessing, probes=probes)[0]


def make_member(
    network: nn.Module, preprocessing: Preprocessing, *, name: str, backbone: str, head: HeadSpec
) -> tuple[Member, dict[str, bytes]]:
    """Return a trained network as a bundle's member, with the bytes of its two files by name.

    Raises:
        ExportError, MissingExtraError: as `export_onnx` does.
    """
    onnx, heatmap = _export(network, preprocessing)
    weights = weights_bytes(network)
    onnx = refer_to_weights(onnx, weights, f"{name}.safetensors")
    member = Member(
        name=name,
        network=backbone,
        head=head,
        weights=WeightsFile(name=f"{name}.safetensors", sha256=sha256_of(weights)),
        onnx=OnnxFile(name=f"{name}.onnx", sha256=sha256_of(onnx), heatmap=heatmap),
    )
    return member, {member.weights.name: weights, member.onnx.name: onnx}


def export_bundle(
    bundle: Bundle, folder: Path, *, progress: Callable[[str], None] = ignore_message
) -> Bundle:
    """Write ``bundle`` to ``folder`` with every ONNX file exported again from its weights.

    This adds heat maps to a bundle of an earlier version. Its scores do not change. ``progress``
    is called with each message.

    Raises:
        ExportError, MissingExtraError: as `export_onnx` does.
        BundleError: a file of the bundle is missing, or its hash differs.
    """
    files = {file.name: bundle.read_file(file) for file in bundle.spec.files}
    members = []
    for member in bundle.spec.members:
        text = f"export of {member.name}: torch against onnxruntime"
        progress(text)
        with show_clock(progress, text):
            network = _build_network(member, files[member.weights.name])
            data, heatmap = _export(network, bundle.spec.preprocessing_of(member))
        weights = member.weights.name
        files[member.onnx.name] = refer_to_weights(data, files[weights], weights)
        onnx = member.onnx.model_copy(update={"heatmap": heatmap})
        members.append(member.model_copy(update={"onnx": onnx}))
    return write_bundle(folder, bundle.spec.model_copy(update={"members": tuple(members)}), files)


def verify_answers(bundle: Bundle) -> float:
    """Return how far a bundle's two files differ in probability, at most `TOLERANCE`.

    Raises:
        ExportError: for the first member whose files answer differently.
    """
    return max(
        verify_export(
            _build_network(member, bundle.read_file(member.weights)),
            member_onnx(bundle, member),
            bundle.spec.preprocessing_of(member),
        )
        for member in bundle.spec.members
    )


def verify_export(
    network: nn.Module, data: bytes, preprocessing: Preprocessing, *, probes: int = PROBES
) -> float:
    """Return the largest difference in probability between torch and ONNX, at most `TOLERANCE`.

    Both score the same `export_probe_inputs`: torch once, in batches of the `BATCH_SIZES` in turn,
    and onnxruntime all of them at each of these sizes. Logits may differ by what a probability of
    one half allows, or in the same proportion where they are large. This detects differences also
    where both probabilities are close to 0 or 1. Heat maps are compared if the file has them.

    Raises:
        ExportError: with the largest difference.
    """
    inputs = export_probe_inputs(preprocessing, probes)
    torch_scorer = TorchScorer(copy.deepcopy(network), options=RunOptions())
    onnx_scorer = OnnxScorer(
        data, name="the exported network", options=RunOptions(threads=usable_cores())
    )
    mixed = _cut_into_batches(probes, BATCH_SIZES)
    ours, our_maps = _score_batches(torch_scorer, inputs, mixed, maps=onnx_scorer.has_maps)
    theirs = {}
    for size in BATCH_SIZES:
        maps = onnx_scorer.has_maps and size == BATCH_SIZES[-1]
        batches = _cut_into_batches(probes, (size,))
        theirs[size], their_maps = _score_batches(onnx_scorer, inputs, batches, maps=maps)
    for size, answers in theirs.items():  # at equal sizes first, so that the error names the size
        both = [n for cut in mixed if cut.stop - cut.start == size for n in range(probes)[cut]]
        _refuse_difference(ours[both], answers[both], size)
    worst = max(_refuse_difference(ours, answers, size) for size, answers in theirs.items())
    if our_maps is not None and their_maps is not None:
        _refuse_other_maps(our_maps, their_maps)
    return worst


def _cut_into_batches(count: int, sizes: Sequence[int]) -> list[slice]:
    """Return consecutive slices of ``count`` inputs whose lengths are the sizes in turn.

    >>> _cut_into_batches(6, (1, 2))
    [slice(0, 1, None), slice(1, 3, None), slice(3, 4, None), slice(4, 6, None)]
    """
    turns, cuts, start = itertools.cycle(sizes), [], 0
    while start < count:
        stop = min(start + next(turns), count)
        cuts.append(slice(start, stop))
        start = stop
    return cuts


def _score_batches(
    scorer: Scorer, inputs: Inputs, batches: Sequence[slice], *, maps: bool
) -> tuple[Logits, Maps | None]:
    """Return the logits of all inputs, and their heat maps where ``maps`` is set."""
    if not maps:
        return np.concatenate([scorer(inputs[batch]) for batch in batches]), None
    logits, heat = zip(*(scorer.explain(inputs[batch]) for batch in batches), strict=True)
    return np.concatenate(logits), np.concatenate(heat)


def export_probe_inputs(preprocessing: Preprocessing, count: int = PROBES) -> Inputs:
    """Return seeded network inputs of many kinds, float32 [count, 3, S, S].

    The kinds are those of `faceproof.export`.
    """
    return network_input(_probe_crops(count, preprocessing.crop.size), preprocessing.input)


def _refuse_difference(ours: Logits, theirs: Logits, size: int) -> float:
    in_probability = float(np.abs(sigmoid(ours) - sigmoid(theirs)).max())
    in_logit = float((np.abs(ours - theirs) / np.maximum(1, np.abs(ours))).max())
    if in_probability <= TOLERANCE and in_logit <= 4 * TOLERANCE:
        return in_probability
    raise ExportError(
        f"export failed: outputs differ at batch size {size}: by {in_probability:.3g} "
        f"in probability ({TOLERANCE:g} allowed) and by {in_logit:.3g} in logit, relative "
        f"({4 * TOLERANCE:g} allowed); it is not written. Look for layers that depend on the "
        "batch or that ONNX rounds otherwise"
    )


def _refuse_other_maps(ours: Maps, theirs: Maps) -> None:
    """Reject maps that differ in more than a few pictures.

    A few may differ: an input of a ReLU is almost 0 there, and rounding decides the slope.
    """
    if ours.shape != theirs.shape:
        raise ExportError(f"heat maps are {theirs.shape} and not {ours.shape}; nothing is written")
    size = np.abs(ours).max(axis=(1, 2))
    differ = np.abs(ours - theirs).max(axis=(1, 2)) > _MAP_TOLERANCE * np.maximum(size, 1e-3)
    if differ.mean() > _CORNERS:
        raise ExportError(
            f"heat maps of the exported network differ in {differ.sum()} of {len(differ)} "
            f"pictures by more than {_MAP_TOLERANCE:g} of the hottest cell; it is not written"
        )


def _round_to_stored(network: nn.Module) -> nn.Module:
    """Return a copy on the CPU, in evaluation mode, with the weights that a bundle stores."""
    ready = copy.deepcopy(network).cpu().float().eval()
    ready.load_state_dict(round_to_stored(network.state_dict()))
    return ready


def _build_network(member: Member, weights: bytes) -> nn.Module:
    network = build(member.network, head=member.head)
    put_weights(network, weights, name=member.weights.name)
    return network


def _export(
    network: nn.Module, preprocessing: Preprocessing, *, probes: int = PROBES
) -> tuple[bytes, Literal["grad-cam"] | None]:
    """Return the verified ONNX file, and how its heat maps are made, if it has any."""
    require("torch", "onnx")
    from faceproof.networks.gradcam import add_heatmaps

    ready, side = _round_to_stored(network), preprocessing.crop.size
    whole = add_heatmaps(ready, side=side)
    outputs = ["logit"] if whole is None else ["logit", "heatmap"]
    data = _halve_weights(_export_with_torch(whole or ready, side, outputs))
    verify_export(ready, data, preprocessing, probes=probes)
    return data, "grad-cam" if whole else None


def _export_with_torch(network: nn.Module, side: int, outputs: list[str]) -> bytes:
    """Return torch's own export, with the batch as free dimension and nothing folded.

    Folding would merge batch normalisation into convolutions, so that the weights would differ from
    those of the safetensors file. onnxruntime folds when it loads the file.
    """
    import torch

    stream = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the successor needs onnxscript
            # Vision transformers check the input's side in `forward`; the side is always the same.
            warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
            torch.onnx.export(
                network,
                (torch.zeros(2, 3, side, side),),
                stream,  # type: ignore[arg-type]
                dynamo=False,
                opset_version=_OPSET,
                do_constant_folding=False,
                input_names=["pixels"],
                output_names=outputs,
                dynamic_axes={name: {0: "n"} for name in ("pixels", *outputs)},
            )
    except (RuntimeError, torch.onnx.OnnxExporterError) as error:
        raise ExportError(f"torch cannot export this network: {error}") from error
    return stream.getvalue()


def _halve_weights(data: bytes) -> bytes:
    """Return the ONNX file with its large weights as fp16, where that is lossless."""
    import onnx

    model = onnx.load_from_string(data)
    casts = list(_cast_weights(model.graph))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _cast_weights(graph: Any) -> Iterator[Any]:
    """Turn large weights of the graph into fp16, and yield the node that turns each back."""
    from onnx import TensorProto, helper, numpy_helper

    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        wide = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = wide.astype(np.float16)
        if half.size < _HALF_FROM or not np.array_equal(half.astype(np.float32), wide):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        yield helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT)


def refer_to_weights(data: bytes, weights: bytes, weights_name: str) -> bytes:
    """Return the ONNX file with references in place of weights that a safetensors file has.

    They are ONNX's external data: onnxruntime finds them where both files are in one folder.
    """
    import onnx
    from onnx import TensorProto

    places = dict(_find_tensors(weights))
    model = onnx.load_from_string(data)
    for tensor in model.graph.initializer:
        place = (
            places.get(sha256_of(tensor.raw_data)) if len(tensor.raw_data) >= _HALF_FROM else None
        )
        if place is None:
            continue
        reference = {"location": weights_name, "offset": place, "length": len(tensor.raw_data)}
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in reference.items():
            tensor.external_data.add(key=key, value=str(value))
    return bytes(model.SerializeToString())


def _find_tensors(weights: bytes) -> Iterator[tuple[str, int]]:
    """Yield the hash of each tensor's bytes in a safetensors file, and where they begin."""
    length = int.from_bytes(weights[:8], "little")
    for key, facts in json.loads(weights[8 : 8 + length]).items():
        if key != "__metadata__":
            start, end = (8 + length + offset for offset in facts["data_offsets"])
            yield sha256_of(weights[start:end]), start


Pixels = npt.NDArray[np.uint8]


def _probe_crops(count: int, side: int) -> Pixels:
    """Return seeded crops, uint8 [count, side, side, 3], of eight kinds in turn.

    Flat black, white and grey, noise, smooth slopes, hard edges, and 1/f noise, which has the
    spectrum of photographs.

    Source: Field, "Relations between the statistics of natural images and the response
    properties of cortical cells", JOSA A 1987.
    """
    random = np.random.default_rng(20_240_501)
    return np.stack([_crop(random, kind % 8, side) for kind in range(count)])


def _crop(random: np.random.Generator, kind: int, side: int) -> Pixels:
    """Return one crop, uint8 [side, side, 3]."""
    shape = (side, side, 3)
    crop: npt.NDArray[np.floating]
    if kind == 0:
        crop = np.full(shape, random.choice([0.0, 1.0]))
    elif kind == 1:
        crop = np.broadcast_to(random.random(3), shape)
    elif kind == 2:
        crop = random.random(shape)
    elif kind == 3:
        crop = random.integers(0, 2, shape).astype(float)
    elif kind == 4:
        crop = np.linspace(random.random(3), random.random((side, 3)), side)
    else:
        crop = _power_law_noise(random, shape, power=0.5 * (kind - 3))
    return np.round(np.clip(crop, 0, 1) * 255).astype(np.uint8)


def _power_law_noise(
    random: np.random.Generator, shape: tuple[int, int, int], power: float
) -> npt.NDArray[np.float64]:
    """Return noise whose amplitude falls with frequency to this power, mean 0.5, sd 0.25."""
    spectrum = np.fft.fft2(random.normal(size=shape), axes=(0, 1))
    rows, columns = np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])
    frequency = np.maximum(np.hypot(rows, columns), 1 / shape[0])
    picture = np.fft.ifft2(spectrum / frequency[..., None] ** power, axes=(0, 1)).real
    return np.asarray(0.5 + 0.25 * (picture - picture.mean()) / picture.std())
