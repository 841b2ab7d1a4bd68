"""Speed and agreement of inference backends: onnxruntime, OpenVINO and torch, float32 and int8.

Choose on validation and calibration, then report the choice once on test:

    python benchmarks/backends.py speed [--network densenet121] [--threads 1]
    python benchmarks/backends.py answers PREPARED --split validation --crops DIR
    python benchmarks/backends.py answers PREPARED --split test --only "onnxruntime fp32" --only ...

Needs the extras `train` and `openvino`, and nncf for the quantised networks of OpenVINO. int8 is
static and for each channel, calibrated on crops of the calibration split (`speed` takes the pattern
of export's probe inputs, since values do not matter there). ``answers`` keeps the networks' inputs
in the folder ``--crops`` and reads them there the next time. NNCF reports its use to its
makers unless you opt out before (`opt_in_out --opt_out`). All backends run in turns, so that a
busy machine slows all alike; speed is the best of the rounds, in processor time of one thread.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from faceproof.data.manifest import Manifest
from faceproof.data.preparing.folder import read_prepared
from faceproof.detector import Detector, calibrate
from faceproof.detector.bundle import put_weights
from faceproof.detector.openvino_scorer import import_openvino
from faceproof.detector.scorers import import_onnxruntime, member_onnx, usable_cores
from faceproof.errors import UsageError
from faceproof.evaluation.predict import predict
from faceproof.evaluation.predictions import labelled_rows
from faceproof.export import export_onnx, export_probe_inputs
from faceproof.imaging.preprocessing import CropSpec, Preprocessing
from faceproof.networks import build

Inputs = npt.NDArray[np.float32]
Logits = npt.NDArray[np.float64]
Forward = Callable[[Inputs], Logits]

BATCHES = (1, 8, 32)
CALIBRATION_CROPS = 300


@dataclass(frozen=True)
class Subject:
    """A network in its two forms, and crops for the calibration of int8."""

    onnx: bytes
    """With the one output `logit`."""
    torch: Any
    crops: Inputs
    threads: int


def only_logit(data: bytes) -> bytes:
    """Return the ONNX network without heat maps."""
    import onnx
    from onnx.utils import Extractor

    model = onnx.load_from_string(data)
    ends = [model.graph.input[0].name], [model.graph.output[0].name]
    return bytes(Extractor(model).extract_model(*ends).SerializeToString())


def onnxruntime_forward(data: bytes, threads: int) -> Forward:
    """Return onnxruntime's forward pass."""
    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    name, out = session.get_inputs()[0].name, session.get_outputs()[0].name
    return lambda inputs: np.asarray(session.run([out], {name: inputs})[0], np.float64).ravel()


def onnxruntime_fp32(subject: Subject) -> Forward:
    """Return the network as it ships."""
    return onnxruntime_forward(subject.onnx, subject.threads)


def onnxruntime_int8(subject: Subject) -> Forward:
    """Return onnxruntime's own static quantisation, QDQ, weights for each channel."""
    import tempfile

    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Crops(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(subject.crops)

        def get_next(self) -> dict[str, Inputs] | None:
            crop = next(self._left, None)
            return None if crop is None else {"pixels": crop[None]}

    with tempfile.TemporaryDirectory() as folder:
        given, ready, made = (Path(folder) / f"{name}.onnx" for name in "abc")
        given.write_bytes(_named_input(subject.onnx, "pixels"))
        quant_pre_process(given, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            made,
            Crops(),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return onnxruntime_forward(made.read_bytes(), subject.threads)


def _named_input(data: bytes, name: str) -> bytes:
    """Return the network with another name of its input."""
    import onnx

    model = onnx.load_from_string(data)
    old = model.graph.input[0].name
    model.graph.input[0].name = name
    for node in model.graph.node:
        node.input[:] = [name if one == old else one for one in node.input]
    return bytes(model.SerializeToString())


def openvino_forward(model: Any, threads: int, precision: str | None = None) -> Forward:
    """Return OpenVINO's forward pass on the CPU."""
    openvino = import_openvino()
    options: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    if precision:
        options["INFERENCE_PRECISION_HINT"] = precision
    compiled = openvino.Core().compile_model(model, "CPU", options)
    return lambda inputs: np.asarray(compiled(inputs)[0], np.float64).ravel()


def read_openvino(subject: Subject) -> Any:
    """Return the network as OpenVINO's model."""
    return import_openvino().Core().read_model(subject.onnx, b"")


def openvino_fp32(subject: Subject) -> Forward:
    """Return OpenVINO at float32."""
    return openvino_forward(read_openvino(subject), subject.threads, "f32")


def openvino_bf16(subject: Subject) -> Forward:
    """Return OpenVINO at bfloat16, where the CPU has it."""
    if "BF16" not in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise UsageError("this CPU has no bfloat16")
    return openvino_forward(read_openvino(subject), subject.threads, "bf16")


def openvino_int8(subject: Subject) -> Forward:
    """Return OpenVINO with NNCF's static quantisation."""
    return openvino_forward(quantize(subject), subject.threads)


def quantize(subject: Subject) -> Any:
    """Return OpenVINO's model with NNCF's static quantisation, weights for each channel."""
    import nncf

    crops = nncf.Dataset([crop[None] for crop in subject.crops])
    return nncf.quantize(
        read_openvino(subject),
        crops,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(subject.crops),
    )


def torch_forward(network: Any, kind: str, threads: int) -> Forward:
    """Return torch's forward pass: `eager`, `channels_last`, `compiled` or `bf16`."""
    import torch

    torch.set_num_threads(threads)
    network = network.eval()
    last = kind != "eager"
    if last:
        network = network.to(memory_format=torch.channels_last)
    if kind == "bf16":
        network = network.to(torch.bfloat16)
    if kind == "compiled":
        network = torch.compile(network)

    def forward(inputs: Inputs) -> Logits:
        with torch.inference_mode():
            given = torch.from_numpy(inputs)
            if last:
                given = given.to(memory_format=torch.channels_last)
            if kind == "bf16":
                given = given.to(torch.bfloat16)
            return np.asarray(network(given).double().numpy()).ravel()

    return forward


BACKENDS: dict[str, Callable[[Subject], Forward]] = {
    "onnxruntime fp32": onnxruntime_fp32,
    "onnxruntime int8": onnxruntime_int8,
    "openvino fp32": openvino_fp32,
    "openvino bf16": openvino_bf16,
    "openvino int8": openvino_int8,
    **{
        f"torch {kind}": lambda subject, kind=kind: torch_forward(
            subject.torch(), kind, subject.threads
        )
        for kind in ("eager", "channels_last", "compiled", "bf16")
    },
}


def subject_of(detector: Detector, crops: Inputs, threads: int) -> Subject:
    """Return the one network of a detector."""
    (member,) = detector.spec.members

    def network() -> Any:
        made = build(member.network, head=member.head)
        put_weights(made, detector.bundle.read_file(member.weights), name=member.weights.name)
        return made

    return Subject(only_logit(member_onnx(detector.bundle, member)), network, crops, threads)


def random_subject(name: str, threads: int) -> Subject:
    """Return a network with random weights, which takes as long as a trained one."""
    spec = Preprocessing(crop=CropSpec(size=160))
    data = only_logit(export_onnx(build(name).eval(), spec))
    return Subject(data, lambda: build(name), export_probe_inputs(spec, 8), threads)


def opened(subject: Subject, only: Sequence[str]) -> dict[str, Forward]:
    """Return the backends that work here; print why others do not."""
    found = {}
    for name, make in BACKENDS.items():
        if only and name not in only:
            continue
        try:
            found[name] = make(subject)
        except (ImportError, UsageError) as error:
            print(f"{name}: left out, {error}")
    return found


def speed(asked: argparse.Namespace) -> None:
    """Print pictures a second and milliseconds a picture for each backend and batch."""
    name = asked.network
    crops = export_probe_inputs(Preprocessing(crop=CropSpec(size=160)), max(BATCHES))
    if name == "densenet121":
        subject = subject_of(Detector.load(asked.detector), crops[:8], asked.threads)
    else:
        subject = random_subject(name, asked.threads)
    ways = {
        (backend, batch): partial(forward, crops[:batch])
        for backend, forward in opened(subject, asked.only).items()
        for batch in BATCHES
    }
    best = dict.fromkeys(ways, (float("inf"), float("inf")))
    for turn in range(asked.rounds + 1):
        for key, way in ways.items():
            clock, cpu = time.perf_counter(), time.process_time()
            way()
            spent = (time.perf_counter() - clock, time.process_time() - cpu)
            if turn:  # the first warms up
                best[key] = min(best[key][0], spent[0]), min(best[key][1], spent[1])
    base = {batch: best["onnxruntime fp32", batch][1] for batch in BATCHES}
    print(f"{name}, {asked.threads} thread(s), {usable_cores()} usable cores\n")
    print(
        "| backend | batch | pictures/s | latency, ms | CPU ms/picture | times onnxruntime fp32 |"
    )
    print("|---|---|---|---|---|---|")
    for (backend, batch), (clock, cpu) in best.items():
        print(
            f"| {backend} | {batch} | {batch / clock:.1f} | {1000 * clock:.1f} "
            f"| {1000 * cpu / batch:.1f} | {base[batch] / cpu:.2f} |"
        )


@dataclass
class Recorder:
    """A detector that keeps the inputs that it was asked about."""

    detector: Detector
    inputs: list[Inputs] = field(default_factory=list)
    spec: Any = None
    sha256: str = ""
    preprocessing: Any = None

    def __post_init__(self) -> None:
        self.spec, self.sha256 = self.detector.spec, self.detector.sha256
        self.preprocessing = self.detector.preprocessing

    def logits(self, inputs: Inputs) -> Logits:
        """Return the detector's logits."""
        self.inputs.append(np.array(inputs))
        return self.detector.logits(inputs)


@dataclass(frozen=True)
class Crops:
    """Faces of one split and condition as inputs, with their labels."""

    inputs: Inputs
    logits: Logits
    fake: npt.NDArray[np.bool_]
    sources: npt.NDArray[np.str_]


def recorded_crops(
    asked: argparse.Namespace, detector: Detector, split: str, condition: str, most: int
) -> Crops:
    """Return the faces of `crops_of`, from the folder of recorded ones where they are there."""
    if asked.crops is None:
        return crops_of(detector, asked.prepared, split, condition, most)
    path = asked.crops / f"{detector.sha256[:12]}-{split}-{condition}-{most}.npz"
    if not path.is_file():
        asked.crops.mkdir(parents=True, exist_ok=True)
        np.savez(path, **vars(crops_of(detector, asked.prepared, split, condition, most)))
    with np.load(path) as kept:
        return Crops(**kept)


def crops_of(detector: Detector, prepared: Path, split: str, condition: str, most: int) -> Crops:
    """Return at most ``most`` faces of each source and class, chosen by the hash of the path."""
    whole = read_prepared(prepared)
    taken: Counter[tuple[str, str]] = Counter()
    rows = []
    for row in sorted(whole.rows, key=lambda row: hashlib.sha256(row.path.encode()).digest()):
        if row.split == split and taken[row.source, row.label] < most:
            taken[row.source, row.label] += 1
            rows.append(row)
    purpose = {"validation": "choose", "calibration": "calibrate", "test": "final-report"}[split]
    recorder = Recorder(detector)
    table = labelled_rows(
        predict(
            recorder,
            Manifest(rows, root=whole.root),
            (condition,),
            split=split,
            purpose=purpose,
            root=prepared,
            workers=1,
        )
    )
    judged = table.filter([one == "ok" for one in table["status"].to_pylist()])
    inputs = np.concatenate(recorder.inputs)
    logits = np.array(judged["logit"].to_pylist())
    step = max(1, len(inputs) // 20)
    again = detector.logits(inputs[::step])
    if len(logits) != len(inputs) or np.abs(again - logits[::step]).max() > 1e-4:
        raise SystemExit("the recorded inputs are not those of the table")
    fake = np.array([one == "fake" for one in judged["label"].to_pylist()])
    return Crops(inputs, logits, fake, np.array(judged["source"].to_pylist()))


def answers(asked: argparse.Namespace) -> None:
    """Print agreement, AUC and false alarms of each backend."""
    detector = Detector.load(asked.detector)
    given = recorded_crops(asked, detector, "calibration", "clean", 40)
    step = max(1, len(given.inputs) // CALIBRATION_CROPS)
    ways = opened(subject_of(detector, given.inputs[::step], asked.threads), asked.only)
    print(
        "| faces | backend | mean abs. move of the probability | largest | verdicts that differ "
        "| AUC | false alarms | fakes called fake | unsure |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for split in asked.split:
        for condition in asked.condition:
            crops = recorded_crops(asked, detector, split, condition, asked.most)
            for name, forward in ways.items():
                parts = [crops.inputs[at : at + 8] for at in range(0, len(crops.inputs), 8)]
                logits = np.concatenate([forward(part) for part in parts])
                cells = compare(detector, crops, logits)
                where = f"{split} {condition}, {len(logits)}"
                print(f"| {where} | {name} | {' | '.join(cells)} |", flush=True)


def compare(detector: Detector, crops: Crops, logits: Logits) -> tuple[str, ...]:
    """Return the cells of a backend's row of the table."""
    point = detector.operating_point()
    before, now = (calibrate(one, detector.spec.calibration) for one in (crops.logits, logits))
    edges = [point.real_below, point.fake_from]
    verdicts = [np.digitize(one, edges) for one in (before, now)]
    moved = np.abs(now - before)
    return (
        f"{moved.mean():.4f}",
        f"{moved.max():.3f}",
        f"{(verdicts[0] != verdicts[1]).mean():.2%}",
        f"{roc_auc_score(crops.fake, now):.4f}",
        f"{(now[~crops.fake] >= point.fake_from).mean():.2%}",
        f"{(now[crops.fake] >= point.fake_from).mean():.1%}",
        f"{(verdicts[1] == 1).mean():.1%}",
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(required=True)
    fast = verbs.add_parser("speed")
    fast.add_argument("--network", default="densenet121")
    fast.add_argument("--rounds", type=int, default=5)
    fast.set_defaults(run=speed)
    same = verbs.add_parser("answers")
    same.add_argument("prepared", type=Path)
    same.add_argument("--split", action="append", choices=["validation", "calibration", "test"])
    same.add_argument("--condition", action="append")
    same.add_argument("--crops", type=Path, metavar="DIR", help="folder of recorded crops")
    same.add_argument("--most", type=int, default=60, help="faces of each source and class")
    same.set_defaults(run=answers)
    for verb in (fast, same):
        verb.add_argument("--only", action="append", default=[], help="a backend; repeatable")
        verb.add_argument("--threads", type=int, default=1)
        verb.add_argument("--detector", default="default")
    asked = parser.parse_args()
    if asked.run is answers:
        asked.split, asked.condition = asked.split or ["validation"], asked.condition or ["clean"]
    asked.run(asked)


if __name__ == "__main__":
    main()
