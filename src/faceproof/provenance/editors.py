"""EDITORS: the programs that edit pictures and sign their files, by the names they sign with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from faceproof.provenance.findings import ProvenanceFinding, bounded
from faceproof.provenance.statements import Statement


@dataclass(frozen=True, slots=True)
class Program:
    """A program and the pattern of its signature, in any letters; ``edits``: it is made to edit."""

    name: str
    pattern: str
    edits: bool = True


#: The more exact ones stand first.
EDITORS: tuple[Program, ...] = (
    Program("Adobe Lightroom", r"Lightroom"),
    Program("Adobe Camera Raw", r"Camera Raw"),
    Program("Adobe Photoshop", r"Photoshop"),
    Program("Adobe Express or Illustrator", r"Adobe (?:Express|Illustrator|Spark)"),
    Program("GIMP", r"\bGIMP\b"),
    Program("Snapseed", r"Snapseed"),
    Program("Canva", r"\bCanva\b"),
    Program("PicsArt", r"Pics?Art"),
    Program("Affinity Photo", r"Affinity"),
    Program("Capture One", r"Capture One"),
    Program("DxO", r"\bDxO\b"),
    Program("Luminar", r"\bLuminar\b"),
    Program("darktable", r"darktable"),
    Program("RawTherapee", r"RawTherapee"),
    Program("Pixelmator", r"Pixelmator"),
    Program("Paint.NET", r"paint\.net"),
    Program("Microsoft Paint or Photos", r"Microsoft (?:Paint|Windows Photo|Photos)|\bPaint 3D\b"),
    Program("Pixlr", r"Pixlr"),
    Program("Photopea", r"Photopea"),
    Program("Fotor", r"\bFotor\b"),
    Program("BeFunky", r"BeFunky"),
    Program("VSCO", r"\bVSCO\b"),
    Program("PaintShop Pro", r"Paint ?Shop"),
    Program("ACDSee", r"ACDSee"),
    Program("Corel", r"\bCorel"),
    Program("Krita", r"\bKrita\b"),
    Program("digiKam", r"digiKam"),
    Program("Picasa", r"\bPicasa\b"),
    Program("Polarr", r"Polarr"),
    Program("a photo editor", r"Photo ?Editor"),
    Program("IrfanView", r"IrfanView"),
    Program("XnView", r"XnView"),
    Program("FastStone", r"FastStone"),
    Program("PhotoScape", r"PhotoScape"),
    Program("Topaz", r"\bTopaz\b"),
    Program("ImageMagick, much used by web sites", r"ImageMagick", edits=False),
    Program("the GD library, much used by web sites", r"\bgd-jpeg\b", edits=False),
    Program("FFmpeg, much used to take frames out of videos", r"^Lav[cf]\d", edits=False),
)
_KEYS = frozenset(
    (
        *("exif:software", "exif:processingsoftware", "png:software", "png:comment", "comment"),
        *("xmp:creatortool", "xmp:softwareagent", "xmp:software", "iim:originatingprogram"),
        *("credentials:claim_generator", "credentials:software_agent", "editor"),
    )
)
_COMPILED = tuple((program, re.compile(program.pattern, re.IGNORECASE)) for program in EDITORS)
_RAW_SETTINGS = "XMP crs:"
_CAMERA_RAW = next(program for program in EDITORS if program.name == "Adobe Camera Raw")
_DID = {
    True: "saved or edited it. What was changed",
    False: "saved it. Whether anything was changed",
}


def editor(statement: Statement) -> Program | None:
    """Return the program that signed with this statement, where it is in the table.

    >>> editor(Statement("EXIF Software", "exif:Software", "Adobe Photoshop 25.1")).name
    'Adobe Photoshop'
    """
    if statement.where.startswith(_RAW_SETTINGS):
        return _CAMERA_RAW
    if statement.key.lower() not in _KEYS:
        return None
    text = statement.text[:500]
    return next((program for program, pattern in _COMPILED if pattern.search(text)), None)


def editing_findings(statements: Iterable[Statement]) -> Iterator[ProvenanceFinding]:
    """Yield one finding for each program that signed, at the first place where it did."""
    seen: set[Program] = set()
    for statement in statements:
        program = editor(statement)
        if program is None or program in seen:
            continue
        seen.add(program)
        yield ProvenanceFinding(
            kind="editing_software",
            says=f"The file says that {program.name} {_DID[program.edits]}, it does not say.",
            value=bounded(statement.text),
            where=bounded(statement.where),
            points_to="edited" if program.edits else "nothing",
        )
