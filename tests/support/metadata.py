"""Small pictures whose files carry metadata, each kind where programs put it."""

from __future__ import annotations

import io
import struct
import zlib
from html import escape

import numpy as np
from PIL import Image, PngImagePlugin

NAME_SPACES = {
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "stEvt": "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "crs": "http://ns.adobe.com/camera-raw-settings/1.0/",
    "dcterms": "http://purl.org/dc/terms/",
    "TC260": "http://www.tc260.org.cn/ns/AIGC/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "other": "http://example.org/other/",
}
EXIF_TAGS = {
    "ImageDescription": 0x010E,
    "Make": 0x010F,
    "Model": 0x0110,
    "Software": 0x0131,
    "Artist": 0x013B,
    "ProcessingSoftware": 0x000B,
}
EXIF_DIRECTORY, GPS_DIRECTORY, USER_COMMENT = 0x8769, 0x8825, 0x9286
IIM_NUMBERS = {
    "SpecialInstructions": 40,
    "OriginatingProgram": 65,
    "Credit": 110,
    "Source": 115,
    "Caption": 120,
}


def picture(side: int = 48, seed: int = 3) -> Image.Image:
    """Return noise that has something at every scale."""
    grain = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(grain).resize((side, side), Image.Resampling.BICUBIC)


def saved(kind: str, image: Image.Image | None = None, **how: object) -> bytes:
    """Return the file of a picture as Pillow saves it."""
    out = io.BytesIO()
    (image or picture()).save(out, kind, **how)
    return out.getvalue()


def png(**texts: str) -> bytes:
    """Return a PNG with text chunks; ``_`` in a key stands for itself."""
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_itxt(key, text)
    return saved("PNG", pnginfo=info)


def exif(**texts: str) -> Image.Exif:
    """Return EXIF with texts; ``UserComment`` is written in Unicode, as AUTOMATIC1111 does."""
    block = Image.Exif()
    for name, text in texts.items():
        if name == "UserComment":
            comment = b"UNICODE\0" + text.encode("utf-16-be")
            block.get_ifd(EXIF_DIRECTORY)[USER_COMMENT] = comment
        else:
            block[EXIF_TAGS[name]] = text
    return block


def xmp(properties: dict[str, str]) -> bytes:
    """Return an XMP packet with properties such as ``xmp:CreatorTool``, each an element."""
    spaces = " ".join(f'xmlns:{short}="{uri}"' for short, uri in NAME_SPACES.items())
    elements = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in properties.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {spaces}>{elements}</rdf:Description></rdf:RDF>'
        '</x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def iim(**texts: str) -> bytes:
    """Return IPTC captions as Photoshop keeps them, behind the name of its segment."""
    sets = b"".join(
        struct.pack(">BBBH", 0x1C, 2, IIM_NUMBERS[name], len(text.encode())) + text.encode()
        for name, text in texts.items()
    )
    block = b"8BIM" + struct.pack(">HBBI", 0x0404, 0, 0, len(sets)) + sets + b"\0" * (len(sets) % 2)
    return b"Photoshop 3.0\0" + block


def with_segment(jpeg: bytes, marker: int, body: bytes) -> bytes:
    """Return the JPEG with one more segment behind its beginning."""
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + jpeg[2:]


def with_chunk(file: bytes, kind: bytes, body: bytes) -> bytes:
    """Return the PNG with one more chunk behind its header."""
    chunk = struct.pack(">I", len(body)) + kind + body
    return file[:33] + chunk + struct.pack(">I", zlib.crc32(kind + body)) + file[33:]


def placed(key: str, text: str) -> tuple[str, bytes]:
    """Return format and file of a picture that says ``text`` under a key of the tables."""
    kind, _, name = key.partition(":")
    if kind == "png":
        return "PNG", png(**{name: text})
    if kind == "exif":
        names = {tag.lower(): tag for tag in (*EXIF_TAGS, "UserComment")}
        return "JPEG", saved("JPEG", exif=exif(**{names[name]: text}))
    if kind == "iim":
        names = {number.lower(): number for number in IIM_NUMBERS}
        return "JPEG", with_segment(saved("JPEG"), 0xED, iim(**{names[name]: text}))
    if key in XMP_NAMES:
        return "JPEG", saved("JPEG", xmp=xmp({XMP_NAMES[key]: text}))
    assert kind == "comment", key
    return "JPEG", saved("JPEG", comment=text.encode())


XMP_NAMES = {
    name.lower(): name
    for name in (
        *("xmp:CreatorTool", "tiff:Software", "stEvt:softwareAgent", "photoshop:Credit"),
        *("photoshop:Source", "dc:description", "dc:title", "TC260:AIGC"),
        *("Iptc4xmpExt:DigitalSourceType", "Iptc4xmpExt:AISystemUsed"),
    )
}
