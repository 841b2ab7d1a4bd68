"""A teacher: a detector whose answers about the student's own inputs are learned from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from faceproof.detector import Detector, calibrated_logits
from faceproof.detector.bundle import Bundle
from faceproof.detector.detector import locate
from faceproof.detector.inputs import crop_difference, renormalised
from faceproof.detector.scorers import usable_cores
from faceproof.errors import TrainingError
from faceproof.imaging.preprocessing import Preprocessing


class Teacher:
    """Answers for inputs that were made for a student; one network or several, it is all the same.

    It runs where the inputs are: on the CPU with onnxruntime, on no more threads than torch uses,
    elsewhere with torch on that device.

    Source: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015.
    """

    def __init__(self, bundle: str | Path, student: Preprocessing) -> None:
        """Take the detector of this name or folder as teacher.

        Raises:
            BundleError: there is no such detector, or it cannot be trusted.
            TrainingError: it reads another crop than the student.
        """
        self._name = str(bundle)
        self._student = student.input
        spec = Bundle.read(locate(bundle)).spec
        self._own = spec.preprocessing.input
        self._calibration = spec.calibration
        self._detectors: dict[str, Detector] = {}
        if differs := crop_difference(student.crop, spec.preprocessing.crop):
            raise TrainingError(
                f"the student does not read the crop of its teacher {self._name}: {differs}. Set "
                f"network.preprocessing.crop to the teacher's, or name another distil.teacher"
            )

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return calibrated logits, float32 [N] without gradient, for [N, 3, S, S] on any device.

        ``inputs`` are normalised as the student reads them.
        """
        device = inputs.device.type
        pixels = inputs.detach().to("cpu", torch.float32).numpy()
        ready = renormalised(pixels, self._student, self._own)
        with torch.autocast(device, enabled=False):
            logits = self._detector(device).logits(ready)
        answers = calibrated_logits(logits, self._calibration).astype(np.float32)
        return torch.from_numpy(answers).to(inputs.device)

    def _detector(self, device: str) -> Detector:
        """Return the detector, opened once for each device."""
        if device not in self._detectors:
            self._detectors[device] = self._open(device)
        return self._detectors[device]

    def _open(self, device: str) -> Detector:
        if device != "cpu":
            return Detector.load(self._name, runtime="torch", device=device)
        threads = min(usable_cores(), torch.get_num_threads())
        return Detector.load(self._name, threads=threads)
