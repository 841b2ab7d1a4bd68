"""`read_provenance`: all evidence of origin in a picture's file, in bounded time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from faceproof.imaging.containers.base import MAX_BLOCKS, MAX_TOTAL_BYTES, Block, Container
from faceproof.imaging.decode import Pixels
from faceproof.imaging.formats import FORMATS
from faceproof.installation import install_command
from faceproof.provenance.credentials import (
    ABSENT,
    MEDIA_TYPES,
    SignedCredentials,
    credential_findings,
    has_credentials,
    read_credentials,
    read_trust_list,
    remote_findings,
)
from faceproof.provenance.editors import editing_findings
from faceproof.provenance.metadata import Exif, read_exif
from faceproof.provenance.records import (
    MOST_FINDINGS,
    ContentCredentials,
    ProvenanceFinding,
    Statement,
    UnreadableBlock,
    bound_text,
    statements,
)
from faceproof.provenance.saving import camera_finding, preview_finding, saving_findings
from faceproof.provenance.traces import (
    mention_findings,
    source_type_findings,
    trace_findings,
)

Findings = tuple[ProvenanceFinding, ...]


@dataclass
class _Metadata:
    """The content of a file's metadata blocks, by kind."""

    claims: list[Statement] = field(default_factory=list)
    faults: list[UnreadableBlock] = field(default_factory=list)
    exif: Exif = field(default_factory=Exif)


def read_provenance(
    data: bytes,
    *,
    kind: str,
    pixels: Pixels | None = None,
    container: Container | None = None,
) -> tuple[ContentCredentials | None, Findings]:
    """Return the content credentials of a picture's file, and the other findings on its origin.

    ``kind`` is the format as `faceproof.imaging.formats` names it; a picture without a file, or of
    a format without metadata, has no findings. ``pixels``, upright, are compared with the preview
    in the file; without them the preview is not read. ``container`` is the parsed file, if
    available.

    The credentials are None if there is no file, or if it carries some and c2pa is not installed.
    Nothing is raised for a hostile file: unreadable metadata is a finding of the kind "unreadable".
    """
    if not data or kind not in MEDIA_TYPES:
        return (ABSENT if data else None), ()
    signed, missing = _read_signed(data, kind)
    container = container or FORMATS[kind].container(data)
    metadata = _read_metadata(container)
    claims = [*(signed.statements if signed else ()), *metadata.claims]
    broken = signed is not None and signed.credentials.state in {"tampered", "invalid"}
    findings = [
        *missing,
        *(credential_findings(signed.credentials, signed.fault) if signed else ()),
        *trace_findings(claims),
        *source_type_findings(claims, broken=broken),
        *remote_findings(claims),
        *editing_findings(claims),
        *_camera_findings(metadata.exif, pixels),
        *mention_findings(claims),
        *saving_findings(container.jpeg_header, metadata.claims),
        *map(_unreadable_finding, metadata.faults),
        *_no_metadata_finding(metadata, signed),
    ]
    return (signed.credentials if signed else None), _limit_findings(findings)


def _limit_findings(findings: list[ProvenanceFinding]) -> Findings:
    """Return the findings; if there are too many, the first ones and the number omitted."""
    if len(findings) <= MOST_FINDINGS:
        return tuple(findings)
    left_out = len(findings) - MOST_FINDINGS + 1
    more = ProvenanceFinding(
        kind="unreadable", says=f"{left_out} more findings are not listed.", where="file"
    )
    return (*findings[: MOST_FINDINGS - 1], more)


def _read_signed(data: bytes, kind: str) -> tuple[SignedCredentials | None, Findings]:
    """Return the credentials, or a finding that they exist and c2pa is not installed."""
    if not has_credentials(data):
        return SignedCredentials(ABSENT), ()
    try:
        return read_credentials(data, kind, read_trust_list()), ()
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        remedy = install_command("provenance") if missing else bound_text(str(error), 200)
        return None, (
            ProvenanceFinding(
                kind="credentials",
                says=f"The file carries content credentials, which were not read: {remedy}.",
                where="content credentials",
            ),
        )


def _read_metadata(container: Container) -> _Metadata:
    """Return the content of a file's blocks; if they exceed the limits, of the first ones."""
    found, size = _Metadata(), 0
    for number, block in enumerate(container.blocks()):
        size += len(block.data) if block.kind != "exif" else 0
        if number == MAX_BLOCKS or size > MAX_TOTAL_BYTES:
            found.faults.append(
                UnreadableBlock("metadata", "there is too much of it; the rest was not read")
            )
            break
        _take(found, block)
    return found


def _take(found: _Metadata, block: Block) -> None:
    exif = read_exif(block.data) if block.kind == "exif" else None
    if exif and not found.exif.texts:
        found.exif = exif
    for claim in statements(block, exif):
        if isinstance(claim, UnreadableBlock):
            found.faults.append(claim)
        else:
            found.claims.append(claim)


def _camera_findings(exif: Exif, pixels: Pixels | None) -> Iterator[ProvenanceFinding]:
    if finding := camera_finding(exif):
        yield finding
    if pixels is not None and (finding := preview_finding(exif, pixels)):
        yield finding


def _unreadable_finding(fault: UnreadableBlock) -> ProvenanceFinding:
    return ProvenanceFinding(
        kind="unreadable",
        says=bound_text(f"{fault.where} cannot be read: {fault.why}", 300) + ".",
        where=bound_text(fault.where),
    )


def _no_metadata_finding(
    metadata: _Metadata, signed: SignedCredentials | None
) -> Iterable[ProvenanceFinding]:
    """Yield a finding if the file has no metadata at all."""
    if metadata.claims or metadata.faults or not signed or signed.credentials.state != "absent":
        return
    yield ProvenanceFinding(
        kind="metadata",
        says="The file carries no metadata. That proves nothing: web sites and messengers strip"
        " it from photographs and from generated pictures alike.",
        where="file",
    )
