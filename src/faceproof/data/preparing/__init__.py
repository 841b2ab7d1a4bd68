"""From a manifest to pictures ready for training: cropped, equalised, weighted, in shards."""

from faceproof.data.preparing.prepare import prepare_manifest
from faceproof.data.preparing.shards import ShardSample, read_shard
from faceproof.data.preparing.spec import (
    DroppedPicture,
    Equalising,
    FinishSpec,
    PicturesSpec,
    PreparationRecord,
    PrepareOptions,
    ShardsSpec,
    WrittenPicture,
    balanced_weights,
)

__all__ = [
    "DroppedPicture",
    "Equalising",
    "FinishSpec",
    "PicturesSpec",
    "PreparationRecord",
    "PrepareOptions",
    "ShardSample",
    "ShardsSpec",
    "WrittenPicture",
    "balanced_weights",
    "prepare_manifest",
    "read_shard",
]
