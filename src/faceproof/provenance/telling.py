"""From statements to findings: what a file says of its origin, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from faceproof.provenance.findings import (
    ContentCredentials,
    ProvenanceFinding,
    bounded,
)
from faceproof.provenance.source_types import DIGITAL_SOURCE_TYPES, source_type
from faceproof.provenance.statements import Statement
from faceproof.provenance.traces import traces

_SOURCE_TYPE_KEYS = frozenset(
    {"xmp:digitalsourcetype", "xmp:digitalsourcefiletype", "credentials:digital_source_type"}
)


def trace_findings(told: Iterable[Statement]) -> Iterator[ProvenanceFinding]:
    """Yield one finding for each generator and place that a table's entry fits."""
    seen: set[tuple[str, str]] = set()
    for statement in told:
        for trace, text in traces(statement):
            if (trace.generator, statement.where) in seen:
                continue
            seen.add((trace.generator, statement.where))
            yield ProvenanceFinding(
                kind="generator_trace",
                says=f"{_who(statement)} that the picture comes from {trace.generator}.",
                value=bounded(text),
                where=bounded(statement.where),
                points_to=trace.points_to,
            )


def source_type_findings(
    told: Iterable[Statement], *, broken: bool = False
) -> Iterator[ProvenanceFinding]:
    """Yield one finding for each digital source type; ``broken``: the credentials do not hold.

    That broken credentials speak of a camera points to nothing: they may be of another picture.
    """
    seen: set[str] = set()
    for statement in told:
        if statement.key.lower() not in _SOURCE_TYPE_KEYS or statement.text in seen:
            continue
        seen.add(statement.text)
        code = source_type(statement.text)
        known = DIGITAL_SOURCE_TYPES[code] if code else None
        says = f"it was {known.says}" if known else "it has an origin for which IPTC has no word"
        points_to = known.points_to if known else "nothing"
        if broken and _of_credentials(statement) and points_to == "captured":
            points_to = "nothing"
        yield ProvenanceFinding(
            kind="digital_source_type",
            says=f"{_who(statement)} of the picture that {says}.",
            value=bounded(code or statement.text),
            where=bounded(statement.where),
            points_to=points_to,
        )


def remote_findings(told: Iterable[Statement]) -> Iterator[ProvenanceFinding]:
    """Yield that credentials are said to be kept at an address, which is not visited.

    Source: C2PA Technical Specification 2.2, section 11.4.
    """
    for statement in told:
        if statement.key == "xmp:provenance" and "://" in statement.text:
            yield ProvenanceFinding(
                kind="credentials",
                says="The file names an address where content credentials of it are kept. "
                "faceproof fetches nothing that a file names, so they were not read.",
                value=bounded(statement.text),
                where=bounded(statement.where),
            )
            return


def credential_findings(found: ContentCredentials, fault: str) -> Iterator[ProvenanceFinding]:
    """Yield that there are credentials, and what is wrong with them or with the trust list."""
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
            says=bounded(f"The trust list cannot be used: {fault}.", 300),
            where="trust list",
        )


def _of_credentials(statement: Statement) -> bool:
    return statement.key.startswith("credentials:")


def _who(statement: Statement) -> str:
    """Return who says it, and what such words are worth."""
    if _of_credentials(statement):
        return "The content credentials say"
    return "The metadata, which anyone can write or copy, say"
