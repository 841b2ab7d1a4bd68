"""Audits: how an answer holds where something changes that should not change it."""

from faceproof.audits.stability import CONDITIONS, resaved

__all__ = ["CONDITIONS", "resaved"]
