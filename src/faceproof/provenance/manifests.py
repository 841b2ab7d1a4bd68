"""What a store of C2PA manifests, read as JSON, says; its form is believed in nothing.

Source: C2PA Technical Specification 2.2, sections 15 (validation), 18.15 (actions).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from faceproof.provenance.findings import (
    MOST_LISTED,
    ContentCredentials,
    CredentialState,
    bounded,
)
from faceproof.provenance.statements import Statement
from faceproof.provenance.trust import VARIABLE

# What C2PA calls it when a hash or a signature does not fit, or a part that was signed is gone.
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
_MOST = 200  # of actions and failures that are looked at


def credentials(
    store: Mapping[str, Any], *, list_given: bool
) -> tuple[ContentCredentials, tuple[Statement, ...]]:
    """Return whether a store holds, and what its active manifest states for the tables."""
    manifest = _dict(_dict(store.get("manifests")).get(str(store.get("active_manifest"))))
    signature = _dict(manifest.get("signature_info"))
    failures = list(_failures(store))
    state = _state(str(store.get("validation_state")), failures)
    signer = _signer(signature)
    told = tuple(_statements(manifest, signer))
    found = ContentCredentials(
        state=state,
        says=_words(state, signer or "someone unnamed", failures, list_given=list_given),
        signer=signer or None,
        issued=bounded(str(signature["time"])) if signature.get("time") else None,
        claim_generator=next(iter(_texts(told, "credentials:claim_generator")), None),
        actions=_listed(str(action.get("action", "")) for action in _actions(manifest)),
        digital_source_types=_listed(_texts(told, "credentials:digital_source_type")),
        ingredients=len(_list(manifest.get("ingredients"))),
        validation_codes=_listed(failures),
    )
    return found, told


def _state(said: str, failures: list[str]) -> CredentialState:
    if any(code.endswith(_CHANGED) or code in _GONE for code in failures):
        return "tampered"
    return _STATES.get(said, "invalid")


def _words(state: CredentialState, signer: str, failures: list[str], *, list_given: bool) -> str:
    """Return what a state means, in a sentence or two."""
    signed = bounded(f"The file carries content credentials signed as {signer}", 300)
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
    return bounded(f"{signed}, but they do not hold ({reason}). Take them for unsigned.", 600)


def _failures(store: Mapping[str, Any]) -> Iterator[str]:
    """Yield the codes of what failed, in the active manifest and in those it was made from."""
    results = _dict(store.get("validation_results"))
    deltas = [
        _dict(_dict(delta).get("validationDeltas"))
        for delta in _list(results.get("ingredientDeltas"))
    ]
    for result in [_dict(results.get("activeManifest")), *deltas]:
        for failure in _list(result.get("failure"))[:_MOST]:
            yield str(_dict(failure).get("code", ""))


def _statements(manifest: Mapping[str, Any], signer: str) -> Iterator[Statement]:
    """Yield who made, signed and changed the file, as statements like those of metadata."""
    where = "content credentials"
    if signer:
        yield Statement(f"{where}, signer", "credentials:signer", signer)
    generators = [manifest.get("claim_generator"), *_list(manifest.get("claim_generator_info"))]
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
    for assertion in _list(manifest.get("assertions"))[:_MOST]:
        if str(_dict(assertion).get("label", "")).startswith("c2pa.actions"):
            actions += _list(_dict(_dict(assertion).get("data")).get("actions"))[:_MOST]
    return [_dict(action) for action in actions[:_MOST]]


def _signer(signature: Mapping[str, Any]) -> str:
    """Return the name and the organisation that the certificate bears."""
    name, organisation = str(signature.get("common_name") or ""), str(signature.get("issuer") or "")
    both = f"{name} ({organisation})" if name and organisation else name or organisation
    return bounded(both)


def _name(value: object) -> str:
    """Return a name that is a text, or a record with a name and a version."""
    record = _dict(value)
    parts = (record.get("name"), record.get("version")) if record else (value,)
    return bounded(" ".join(str(part) for part in parts if part))


def _texts(told: Iterable[Statement], key: str) -> list[str]:
    return [bounded(statement.text) for statement in told if statement.key == key]


def _listed(values: Iterable[str]) -> tuple[str, ...]:
    """Return the different values that are not empty, in order, as many as a Record takes."""
    return tuple(dict.fromkeys(bounded(value) for value in values if value))[:MOST_LISTED]


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
