"""TRACES and EDITORS: traces of generators, apps and editors in the metadata of files.

``keys`` are those of `faceproof.provenance.records`, in lower case. ``known_from`` is the source of
a pattern: "code" for public code of the generator, "readers" for several public programs that read
such files, "samples" for published files and listings of their metadata, "memory" for patterns that
no available file confirms.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from faceproof.provenance.records import (
    DIGITAL_SOURCE_TYPES,
    ContentCredentials,
    PointsTo,
    ProvenanceFinding,
    Statement,
    bound_text,
    source_type,
)

_KnownFrom = Literal["code", "readers", "samples", "memory"]

#: Keys in which programs write their names.
PROGRAMS = (
    *("exif:software", "exif:processingsoftware", "exif:make", "png:software", "xmp:creatortool"),
    *("xmp:software", "xmp:softwareagent", "iim:originatingprogram", "editor"),
    *("credentials:claim_generator", "credentials:software_agent"),
)
#: Keys of authors and sources; people are named here too, so that short names are ambiguous.
CREDITS = (
    *("xmp:credit", "iim:credit", "iim:source", "png:credit", "png:source", "png:author"),
    "credentials:signer",
)
#: Keys of prompts and settings.
TEXTS = (
    *("png:parameters", "png:comment", "png:description", "png:usercomment", "comment"),
    *("exif:usercomment", "exif:imagedescription", "exif:xpcomment", "xmp:usercomment"),
    *("xmp:description", "iim:caption"),
)


@dataclass(frozen=True, slots=True)
class Trace:
    """A pattern in the values of some keys in files of one generator; ``sample`` matches it."""

    generator: str
    keys: tuple[str, ...]
    pattern: str
    sample: str
    known_from: _KnownFrom
    points_to: PointsTo = "made_by_ai"


def _generator_trace(
    generator: str, pattern: str, sample: str, known_from: _KnownFrom = "memory"
) -> Trace:
    """Return the trace of a generator with an unambiguous name."""
    return Trace(generator, (*PROGRAMS, *CREDITS), pattern, sample, known_from)


def _program_trace(generator: str, pattern: str, sample: str) -> Trace:
    """Return the trace of a generator whose name is also that of people or places."""
    return Trace(generator, PROGRAMS, pattern, sample, "memory")


def _face_app_trace(app: str) -> Trace:
    """Return the trace of an app that alters faces and writes its name into the file."""
    return Trace(
        f"{app}, an app that alters faces", PROGRAMS, rf"^{app}\b", f"{app} 5.1", "memory", "edited"
    )


#: The first trace that matches a statement is reported, so that specific ones come first.
TRACES: tuple[Trace, ...] = (
    Trace("SwarmUI", TEXTS, r'"sui_image_params"', '{"sui_image_params": {"seed": 1}}', "code"),
    Trace("Fooocus", ("png:fooocus_scheme",), r".", "fooocus", "code"),
    Trace("Fooocus", TEXTS, r"\bFooocus\b", '{"version": "Fooocus v2.5.5"}', "readers"),
    Trace(
        "Stable Diffusion in AUTOMATIC1111, Forge or a like program",
        TEXTS,
        r"\bSteps: \d{1,5},(?:(?!Steps: )[^\n]){0,400}?\b(?:Sampler|CFG scale): ",
        "a portrait\nNegative prompt: hat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1",
        "readers",
    ),
    Trace(
        "ComfyUI",
        ("png:prompt", *TEXTS),
        r'"class_type"\s*:',
        '{"3": {"class_type": "K"}}',
        "readers",
    ),
    Trace(
        "ComfyUI",
        ("png:workflow",),
        r'"(?:nodes|links|last_node_id)"\s*:',
        '{"nodes": []}',
        "readers",
    ),
    Trace(
        "ComfyUI",
        ("exif:make", "exif:model", "exif:imagedescription", "exif:usercomment"),
        r"(?i)^\s*(?:prompt|workflow)\s*:\s*\{",
        'workflow:{"nodes": []}',
        "readers",
    ),
    Trace(
        "InvokeAI",
        ("png:invokeai_metadata", "png:invokeai_graph", "png:sd-metadata", "png:dream"),
        r".",
        '{"positive_prompt": "a portrait"}',
        "code",
    ),
    Trace("NovelAI", (*PROGRAMS, *CREDITS), r"^NovelAI\b", "NovelAI Diffusion V4.5", "samples"),
    Trace(
        "NovelAI",
        ("png:comment", "exif:usercomment"),
        r'"(?:signed_hash|request_type)"\s*:',
        '{"steps": 28, "uc": "hat", "signed_hash": "x"}',
        "readers",
    ),
    Trace("Draw Things", PROGRAMS, r"\bDraw Things\b", "Draw Things", "readers"),
    Trace(
        "Easy Diffusion",
        ("png:use_stable_diffusion_model", "png:stable diffusion model"),
        r".",
        "sd-v1-5",
        "code",
    ),
    Trace(
        "Midjourney",
        TEXTS,
        r"\bJob ID:\s*[0-9a-f]{8}-[0-9a-f]{4}-",
        "a portrait --v 6.1 Job ID: 6269d474-e4e5-47ee-d5a2-c1edc388fd00",
        "readers",
    ),
    _generator_trace("Midjourney", r"(?i)\bMidjourney\b", "Midjourney", "readers"),
    _generator_trace(
        "OpenAI (DALL-E, ChatGPT, Sora)",
        r"(?i)\b(?:OpenAI\b|ChatGPT\b|DALL[-\u00b7. ]?E\b|GPT-4o\b|gpt-image)",
        "OpenAI-API c2pa-rs/0.28.4",
        "samples",
    ),
    _program_trace("OpenAI (DALL-E, ChatGPT, Sora)", r"\bSora\b", "Sora"),
    _generator_trace("Adobe Firefly", r"(?i)(?:\b|_)Firefly\b", "Adobe_Firefly", "samples"),
    _generator_trace(
        "Google AI (Gemini, Imagen, Google Photos)",
        r"(?i)\b(?:Made|Edited) with Google AI\b|\bGoogle Generative AI\b",
        "Made with Google AI",
        "samples",
    ),
    _program_trace(
        "Google AI (Gemini, Imagen, Google Photos)", r"\b(?:Imagen|Gemini)\b", "Imagen 4"
    ),
    _generator_trace(
        "Microsoft (Bing Image Creator, Designer)",
        r"(?i)Microsoft[_ ]Responsible[_ ]AI|\bImage Creator\b|\bMicrosoft Designer\b",
        "Microsoft_Responsible_AI/1.0",
        "samples",
    ),
    _generator_trace(
        "Apple Image Playground", r"(?i)\bImage Playground\b", "Apple Image Playground", "code"
    ),
    _generator_trace("Meta AI", r"(?i)\bMeta AI\b|\bImagined with AI\b", "Made with Meta AI"),
    Trace(
        "Grok (xAI)",
        ("exif:imagedescription", "exif:usercomment", "exif:xpcomment"),
        r"^Signature:\s*[A-Za-z0-9+/]{40,}={0,2}",
        "Signature: " + 12 * "AbC1",
        "memory",
    ),
    _program_trace("Grok (xAI)", r"\b(?:xAI|Grok)\b", "xAI Grok"),
    _generator_trace(
        "FLUX (Black Forest Labs)",
        r"(?i)\bBlack Forest Labs\b|\bAI generated;\w+;flux\b|\bFLUX\.[12]\b",
        "AI generated;txt2img;flux",
        "code",
    ),
    _generator_trace(
        "Stability AI",
        r"(?i)\bStability ?AI\b|\bDreamStudio\b|\bStable ?Diffusion\b|\bSDXL\b",
        "Stability AI",
    ),
    Trace(
        "a generator that carries China's label for AI content",
        ("xmp:aigc", "png:aigc"),
        r'"?Label"?\s*:\s*"?[123]\b',
        '{"Label":"1","ContentProducer":"x","ProduceID":"1"}',
        "samples",
    ),
    Trace(
        "a generator that carries China's label for AI content",
        TEXTS,
        r'\bAIGC\b.{0,40}"Label"\s*:\s*"?[123]\b',
        '{"AIGC": {"Label":"1","ContentProducer":"x"}}',
        "samples",
    ),
    _generator_trace("Leonardo.Ai", r"(?i)\bLeonardo\.? ?AI\b", "Leonardo.Ai"),
    _program_trace("Ideogram", r"(?i)\bIdeogram\b", "Ideogram AI"),
    _program_trace(
        "another image generator",
        r"(?i)\b(?:Recraft|Playground ?AI|Krea ?AI|NightCafe|Craiyon|Runway ?ML|Seedream|Dreamina"
        r"|Jimeng|Kling ?AI|Qwen-Image|Kandinsky|Artbreeder|StyleGAN\d?)\b",
        "NightCafe Creator",
    ),
    _generator_trace(
        "an image generator that does not say which",
        r"(?i)\bAI[- ]generated\b|\bgenerated (?:by|with) AI\b|\btext[- _]to[- _]image\b",
        "AI generated",
    ),
    *map(
        _face_app_trace,
        ("FaceApp", "Reface", "Facetune", "Facetune2", "FaceMagic", "FacePlay", "Remini"),
    ),
    *map(
        _face_app_trace,
        ("Lensa", "YouCam", "BeautyPlus", "Meitu", "MyHeritage", "SNOW", "Faceu", "B612"),
    ),
)

_LONGEST_NAME = 2000  # no program's name is longer; texts are searched in full
_SHORT = frozenset((*PROGRAMS, *CREDITS))
_BY_KEY: dict[str, list[tuple[Trace, re.Pattern[str]]]] = {}
for _trace in TRACES:
    for _key in _trace.keys:
        _BY_KEY.setdefault(_key, []).append((_trace, re.compile(_trace.pattern)))


def find_traces(statement: Statement) -> Iterator[tuple[Trace, str]]:
    """Yield the first trace that matches a statement, and the text from the match on."""
    key = statement.key.lower()
    text = statement.text[:_LONGEST_NAME] if key in _SHORT else statement.text
    for trace, pattern in _BY_KEY.get(key, ()):
        if found := pattern.search(text):
            yield trace, f"… {text[found.start() :]}" if found.start() > 200 else text
            return


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


def find_editor(statement: Statement) -> Program | None:
    """Return the program that wrote this statement, if it is in the table.

    >>> find_editor(Statement("EXIF Software", "exif:Software", "Adobe Photoshop 25.1")).name
    'Adobe Photoshop'
    """
    if statement.where.startswith(_RAW_SETTINGS):
        return _CAMERA_RAW
    if statement.key.lower() not in _KEYS:
        return None
    text = statement.text[:500]
    return next((program for program, pattern in _COMPILED if pattern.search(text)), None)


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


_SOURCE_TYPE_KEYS = frozenset(
    {"xmp:digitalsourcetype", "xmp:digitalsourcefiletype", "credentials:digital_source_type"}
)


def trace_findings(claims: Iterable[Statement]) -> Iterator[ProvenanceFinding]:
    """Yield one finding for each generator and place that matches an entry of the table."""
    seen: set[tuple[str, str]] = set()
    for statement in claims:
        for trace, text in find_traces(statement):
            if (trace.generator, statement.where) in seen:
                continue
            seen.add((trace.generator, statement.where))
            yield ProvenanceFinding(
                kind="generator_trace",
                says=f"{_name_source(statement)} that the picture comes from {trace.generator}.",
                value=bound_text(text),
                where=bound_text(statement.where),
                points_to=trace.points_to,
            )


def source_type_findings(
    claims: Iterable[Statement], *, broken: bool = False
) -> Iterator[ProvenanceFinding]:
    """Yield one finding for each digital source type; ``broken``: the credentials are invalid.

    A camera named by invalid credentials is not evidence: they may be of another picture.
    """
    seen: set[str] = set()
    for statement in claims:
        if statement.key.lower() not in _SOURCE_TYPE_KEYS or statement.text in seen:
            continue
        seen.add(statement.text)
        code = source_type(statement.text)
        known = DIGITAL_SOURCE_TYPES[code] if code else None
        says = f"it was {known.says}" if known else "it has an origin for which IPTC has no word"
        points_to = known.points_to if known else "nothing"
        if broken and _is_from_credentials(statement) and points_to == "captured":
            points_to = "nothing"
        yield ProvenanceFinding(
            kind="digital_source_type",
            says=f"{_name_source(statement)} of the picture that {says}.",
            value=bound_text(code or statement.text),
            where=bound_text(statement.where),
            points_to=points_to,
        )


def remote_findings(claims: Iterable[Statement]) -> Iterator[ProvenanceFinding]:
    """Yield a finding for a URL of remote credentials, which is not fetched.

    Source: C2PA Technical Specification 2.2, section 11.4.
    """
    for statement in claims:
        if statement.key == "xmp:provenance" and "://" in statement.text:
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


def _is_from_credentials(statement: Statement) -> bool:
    return statement.key.startswith("credentials:")


def _name_source(statement: Statement) -> str:
    """Return the source of a statement, and how reliable it is."""
    if _is_from_credentials(statement):
        return "The content credentials say"
    return "The metadata, which anyone can write or copy, say"
