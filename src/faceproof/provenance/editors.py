"""EDITORS: signatures of programs that edit or save pictures, in the metadata of files.

A name counts where programs sign, at the beginning of the value; in a comment, which people write
too, only in the words of the program itself ("Created with GIMP").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from faceproof.provenance.records import ProvenanceFinding, Statement, bound_text
from faceproof.provenance.traces import PROGRAMS


@dataclass(frozen=True, slots=True)
class Program:
    """A program and the case-insensitive pattern of its name; ``edits``: it is an editor."""

    name: str
    pattern: str
    edits: bool = True


#: The more specific ones come first.
EDITORS: tuple[Program, ...] = (
    Program("Adobe Lightroom", r"Lightroom"),
    Program("Adobe Camera Raw", r"Camera Raw"),
    Program("Adobe Photoshop", r"Photoshop"),
    Program("Adobe Express or Illustrator", r"Adobe[ _](?:Express|Illustrator|Spark)"),
    Program("GIMP", r"GIMP\b"),
    Program("Snapseed", r"Snapseed"),
    Program("Canva", r"Canva\b"),
    Program("PicsArt", r"Pics?Art"),
    Program("Affinity Photo", r"Affinity"),
    Program("Capture One", r"Capture One"),
    Program("DxO", r"DxO\b"),
    Program("Luminar", r"Luminar\b"),
    Program("darktable", r"darktable"),
    Program("RawTherapee", r"RawTherapee"),
    Program("Pixelmator", r"Pixelmator"),
    Program("Paint.NET", r"paint\.net"),
    Program("Microsoft Paint or Photos", r"Microsoft (?:Paint|Windows Photo|Photos)|Paint 3D\b"),
    Program("Pixlr", r"Pixlr"),
    Program("Photopea", r"Photopea"),
    Program("Fotor", r"Fotor\b"),
    Program("BeFunky", r"BeFunky"),
    Program("VSCO", r"VSCO\b"),
    Program("PaintShop Pro", r"Paint ?Shop"),
    Program("ACDSee", r"ACDSee"),
    Program("Corel", r"Corel"),
    Program("Krita", r"Krita\b"),
    Program("digiKam", r"digiKam"),
    Program("Picasa", r"Picasa\b"),
    Program("Polarr", r"Polarr"),
    Program("a photo editor", r"Photo ?Editor"),
    Program("IrfanView", r"IrfanView"),
    Program("XnView", r"XnView"),
    Program("FastStone", r"FastStone"),
    Program("PhotoScape", r"PhotoScape"),
    Program("Topaz", r"Topaz\b"),
    Program("ImageMagick, much used by web sites", r"ImageMagick", edits=False),
    Program("the GD library, much used by web sites", r"gd-jpeg\b", edits=False),
    Program("FFmpeg, much used to take frames out of videos", r"Lav[cf]\d", edits=False),
)
_KEYS = frozenset({*PROGRAMS, "editor"})
_COMMENTS = frozenset({"png:comment", "comment"})
_MAKERS = (
    r"(?:(?:Adobe|Google|Microsoft|Windows|Apple|Samsung|Android|MIUI|The|Skylum|Macphun|Serif"
    r"|Corel|Jasc|Aviary|Fotor|Polarr|Photoshop)[ _]+)*"
)
# The words with which programs sign in comments.
_SIGNED = r"(?:Created with |CREATOR: |File written by |Processed by eBay with )"
_COMPILED = tuple(
    (
        program,
        re.compile(rf"(?i)^\s*{_SIGNED}?{_MAKERS}(?:{program.pattern})"),
        re.compile(rf"(?i)^\s*(?:{_SIGNED}{_MAKERS}(?:{program.pattern})|Lav[cf]\d)"),
    )
    for program in EDITORS
)
_RAW_SETTINGS = "crs:"
_CAMERA_RAW = next(program for program in EDITORS if program.name == "Adobe Camera Raw")
_DID = {
    True: "saved or edited it. What was changed",
    False: "saved it. Whether anything was changed",
}


def find_editor(statement: Statement) -> Program | None:
    """Return the program that wrote this statement, if it is in the table.

    >>> find_editor(Statement("EXIF Software", "exif:Software", "Adobe Photoshop 25.1")).name
    'Adobe Photoshop'
    """
    key = statement.key.lower()
    if key.startswith(_RAW_SETTINGS):
        return _CAMERA_RAW
    if key not in _KEYS | _COMMENTS:
        return None
    text = statement.text[:500]
    matching = (
        program
        for program, name, phrase in _COMPILED
        if (phrase if key in _COMMENTS else name).search(text)
    )
    return next(matching, None)


def editing_findings(statements: Iterable[Statement]) -> Iterator[ProvenanceFinding]:
    """Yield one finding for each program, at the first place that names it."""
    seen: set[Program] = set()
    for statement in statements:
        program = find_editor(statement)
        if program is None or program in seen:
            continue
        seen.add(program)
        yield ProvenanceFinding(
            kind="editing_software",
            says=f"The file says that {program.name} {_DID[program.edits]}, it does not say.",
            value=bound_text(statement.text),
            where=bound_text(statement.where),
            points_to="edited" if program.edits else "nothing",
        )
