"""Audits: stability of results under changes that should not affect them."""

from faceproof.audits.stability import CONDITIONS, resaved

__all__ = ["CONDITIONS", "resaved"]
