"""Content credentials (C2PA): whether a file has them, and what they say.

The library that reads them, c2pa, is an extra. It is loaded when a file carries credentials, is
given bytes in memory, and is told to fetch nothing: no remote manifest, no revocation list, no
identity document.
"""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from faceproof.provenance.findings import ContentCredentials, bounded
from faceproof.provenance.manifests import credentials
from faceproof.provenance.statements import Statement
from faceproof.provenance.trust import TrustList

MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
    "HEIC": "image/heic",
}
ABSENT = ContentCredentials(
    state="absent",
    says="The file has no content credentials. That proves nothing: few cameras and programs"
    " write them, and most web sites strip them.",
)
#: How the box that describes a store of manifests begins, behind its length: its name and type.
STORE_HEAD = b"jumdc2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"
# The flags and the empty list of hosts each forbid the network alone.
_NO_NETWORK: Mapping[str, Mapping[str, Any]] = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True},
    "core": {
        "allowed_network_hosts": [],
        "allow_redirects": False,
        "decode_identity_assertions": False,
        "max_decompressed_manifest_size_in_mb": 8,
    },
}
# An ordinary file takes some hundred reads, a large GIF 22 000; a hostile one would take minutes.
MOST_READS = 100_000
_MOST_TIMES = 16  # that the whole file is read


@dataclass(frozen=True)
class Signed:
    """The credentials, what they state for the tables, and what is wrong with the trust list."""

    credentials: ContentCredentials
    statements: tuple[Statement, ...] = ()
    fault: str = ""


def has_credentials(data: bytes) -> bool:
    """Say whether the bytes hold the head of a box of content credentials, in any container.

    Source: ISO/IEC 19566-5 (JUMBF), annex A; C2PA 2.2, section 11.1.4 (type of the store).
    """
    return STORE_HEAD in data


def read_credentials(data: bytes, kind: str, trusted: TrustList) -> Signed:
    """Return the credentials in a file that may have some.

    Raises:
        ImportError: c2pa is not installed, or cannot be loaded on this machine.
    """
    c2pa = _library()
    stream = _Metered(data)
    try:
        store = _store(stream, kind, trusted.pem)
    except c2pa.C2paError.ManifestNotFound:
        return Signed(ABSENT, fault=trusted.fault)
    except (c2pa.C2paError, ValueError, RecursionError) as error:
        if trusted.pem and not stream.exhausted:
            fault = trusted.fault or f"the trust list was left out ({bounded(str(error), 100)})"
            return read_credentials(data, kind, TrustList(fault=fault))
        why = "it would take too long" if stream.exhausted else str(error)
        return Signed(_unreadable(why), fault=trusted.fault)
    found, statements = credentials(store, list_given=bool(trusted.pem))
    return Signed(found, statements, trusted.fault)


def _library() -> ModuleType:
    """Return c2pa, an extra, whose native part may not fit the machine."""
    try:
        import c2pa
    except (OSError, RuntimeError, ValueError) as error:
        raise ImportError(f"c2pa cannot be loaded: {error}") from error
    return c2pa  # type: ignore[no-any-return]


class _Metered(io.BytesIO):
    """A file in memory that can be read from so many times only; c2pa takes the error for a fault.

    Each read is a call from the library back into Python, which is what takes the time.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = MOST_READS
        self._left_bytes = _MOST_TIMES * len(data)

    @property
    def exhausted(self) -> bool:
        """Say whether more was asked for than there is."""
        return self._left < 0 or self._left_bytes < 0

    def readinto(self, buffer: Any) -> int:
        """Return how many bytes were read, as `io.BytesIO.readinto` does."""
        count = super().readinto(buffer)
        self._left_bytes -= count
        self._spend()
        return count

    def seek(self, offset: int, whence: int = 0) -> int:
        """Return the new position, as `io.BytesIO.seek` does."""
        self._spend()
        return super().seek(offset, whence)

    def _spend(self) -> None:
        self._left -= 1
        if self.exhausted:
            raise OSError("more reads than an honest file takes")


def _store(stream: io.BytesIO, kind: str, pem: str) -> Mapping[str, Any]:
    """Return the manifests in a file as c2pa writes them in JSON."""
    c2pa = _library()
    settings: dict[str, Any] = copy.deepcopy(dict(_NO_NETWORK))
    if pem:
        settings["trust"] = {"trust_anchors": pem}
    with (
        c2pa.Context.from_dict(settings) as context,
        c2pa.Reader(MEDIA_TYPES[kind], stream, context=context) as reader,
    ):
        store = json.loads(reader.json())
    return store if isinstance(store, dict) else {}


def _unreadable(why: str) -> ContentCredentials:
    return ContentCredentials(
        state="unreadable",
        says=f"The file carries content credentials that cannot be read: {bounded(why, 200)}",
    )
