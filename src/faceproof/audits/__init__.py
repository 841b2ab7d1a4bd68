"""Audits: stability of results under changes that should not affect them."""

from faceproof.audits.resaving import CONDITIONS, check_resaved

__all__ = ["CONDITIONS", "check_resaved"]
