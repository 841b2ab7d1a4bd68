"""EDITORS: the programs that edit pictures and sign their files, by the names they sign with."""

from __future__ import annotations

import re
from collections.abc import Iterable

from faceproof.provenance.findings import ProvenanceFinding, bounded
from faceproof.provenance.statements import Statement

#: Program and the pattern of its signature, in any letters; the more exact ones stand first.
EDITORS: tuple[tuple[str, str], ...] = (
    ("Adobe Lightroom", r"Lightroom"),
    ("Adobe Camera Raw", r"Camera Raw"),
    ("Adobe Photoshop", r"Photoshop"),
    ("Adobe Express or Illustrator", r"Adobe (?:Express|Illustrator|Spark)"),
    ("GIMP", r"\bGIMP\b"),
    ("Snapseed", r"Snapseed"),
    ("Canva", r"\bCanva\b"),
    ("PicsArt", r"Pics?Art"),
    ("Affinity Photo", r"Affinity"),
    ("Capture One", r"Capture One"),
    ("DxO", r"\bDxO\b"),
    ("Luminar", r"\bLuminar\b"),
    ("darktable", r"darktable"),
    ("RawTherapee", r"RawTherapee"),
    ("Pixelmator", r"Pixelmator"),
    ("Paint.NET", r"paint\.net"),
    ("Microsoft Paint or Photos", r"Microsoft (?:Paint|Windows Photo|Photos)|\bPaint 3D\b"),
    ("Pixlr", r"Pixlr"),
    ("Photopea", r"Photopea"),
    ("Fotor", r"\bFotor\b"),
    ("BeFunky", r"BeFunky"),
    ("VSCO", r"\bVSCO\b"),
    ("PaintShop Pro", r"Paint ?Shop"),
    ("ACDSee", r"ACDSee"),
    ("Corel", r"\bCorel"),
    ("Krita", r"\bKrita\b"),
    ("digiKam", r"digiKam"),
    ("Picasa", r"\bPicasa\b"),
    ("Polarr", r"Polarr"),
    ("Samsung photo editor", r"Photo ?Editor"),
    ("IrfanView", r"IrfanView"),
    ("XnView", r"XnView"),
    ("FastStone", r"FastStone"),
    ("PhotoScape", r"PhotoScape"),
    ("Topaz", r"\bTopaz\b"),
    ("ImageMagick", r"ImageMagick"),
)
_KEYS = frozenset(
    (
        *("exif:software", "exif:processingsoftware", "png:software", "png:comment", "comment"),
        *("xmp:creatortool", "xmp:softwareagent", "xmp:software", "iim:originatingprogram"),
        *("credentials:claim_generator", "credentials:software_agent", "editor"),
    )
)
_COMPILED = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in EDITORS)


def editor(statement: Statement) -> str | None:
    """Return the program that signed with this statement, where it is one that edits pictures.

    >>> editor(Statement("EXIF Software", "exif:Software", "Adobe Photoshop 25.1 (Windows)"))
    'Adobe Photoshop'
    """
    if statement.key.lower() not in _KEYS:
        return None
    text = statement.text[:500]
    return next((name for name, pattern in _COMPILED if pattern.search(text)), None)


def editing_findings(statements: Iterable[Statement]) -> Iterable[ProvenanceFinding]:
    """Yield one finding for each program that signed, at the first place where it did."""
    seen: set[str] = set()
    for statement in statements:
        program = editor(statement)
        if program and program not in seen:
            seen.add(program)
            yield ProvenanceFinding(
                kind="editing_software",
                says=f"The file says that {program} saved or edited it. "
                "What was changed, it does not say.",
                value=bounded(statement.text),
                where=bounded(statement.where),
                points_to="edited",
            )
