"""Prepared pictures in a few large files, for training on many machines."""

from faceproof.data.preparing.shards.read import read_shard
from faceproof.data.preparing.shards.sample import Sample, SampleFacts
from faceproof.data.preparing.shards.write import ShardFile, ShardIndex, write_shards

__all__ = ["Sample", "SampleFacts", "ShardFile", "ShardIndex", "read_shard", "write_shards"]
