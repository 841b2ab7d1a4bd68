"""Cost of reading a file's provenance, compared with checking its picture.

For each picture: the CPU milliseconds of `read_provenance` and of the whole check, medians
of several alternating rounds. With c2pa installed, a
signed copy of the largest picture is made and read too, and the first load of the library timed.

With ``--hostile``, it reads files built to keep a parser busy.

    uv run python benchmarks/provenance.py [PICTURES ...] [--rounds 9] [--hostile]
"""

from __future__ import annotations

import argparse
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from statistics import median

from faceproof import Checker, Detector
from faceproof.imaging.decode import Picture, load
from faceproof.provenance import read_provenance
from faceproof.provenance.credentials import STORE_HEAD

ROOT = Path(__file__).parents[1]
FIRST_LOAD = "import time; t = time.process_time(); import c2pa; print(time.process_time() - t)"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "pictures", nargs="*", type=Path, default=sorted(ROOT.glob("samples/*.jpg"))
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--hostile", action="store_true")
    options = parser.parse_args()
    if options.hostile:
        hostile()
        return
    checker = Checker(Detector.load("default"))
    print("| picture | kB | provenance, CPU ms | whole check, CPU ms | share |")
    print("|---|---|---|---|---|")
    for path in options.pictures:
        row(path.name, path.read_bytes(), checker, options.rounds)
    signed(max(options.pictures, key=lambda path: path.stat().st_size), checker, options.rounds)


def row(name: str, data: bytes, checker: Checker, rounds: int) -> None:
    """Print the medians for one file."""
    picture = load(data)
    reading, checking = [], []
    for _ in range(rounds + 1):
        reading.append(cpu(lambda picture=picture: provenance(picture)))
        checking.append(cpu(lambda: checker.check(data)))
    own, whole = 1000 * median(reading[1:]), 1000 * median(checking[1:])
    print(f"| {name} | {len(data) / 1000:.0f} | {own:.2f} | {whole:.1f} | {own / whole:.2%} |")


def provenance(picture: Picture) -> object:
    """Read the provenance of the file."""
    return read_provenance(picture.data, kind=picture.format, pixels=picture.pixels)


def hostile() -> None:
    """Print the cost of large, deep, repetitive or compressed files."""
    print("| file | MB | provenance, CPU ms |")
    print("|---|---|---|")
    for name, (kind, data) in HOSTILE.items():
        took = 1000 * cpu(lambda kind=kind, data=data: read_provenance(data, kind=kind))
        print(f"| {name} | {len(data) / 1e6:.1f} | {took:.0f} |")


def png(chunk: bytes, body: bytes, times: int) -> tuple[str, bytes]:
    """Return a PNG with the same chunk many times."""
    one = struct.pack(">I", len(body)) + chunk + body + bytes(4)
    return "PNG", b"\x89PNG\r\n\x1a\n" + one * times


def packed(text: bytes) -> tuple[str, bytes]:
    """Return a PNG with a compressed mebibyte of repeated text, fifty times."""
    whole = (text * (1 << 20))[: (1 << 20) - 1]
    return png(b"zTXt", b"parameters\0\0" + zlib.compress(whole), 50)


def xmp(packet: bytes) -> tuple[str, bytes]:
    """Return a PNG with a compressed XMP packet, fifty times."""
    return png(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(packet), 50)


EXTENDED = b"\xff\xe1\xff\xf0http://ns.adobe.com/xmp/extension/\0" + bytes(0xFFEE - 35)
HOSTILE = {
    "PNG, 200 texts that unpack to 3 MB": png(
        b"zTXt", b"k\0\0" + zlib.compress(bytes(3_000_000)), 200
    ),
    "PNG, texts like those of AUTOMATIC1111": packed(b"Steps: 1,"),
    "PNG, the same in lines": packed(b"Steps: 1,x\n"),
    "PNG, texts like ComfyUI's": packed(b'"class_type"'),
    "PNG, XMP of many elements": xmp(b"<r>" + b"<a b='c'>d</a>" * 70_000 + b"</r>"),
    "PNG, XMP of many attributes": xmp(
        b"<r " + b" ".join(b"a%d='x'" % number for number in range(60_000)) + b"/>"
    ),
    "JPEG, 64 MB of stuffing": ("JPEG", b"\xff\xd8" + b"\xff\0" * 32_000_000),
    "JPEG, 90 000 comments": ("JPEG", b"\xff\xd8" + b"\xff\xfe\0\3x" * 90_000),
    "JPEG, 90 000 tables": (
        "JPEG",
        b"\xff\xd8" + (b"\xff\xdb\0\x43\0" + bytes(range(1, 65))) * 90_000,
    ),
    "JPEG, 900 parts of extended XMP": ("JPEG", b"\xff\xd8" + EXTENDED * 900),
    "GIF, 13 000 000 comments": ("GIF", b"GIF89a" + bytes(7) + b"!\xfe\1a\0" * 13_000_000),
    "GIF, 30 000 000 parts signed": (
        "GIF",
        b"GIF89a" + bytes(7) + b"!\xfe" + b"\1a" * 30_000_000 + STORE_HEAD,
    ),
}


def cpu(work: Callable[[], object]) -> float:
    """Return the CPU seconds of the work in this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def signed(path: Path, checker: Checker, rounds: int) -> None:
    """Print the same for a signed copy, and the one-time cost of loading c2pa."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support.signing import Authority

    data = Authority.new().signed(path.read_bytes())
    row(f"{path.name}, signed", data, checker, rounds)
    command = [sys.executable, "-c", FIRST_LOAD]
    times = [float(subprocess.check_output(command, text=True)) for _ in range(3)]
    print(f"\nloading c2pa, once a process: {1000 * min(times):.0f} CPU ms")


if __name__ == "__main__":
    main()
