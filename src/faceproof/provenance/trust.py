"""The trust list: certificates of authorities whose signers the user wants to believe.

None comes with faceproof: whose word counts is for who acts on it to say.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "FACEPROOF_TRUST_LIST"

_MOST_BYTES = 8 << 20
_CERTIFICATE = "-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class TrustList:
    """Certificates as PEM, empty where none were given; ``fault`` says why a list is unusable."""

    pem: str = ""
    fault: str = ""


def trust_list() -> TrustList:
    """Return the list that the environment variable names: a PEM file, or a folder of them."""
    named = os.environ.get(VARIABLE)
    if not named:
        return TrustList()
    path = Path(named)
    try:
        files = sorted(path.glob("*.pem")) if path.is_dir() else [path]
        if sum(file.stat().st_size for file in files) > _MOST_BYTES:
            return TrustList(fault=f"{VARIABLE}: more than {_MOST_BYTES} bytes of certificates")
        pem = "\n".join(file.read_text(encoding="utf-8") for file in files)
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a NUL in the name
        return TrustList(fault=f"{VARIABLE}: cannot be read ({type(error).__name__})")
    if _CERTIFICATE not in pem:
        return TrustList(fault=f"{VARIABLE}: holds no certificate in PEM")
    return TrustList(pem)
