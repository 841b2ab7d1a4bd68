"""`read_provenance`: all evidence of origin in a picture's file, in bounded time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from faceproof.imaging.containers.base import MAX_BLOCKS, MAX_TOTAL_BYTES, Block, Container
from faceproof.imaging.decode import Pixels
from faceproof.imaging.formats import FORMATS
from faceproof.provenance.credentials import (
    ABSENT,
    MEDIA_TYPES,
    Signed,
    has_credentials,
    read_credentials,
    trust_list,
)
from faceproof.provenance.metadata import Exif, read_exif
from faceproof.provenance.records import (
    MOST_FINDINGS,
    ContentCredentials,
    Fault,
    ProvenanceFinding,
    Statement,
    bounded,
    statements,
)
from faceproof.provenance.saving import camera_finding, preview_finding, saving_findings
from faceproof.provenance.traces import (
    credential_findings,
    editing_findings,
    remote_findings,
    source_type_findings,
    trace_findings,
)

Findings = tuple[ProvenanceFinding, ...]


@dataclass
class _Metadata:
    """The content of a file's metadata blocks, by kind."""

    told: list[Statement] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
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
    signed, missing = _signed(data, kind)
    container = container or FORMATS[kind].container(data)
    metadata = _metadata(container)
    told = [*(signed.statements if signed else ()), *metadata.told]
    broken = signed is not None and signed.credentials.state in {"tampered", "invalid"}
    findings = [
        *missing,
        *(credential_findings(signed.credentials, signed.fault) if signed else ()),
        *trace_findings(told),
        *source_type_findings(told, broken=broken),
        *remote_findings(told),
        *editing_findings(told),
        *_camera(metadata.exif, pixels),
        *saving_findings(container.jpeg_header, metadata.told),
        *map(_unreadable, metadata.faults),
        *_nothing(metadata, signed),
    ]
    return (signed.credentials if signed else None), _bounded(findings)


def _bounded(findings: list[ProvenanceFinding]) -> Findings:
    """Return the findings; if there are too many, the first ones and the number omitted."""
    if len(findings) <= MOST_FINDINGS:
        return tuple(findings)
    left_out = len(findings) - MOST_FINDINGS + 1
    more = ProvenanceFinding(
        kind="unreadable", says=f"{left_out} more findings are not listed.", where="file"
    )
    return (*findings[: MOST_FINDINGS - 1], more)


def _signed(data: bytes, kind: str) -> tuple[Signed | None, Findings]:
    """Return the credentials, or a finding that they exist and c2pa is not installed."""
    if not has_credentials(data):
        return Signed(ABSENT), ()
    try:
        return read_credentials(data, kind, trust_list()), ()
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        remedy = "pip install 'faceproof[provenance]'" if missing else bounded(str(error), 200)
        return None, (
            ProvenanceFinding(
                kind="credentials",
                says=f"The file carries content credentials, which were not read: {remedy}.",
                where="content credentials",
            ),
        )


def _metadata(container: Container) -> _Metadata:
    """Return the content of a file's blocks; if they exceed the limits, of the first ones."""
    found, size = _Metadata(), 0
    for number, block in enumerate(container.blocks()):
        size += len(block.data) if block.kind != "exif" else 0
        if number == MAX_BLOCKS or size > MAX_TOTAL_BYTES:
            found.faults.append(Fault("metadata", "there is too much of it; the rest was not read"))
            break
        _take(found, block)
    return found


def _take(found: _Metadata, block: Block) -> None:
    exif = read_exif(block.data) if block.kind == "exif" else None
    if exif and not found.exif.texts:
        found.exif = exif
    for told in statements(block, exif):
        if isinstance(told, Fault):
            found.faults.append(told)
        else:
            found.told.append(told)


def _camera(exif: Exif, pixels: Pixels | None) -> Iterator[ProvenanceFinding]:
    if finding := camera_finding(exif):
        yield finding
    if pixels is not None and (finding := preview_finding(exif, pixels)):
        yield finding


def _unreadable(fault: Fault) -> ProvenanceFinding:
    return ProvenanceFinding(
        kind="unreadable",
        says=bounded(f"{fault.where} cannot be read: {fault.why}", 300) + ".",
        where=bounded(fault.where),
    )


def _nothing(metadata: _Metadata, signed: Signed | None) -> Iterable[ProvenanceFinding]:
    """Yield a finding if the file has no metadata at all."""
    if metadata.told or metadata.faults or not signed or signed.credentials.state != "absent":
        return
    yield ProvenanceFinding(
        kind="metadata",
        says="The file carries no metadata. That proves nothing: web sites and messengers strip"
        " it from photographs and from generated pictures alike.",
        where="file",
    )
