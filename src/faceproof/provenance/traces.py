"""TRACES: signatures of generators, and of apps that alter faces, in the metadata of files.

A statement of origin is a field made for it (settings of a generator, a label, a source type), or a
program's whole signature in a field where programs sign. Credits, captions, comments and denials
are written by people: `mention_findings` quotes them and interprets nothing.

``keys`` are those of `faceproof.provenance.records`, in lower case. ``known_from`` is the source of
a pattern: "code" for public code of the generator, "readers" for several public programs that read
such files, "samples" for published files and listings of their metadata, "memory" for patterns that
no available file confirms.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from faceproof.provenance.records import (
    DIGITAL_SOURCE_TYPES,
    PointsTo,
    ProvenanceFinding,
    Statement,
    bound_text,
    source_type,
)

_KnownFrom = Literal["code", "readers", "samples", "memory"]

#: Fields in which programs write their names.
PROGRAMS = (
    *("exif:software", "exif:processingsoftware", "png:software", "xmp:creatortool"),
    *("tiff:software", "stevt:softwareagent", "iim:originatingprogram"),
    *("iptc4xmpext:aisystemused", "credentials:claim_generator", "credentials:software_agent"),
)
#: Fields in which programs write settings.
SETTINGS = ("png:parameters", "png:comment", "png:usercomment", "comment", "exif:usercomment")
_JSON = (*SETTINGS, "exif:imagedescription")
_AGENTS = ("iptc4xmpext:aisystemused", "credentials:software_agent")
_DEVICES = ("exif:make", *PROGRAMS)


@dataclass(frozen=True, slots=True)
class Trace:
    """A pattern in the values of some keys in files of one generator; ``sample`` matches it.

    ``beside`` is a key and a pattern that another statement of the same file must match.
    """

    generator: str
    keys: tuple[str, ...]
    pattern: str
    sample: str
    known_from: _KnownFrom
    points_to: PointsTo = "made_by_ai"
    says: str = "comes from"
    beside: tuple[str, str] | None = None


# What may follow a name: words with a digit ("v6.1", "c2pa-rs/0.28.4"), and a platform in brackets.
_VERSION = (
    r"(?:[\s/,]+[^\s/,()\d]*\d[^\s/,()]*"
    r"|\s*\((?:Windows|Mac|macOS|Linux|Android|iOS|iPhone|iPad|Web)\b[^()]{0,40}\))*"
)


def _signature(names: str) -> str:
    """Return the pattern of a value that is one of the names, with at most a version behind it.

    >>> pattern = re.compile(_signature("Midjourney"))
    >>> [bool(pattern.search(text)) for text in ("Midjourney v6.1", "not Midjourney")]
    [True, False]
    """
    return rf"(?i)^\s*(?:{names}){_VERSION}\s*$"


def _program_trace(
    generator: str,
    names: str,
    sample: str,
    known_from: _KnownFrom = "memory",
    keys: tuple[str, ...] = PROGRAMS,
) -> Trace:
    """Return the trace of a generator that signs with one of these names."""
    return Trace(generator, keys, _signature(names), sample, known_from)


def _face_app_trace(app: str) -> Trace:
    """Return the trace of an app that alters faces and writes its name into the file."""
    generator = f"{app}, an app that alters faces"
    return Trace(generator, PROGRAMS, _signature(app), f"{app} 5.1", "memory", "edited")


_OPENAI = "OpenAI (DALL-E, ChatGPT, Sora)"
_GOOGLE = "Google AI (Gemini, Imagen, Google Photos)"
_CHINA = "a generator that carries China's label for AI content"
# "1" is generated; "2" and "3" are possibly and suspectedly so. Source: GB 45438-2025, annex E.
_LABEL = r'\{[^{}]{0,2000}?"?Label"?\s*:\s*"?'
_WRAPPED = r'^\s*(?:\{\s*"AIGC"\s*:\s*|AIGC\s*)'


def _china_traces(label: str, says: str, points_to: PointsTo) -> tuple[Trace, Trace]:
    """Return the traces of one label: in the fields made for it, and wrapped in another field."""
    sample = f'{{"Label":"{label[1]}","ContentProducer":"x","ProduceID":"1"}}'
    fields = ("tc260:aigc", "png:aigc")
    return (
        Trace(_CHINA, fields, rf"^\s*{_LABEL}{label}", sample, "samples", points_to, says),
        Trace(
            *(_CHINA, _JSON, rf"{_WRAPPED}{_LABEL}{label}", f'{{"AIGC":{sample}}}', "samples"),
            *(points_to, says),
        ),
    )


#: The first trace that matches a statement is reported, so that specific ones come first.
TRACES: tuple[Trace, ...] = (
    Trace("SwarmUI", _JSON, r'^\s*\{\s*"sui_image_params"', '{"sui_image_params": {}}', "code"),
    Trace("Fooocus", ("png:fooocus_scheme",), r"^(?:fooocus|a1111)$", "fooocus", "code"),
    Trace(
        "Fooocus",
        SETTINGS,
        r'"version"\s*:\s*"Fooocus\b|, Version: Fooocus v\d',
        '{"prompt": "a portrait", "version": "Fooocus v2.5.5"}',
        "readers",
    ),
    _program_trace("Fooocus", r"Fooocus(?=\s+v?\d)", "Fooocus v2.5.5", "readers"),
    Trace(
        "Stable Diffusion in AUTOMATIC1111, Forge or a like program",
        SETTINGS,
        r"(?m)^Steps: \d{1,5},(?:(?!Steps: )[^\n]){0,400}?\b(?:Sampler|CFG scale): ",
        "a portrait\nNegative prompt: hat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1",
        "readers",
    ),
    Trace(
        "ComfyUI",
        ("png:prompt", *_JSON),
        r'(?s)^\s*\{.*?"class_type"\s*:',
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
        ("png:invokeai_metadata", "png:invokeai_graph", "png:sd-metadata"),
        r"^\s*\{",
        '{"positive_prompt": "a portrait"}',
        "code",
    ),
    Trace("InvokeAI", ("png:dream",), r"\s-S ?\d", '"a portrait" -s 50 -S 42 -W 512', "code"),
    _program_trace("NovelAI", "NovelAI", "NovelAI", "samples"),
    Trace(
        "NovelAI",
        ("png:source",),
        r"^(?:NovelAI Diffusion V[\d.]+|Stable Diffusion(?: XL)?)(?: [\w.]+)* [0-9A-F]{8}$",
        "NovelAI Diffusion V4.5 1229B44F",
        "samples",
    ),
    Trace(
        "NovelAI",
        ("png:comment", "exif:usercomment"),
        r'\\?"(?:signed_hash|request_type)\\?"\s*:',
        '{"steps": 28, "uc": "hat", "signed_hash": "x"}',
        "readers",
    ),
    _program_trace("Draw Things", "Draw Things", "Draw Things", "readers"),
    Trace(
        "Easy Diffusion",
        ("png:use_stable_diffusion_model", "png:stable diffusion model"),
        r"\S",
        "sd-v1-5",
        "code",
    ),
    Trace(
        "Easy Diffusion",
        ("exif:usercomment",),
        r'^\s*\{.{0,20000}"use_stable_diffusion_model"\s*:',
        '{"prompt": "a portrait", "use_stable_diffusion_model": "sd-v1-5"}',
        "code",
    ),
    Trace(
        "Midjourney",
        ("png:description",),
        r" --(?:v|ar|niji|q|s|c|no|iw|seed|style|stylize|chaos|weird|quality|tile|raw|profile|p"
        r"|sref|oref|cref|exp)\b[^\n]{0,400} Job ID: "
        r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\s*$",
        "a portrait --v 6.1 Job ID: 6269d474-e4e5-47ee-d5a2-c1edc388fd00",
        "readers",
    ),
    _program_trace("Midjourney", "Midjourney", "Midjourney", "readers"),
    _program_trace(
        _OPENAI,
        r"(?:(?:Azure )?OpenAI|ChatGPT)(?:[- ](?:API|ImageGen|Images?))?"
        r"|(?:(?:OpenAI|ChatGPT),? )?(?:DALL[-\u00b7. ]?E|GPT-4o|gpt-image)(?:-[\w.]+)?"
        r"|OpenAI Sora",
        "OpenAI-API c2pa-rs/0.28.4",
        "samples",
    ),
    _program_trace(_OPENAI, "Sora", "Sora 2", "memory", _AGENTS),
    _program_trace(
        "Adobe Firefly", r"Adobe[ _]Firefly(?: Pipeline)?", "Adobe_Firefly/1.0", "samples"
    ),
    _program_trace(
        _GOOGLE,
        r"(?:Made|Edited) with Google AI|Google (?:Generative AI|Gemini|Imagen)"
        r"|Imagen(?=\s+\d)|Gemini \d\.\d (?:Flash|Pro)(?: Image)?(?: Preview)?",
        "Google Generative AI",
        "samples",
    ),
    _program_trace(_GOOGLE, "Gemini|Imagen", "Gemini", "memory", _AGENTS),
    _program_trace(
        "Microsoft (Bing Image Creator, Designer)",
        r"Microsoft[_ ]Responsible[_ ]AI(?: Image Provenance)?|Microsoft Designer"
        r"|(?:Bing )?Image Creator(?: from (?:Microsoft )?Designer)?",
        "Microsoft_Responsible_AI/1.0",
        "samples",
    ),
    _program_trace(
        "Apple Image Playground", "(?:Apple )?Image Playground", "Apple Image Playground", "code"
    ),
    _program_trace("Meta AI", "Meta AI|Imagined with AI|Made with Meta AI", "Meta AI"),
    Trace(
        "Grok (xAI)",
        ("exif:imagedescription",),
        r"^Signature: [A-Za-z0-9+/]{64,}={0,2}$",
        "Signature: " + 16 * "AbC1",
        "samples",
        beside=("exif:artist", r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
    ),
    _program_trace("Grok (xAI)", "(?:xAI )?Grok(?: Imagine)?|xAI", "xAI Grok", keys=_AGENTS),
    _program_trace("Grok (xAI)", "xAI Grok", "xAI Grok"),
    _program_trace(
        "FLUX (Black Forest Labs)",
        r"AI generated;\w+;flux|Black Forest Labs(?: API)?|(?:Black Forest Labs )?FLUX\.[12]"
        r"(?: \[?(?:dev|pro|schnell|max|flex)\]?)?",
        "AI generated;txt2img;flux",
        "code",
        _DEVICES,
    ),
    _program_trace("Qwen-Image", r"AI generated;\w+;qwen|Qwen-Image", "Qwen-Image", "code"),
    _program_trace(
        "Stability AI",
        r"Stability ?AI|DreamStudio|Stable ?Diffusion(?: XL| Web ?UI)?|SDXL",
        "Stability AI",
    ),
    *_china_traces(r"[1]\b", "comes from", "made_by_ai"),
    *_china_traces(r"[23]\b", "possibly comes from", "nothing"),
    _program_trace("Leonardo.Ai", r"Leonardo\. ?AI|Leonardo AI", "Leonardo.Ai"),
    _program_trace("Ideogram", "Ideogram AI", "Ideogram AI", "samples", _DEVICES),
    _program_trace("Reve", r"reve\.com", "reve.com", "samples"),
    _program_trace("Dreamina", "Dreamina", "Dreamina/1.2", "samples"),
    _program_trace(
        "another image generator",
        r"Amazon (?:Titan Image Generator|Nova Canvas)(?: G1)?|Recraft(?: AI)?|Playground ?AI"
        r"|Krea ?AI|NightCafe(?: Creator| Studio)?|Craiyon|Runway ?ML|Seedream|Jimeng|Kling ?AI"
        r"|Kandinsky(?=\s+\d)|Artbreeder|StyleGAN\d?|Aphrodite AI|Canva Magic Media",
        "NightCafe Creator",
    ),
    _program_trace(
        "an image generator that does not say which",
        r"AI[- ]generated(?: image)?(?:;\w+)*|generated (?:by|with) AI|text[- _]to[- _]image",
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

_LONGEST_NAME = 2000  # no program's name is longer; settings are searched in full
_SHORT = frozenset(_DEVICES)
_BY_KEY: dict[str, list[tuple[Trace, re.Pattern[str]]]] = {}
for _trace in TRACES:
    for _key in _trace.keys:
        _BY_KEY.setdefault(_key, []).append((_trace, re.compile(_trace.pattern)))


def find_traces(
    statement: Statement, claims: Sequence[Statement] = ()
) -> Iterator[tuple[Trace, str]]:
    """Yield the first trace that matches a statement, and the text from the match on.

    ``claims`` are all statements of the file, for the traces that need two of them.
    """
    key = statement.key.lower()
    text = statement.text[:_LONGEST_NAME] if key in _SHORT else statement.text
    for trace, pattern in _BY_KEY.get(key, ()):
        found = pattern.search(text)
        if found and _stands_beside(trace, claims):
            yield trace, f"… {text[found.start() :]}" if found.start() > 200 else text
            return


def _stands_beside(trace: Trace, claims: Sequence[Statement]) -> bool:
    """Return whether the file has the second statement that a trace needs, if it needs one."""
    if trace.beside is None:
        return True
    key, pattern = trace.beside
    return any(one.key.lower() == key and re.search(pattern, one.text) for one in claims)


#: Texts that people write: credits, captions and comments.
_WRITTEN_BY_PEOPLE = frozenset(
    (
        *("photoshop:credit", "photoshop:source", "photoshop:headline", "photoshop:instructions"),
        *("dc:title", "dc:description", "iim:credit", "iim:source", "iim:caption"),
        *("iim:objectname", "iim:specialinstructions", "png:credit", "png:source", "png:title"),
        *("png:description", "exif:imagedescription", "exif:xpcomment"),
        *SETTINGS,
    )
)
_NAMES = (
    r"Midjourney|OpenAI|ChatGPT|DALL[-\u00b7. ]?E|Firefly|Stable ?Diffusion|Stability ?AI"
    r"|DreamStudio|NovelAI|ComfyUI|Google AI|Meta AI|Imagined with AI|Image Playground"
    r"|Black Forest Labs|Leonardo\.? ?AI|Ideogram AI|NightCafe|Craiyon|Apple Photos Clean Up"
)
_AI_WORDS = (
    r"AI[- ]?(?:generated|created|made|enhanced|image|art)|(?:by|with|no|not|without) AI"
    r"|generative AI|artificial intelligence|deepfake"
)
_MENTION = re.compile(rf"(?i)\b(?:{_NAMES}|{_AI_WORDS})\b|Job ID: [0-9a-f]{{8}}-")
_PROGRAM_MENTION = re.compile(rf"(?i)\b(?:{_NAMES}|{_AI_WORDS}|Gemini|Imagen|Sora|Grok|Ideogram)\b")


def mention_findings(claims: Sequence[Statement]) -> Iterator[ProvenanceFinding]:
    """Yield a quotation of each text that mentions AI or a generator without being a signature.

    A credit, a caption or a denial has words that no program can interpret reliably.
    """
    seen: set[str] = set()
    for statement in claims:
        mention = _find_mention(statement)
        if mention is None or statement.where in seen or any(find_traces(statement, claims)):
            continue
        seen.add(statement.where)
        far = mention.start() > 200
        text = f"… {statement.text[mention.start() - 100 :]}" if far else statement.text
        yield ProvenanceFinding(
            kind="metadata",
            says="A text in the file mentions AI, a generator or a job number of one. It may be a"
            " credit, a caption or a denial: it is quoted, not interpreted.",
            value=bound_text(text),
            where=bound_text(statement.where),
        )


def _find_mention(statement: Statement) -> re.Match[str] | None:
    """Return where a text mentions AI, None if it does not or if the key is of another kind."""
    key = statement.key.lower()
    if key in _WRITTEN_BY_PEOPLE:
        return _MENTION.search(statement.text)
    if key in PROGRAMS:
        pattern = _MENTION if key.startswith("credentials:") else _PROGRAM_MENTION
        return pattern.search(statement.text[:_LONGEST_NAME])
    return None


_SOURCE_TYPE_KEYS = frozenset(
    {
        *("iptc4xmpext:digitalsourcetype", "iptc4xmpext:digitalsourcefiletype"),
        "credentials:digital_source_type",
    }
)


def trace_findings(claims: Sequence[Statement]) -> Iterator[ProvenanceFinding]:
    """Yield one finding for each generator and place that matches an entry of the table."""
    seen: set[tuple[str, str]] = set()
    for statement in claims:
        for trace, text in find_traces(statement, claims):
            if (trace.generator, statement.where) in seen:
                continue
            seen.add((trace.generator, statement.where))
            yield ProvenanceFinding(
                kind="generator_trace",
                says=f"{_name_source(statement)} that the picture {trace.says} {trace.generator}.",
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


def _is_from_credentials(statement: Statement) -> bool:
    return statement.key.startswith("credentials:")


def _name_source(statement: Statement) -> str:
    """Return the source of a statement, and how reliable it is."""
    if _is_from_credentials(statement):
        return "The content credentials say"
    return "The metadata, which anyone can write or copy, say"
