"""`read_credentials`: content credentials (C2PA) of a file, verified against a trust list.

The library that reads them, c2pa, is an extra. It is loaded when a file carries credentials, reads
bytes in memory, and is configured to fetch nothing: no remote manifest, no revocation list, no
identity document.

faceproof ships no trust list: the user decides which signers to trust.

Source: C2PA Technical Specification 2.2, sections 15 (validation), 18.15 (actions).
"""

from __future__ import annotations

import copy
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from faceproof.provenance.records import (
    MOST_LISTED,
    ContentCredentials,
    CredentialState,
    ProvenanceFinding,
    Statement,
    bound_text,
)

VARIABLE = "FACEPROOF_TRUST_LIST"

_MOST_BYTES = 8 << 20
_CERTIFICATE = "-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class TrustList:
    """Certificates as PEM, empty if none were given; ``fault`` is why a list is unusable."""

    pem: str = ""
    fault: str = ""


def read_trust_list() -> TrustList:
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


# C2PA's codes for a hash or signature mismatch, or a missing signed part.
_CHANGED = ".mismatch"
_GONE = frozenset(
    {
        "assertion.missing",
        "assertion.undeclared",
        "claim.hardBindings.missing",
        "claimSignature.missing",
        "hashedURI.missing",
    }
)
_UNTRUSTED = "signingCredential.untrusted"
_EXPIRED = frozenset({"signingCredential.expired", "claimSignature.outsideValidity"})
_STATES: Mapping[str, CredentialState] = {"Trusted": "trusted", "Valid": "untrusted"}
_MOST = 200  # number of actions and failures that are read


def describe_credentials(
    store: Mapping[str, Any], *, list_given: bool
) -> tuple[ContentCredentials, tuple[Statement, ...]]:
    """Return whether a store is valid, and the statements of its active manifest."""
    manifest = _as_dict(_as_dict(store.get("manifests")).get(str(store.get("active_manifest"))))
    signature = _as_dict(manifest.get("signature_info"))
    failures = list(_failure_codes(store))
    state = _credential_state(str(store.get("validation_state")), failures)
    signer = _signer(signature)
    claims = tuple(_statements(manifest, signer))
    found = ContentCredentials(
        state=state,
        says=_state_words(state, signer or "someone unnamed", failures, list_given=list_given),
        signer=signer or None,
        issued=bound_text(str(signature["time"])) if signature.get("time") else None,
        claim_generator=next(iter(_texts(claims, "credentials:claim_generator")), None),
        actions=_distinct(str(action.get("action", "")) for action in _actions(manifest)),
        digital_source_types=_distinct(_texts(claims, "credentials:digital_source_type")),
        ingredients=len(_as_list(manifest.get("ingredients"))),
        validation_codes=_distinct(failures),
    )
    return found, claims


def _credential_state(reported: str, failures: list[str]) -> CredentialState:
    if any(code.endswith(_CHANGED) or code in _GONE for code in failures):
        return "tampered"
    return _STATES.get(reported, "invalid")


def _state_words(
    state: CredentialState, signer: str, failures: list[str], *, list_given: bool
) -> str:
    """Return the meaning of a state in one or two sentences."""
    signed = bound_text(f"The file carries content credentials signed as {signer}", 300)
    if state == "trusted":
        return (
            f"{signed}, a signer on the trust list given to faceproof, and nothing was changed"
            " since. The signer answers for what they say."
        )
    if state == "untrusted":
        lists = (
            "not on the trust list given to faceproof"
            if list_given
            else f"on no trust list, as none was given to faceproof (see {VARIABLE})"
        )
        return (
            f"{signed}, and nothing was changed since. Whether that is who signed cannot be told:"
            f" the signer is {lists}."
        )
    if state == "tampered":
        return (
            f"{signed}, but the file or the credentials were changed after signing. What they say"
            " may be of another picture."
        )
    if _EXPIRED & set(failures):
        return (
            f"{signed}, with a certificate that is out of its time, and no trusted time stamp"
            " shows that it was signed before. Nothing was changed since."
        )
    reason = next((code for code in failures if code != _UNTRUSTED), "no reason given")
    return bound_text(f"{signed}, but they do not hold ({reason}). Take them for unsigned.", 600)


def _failure_codes(store: Mapping[str, Any]) -> Iterator[str]:
    """Yield the failure codes of the active manifest and of its ingredients."""
    results = _as_dict(store.get("validation_results"))
    deltas = [
        _as_dict(_as_dict(delta).get("validationDeltas"))
        for delta in _as_list(results.get("ingredientDeltas"))
    ]
    for result in [_as_dict(results.get("activeManifest")), *deltas]:
        for failure in _as_list(result.get("failure"))[:_MOST]:
            yield str(_as_dict(failure).get("code", ""))


def _statements(manifest: Mapping[str, Any], signer: str) -> Iterator[Statement]:
    """Yield creator, signer and editors of the file, as statements like those of metadata."""
    where = "content credentials"
    if signer:
        yield Statement(f"{where}, signer", "credentials:signer", signer)
    generators = [manifest.get("claim_generator"), *_as_list(manifest.get("claim_generator_info"))]
    for generator in generators[:_MOST]:
        if name := _name(generator):
            yield Statement(f"{where}, claim generator", "credentials:claim_generator", name)
    for action in _actions(manifest):
        place = f"{where}, action {action.get('action')}"
        if agent := _name(action.get("softwareAgent")):
            yield Statement(place, "credentials:software_agent", agent)
        if source := action.get("digitalSourceType"):
            yield Statement(place, "credentials:digital_source_type", str(source))


def _actions(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the actions that a manifest lists."""
    actions: list[Any] = []
    for assertion in _as_list(manifest.get("assertions"))[:_MOST]:
        if str(_as_dict(assertion).get("label", "")).startswith("c2pa.actions"):
            actions += _as_list(_as_dict(_as_dict(assertion).get("data")).get("actions"))[:_MOST]
    return [_as_dict(action) for action in actions[:_MOST]]


def _signer(signature: Mapping[str, Any]) -> str:
    """Return the name and the organisation in the certificate."""
    name, organisation = str(signature.get("common_name") or ""), str(signature.get("issuer") or "")
    both = f"{name} ({organisation})" if name and organisation else name or organisation
    return bound_text(both)


def _name(value: object) -> str:
    """Return a name given as a text, or as a record with a name and a version."""
    record = _as_dict(value)
    parts = (record.get("name"), record.get("version")) if record else (value,)
    return bound_text(" ".join(str(part) for part in parts if part))


def _texts(claims: Iterable[Statement], key: str) -> list[str]:
    return [bound_text(statement.text) for statement in claims if statement.key == key]


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct non-empty values, in order, at most as many as a Record allows."""
    return tuple(dict.fromkeys(bound_text(value) for value in values if value))[:MOST_LISTED]


def _as_dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def remote_findings(claims: Iterable[Statement]) -> Iterator[ProvenanceFinding]:
    """Yield a finding for a URL of remote credentials, which is not fetched.

    Source: C2PA Technical Specification 2.2, section 11.4.
    """
    for statement in claims:
        if statement.key == "dcterms:provenance" and "://" in statement.text:
            yield ProvenanceFinding(
                kind="credentials",
                says="The file names an address where content credentials of it are kept. "
                "faceproof fetches nothing that a file names, so they were not read.",
                value=bound_text(statement.text),
                where=bound_text(statement.where),
            )
            return


def credential_findings(found: ContentCredentials, fault: str) -> Iterator[ProvenanceFinding]:
    """Yield findings for credentials, and for faults in them or in the trust list."""
    if found.state != "absent":
        yield ProvenanceFinding(
            kind="unreadable" if found.state == "unreadable" else "credentials",
            says=found.says,
            value=found.state,
            where="content credentials",
            points_to="edited" if found.state == "tampered" else "nothing",
        )
    if fault:
        yield ProvenanceFinding(
            kind="unreadable",
            says=bound_text(f"The trust list cannot be used: {fault}.", 300),
            where="trust list",
        )


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
#: First bytes, after the length, of the box that describes a manifest store: name and type.
STORE_HEAD = b"jumdc2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"
# The flags and the empty list of hosts each disable the network on their own.
_NO_NETWORK: Mapping[str, Mapping[str, Any]] = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True},
    "core": {
        "allowed_network_hosts": [],
        "allow_redirects": False,
        "decode_identity_assertions": False,
        "max_decompressed_manifest_size_in_mb": 8,
    },
}
# A usual file takes some hundred reads, a large GIF 22 000; a hostile one would take minutes.
MOST_READS = 100_000
_MOST_TIMES = 16  # times that the whole file is read


@dataclass(frozen=True)
class SignedCredentials:
    """The credentials, their statements, and the fault of the trust list, if any."""

    credentials: ContentCredentials
    statements: tuple[Statement, ...] = ()
    fault: str = ""


def has_credentials(data: bytes) -> bool:
    """Return whether the bytes contain the head of a content credentials box, in any container.

    Source: ISO/IEC 19566-5 (JUMBF), annex A; C2PA 2.2, section 11.1.4 (type of the store).
    """
    return STORE_HEAD in data


def read_credentials(data: bytes, kind: str, trusted: TrustList) -> SignedCredentials:
    """Return the credentials of a file, if it has any.

    Raises:
        ImportError: c2pa is not installed, or cannot be loaded on this machine.
    """
    c2pa = _import_c2pa()
    stream = _MeteredFile(data)
    try:
        store = _read_store(stream, kind, trusted.pem)
    except c2pa.C2paError.ManifestNotFound:
        return SignedCredentials(ABSENT, fault=trusted.fault)
    except (c2pa.C2paError, ValueError, RecursionError) as error:
        if trusted.pem and not stream.exhausted:
            fault = trusted.fault or f"the trust list was left out ({bound_text(str(error), 100)})"
            return read_credentials(data, kind, TrustList(fault=fault))
        why = "it would take too long" if stream.exhausted else str(error)
        return SignedCredentials(_unreadable_credentials(why), fault=trusted.fault)
    found, statements = describe_credentials(store, list_given=bool(trusted.pem))
    return SignedCredentials(found, statements, trusted.fault)


def _import_c2pa() -> ModuleType:
    """Return the module c2pa, an extra; its native part may not load on this machine."""
    try:
        import c2pa
    except (OSError, RuntimeError, ValueError) as error:
        raise ImportError(f"c2pa cannot be loaded: {error}") from error
    return c2pa  # type: ignore[no-any-return]


class _MeteredFile(io.BytesIO):
    """A file in memory with a limited number of reads; c2pa reports the error as a fault.

    Each read is a call from the library back into Python, which is slow.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = MOST_READS
        self._left_bytes = _MOST_TIMES * len(data)

    @property
    def exhausted(self) -> bool:
        """Whether more reads were requested than are allowed."""
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
            raise OSError("more reads than a valid file needs")


def _read_store(stream: io.BytesIO, kind: str, pem: str) -> Mapping[str, Any]:
    """Return the manifests in a file as c2pa's JSON."""
    c2pa = _import_c2pa()
    settings: dict[str, Any] = copy.deepcopy(dict(_NO_NETWORK))
    if pem:
        settings["trust"] = {"trust_anchors": pem}
    with (
        c2pa.Context.from_dict(settings) as context,
        c2pa.Reader(MEDIA_TYPES[kind], stream, context=context) as reader,
    ):
        store = json.loads(reader.json())
    return store if isinstance(store, dict) else {}


def _unreadable_credentials(why: str) -> ContentCredentials:
    return ContentCredentials(
        state="unreadable",
        says=f"The file carries content credentials that cannot be read: {bound_text(why, 200)}",
    )
