"""From a manifest to pictures ready for training: cropped, equalised, weighted, in shards."""

from faceproof.data.preparing.prepare import prepare_manifest
from faceproof.data.preparing.shards import Sample, read_shard
from faceproof.data.preparing.spec import (
    Done,
    Dropped,
    Equalising,
    FinishSpec,
    PicturesSpec,
    Prepared,
    Preparing,
    ShardsSpec,
    balanced_weights,
)

__all__ = [
    "Done",
    "Dropped",
    "Equalising",
    "FinishSpec",
    "PicturesSpec",
    "Prepared",
    "Preparing",
    "Sample",
    "ShardsSpec",
    "balanced_weights",
    "prepare_manifest",
    "read_shard",
]
