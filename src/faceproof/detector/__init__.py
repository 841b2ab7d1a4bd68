"""Detector: a verified bundle, its networks, calibrated probabilities and verdicts."""

from faceproof.detector.bundle import Bundle, write_bundle
from faceproof.detector.calibration import (
    Calibration,
    Identity,
    Isotonic,
    Platt,
    Temperature,
    calibrate,
    calibrated_logits,
)
from faceproof.detector.detector import Detector, detectors
from faceproof.detector.scorers import SCORERS, RunOptions, Scorer
from faceproof.detector.spec import (
    CardFile,
    ChosenOn,
    DetectorSpec,
    Finding,
    Member,
    OnnxFile,
    OperatingPoint,
    StartingPoint,
    TrainingData,
    Unsupported,
    Verdict,
    WeightsFile,
    decide,
    picture_probability,
)
from faceproof.statistics import sigmoid

__all__ = [
    "SCORERS",
    "Bundle",
    "Calibration",
    "CardFile",
    "ChosenOn",
    "Detector",
    "DetectorSpec",
    "Finding",
    "Identity",
    "Isotonic",
    "Member",
    "OnnxFile",
    "OperatingPoint",
    "Platt",
    "RunOptions",
    "Scorer",
    "StartingPoint",
    "Temperature",
    "TrainingData",
    "Unsupported",
    "Verdict",
    "WeightsFile",
    "calibrate",
    "calibrated_logits",
    "decide",
    "detectors",
    "picture_probability",
    "sigmoid",
    "write_bundle",
]
