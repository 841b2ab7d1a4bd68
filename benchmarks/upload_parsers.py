"""What Starlette's multipart parser does with the uploads that the REST service must refuse.

    uv run --extra serve python benchmarks/upload_parsers.py

Feeds the same bodies, 64 bytes at a time, to three parsers with limits of 1,000 bytes a file and
two files: the service's own, Starlette's as it is, and a subclass of Starlette's that overrides
four of its callbacks. Prints a row for each body with status, number
of bytes read and files. Decision 0009 is based on this table.
"""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import AsyncGenerator, Awaitable, Callable

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from faceproof.errors import FileTooLargeError
from faceproof.frontends.api.uploads import MultipartUploads, boundary_of, file_name

KIND = "multipart/form-data; boundary=abc"
MOST_BYTES, MOST_FILES, STEP = 1000, 2, 64
SPEED_BYTES, SPEED_STEP, ROUNDS = 32 * 2**20, 2**16, 5
SHOWN = 5
END = b"--abc--\r\n"

Files = list[tuple[str, str | None, bytes | str]]
Parse = Callable[[AsyncGenerator[bytes, None], str, int], Awaitable[Files]]


def part(data: bytes = b"bytes", *, disposition: str = 'name="file"; filename="a.jpg"') -> bytes:
    """Return a part of a form."""
    head = f"--abc\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    return head.encode("latin-1") + data + b"\r\n"


FIELD = 'name="file"'
CASES = {
    "one file": (part() + END, KIND),
    "no end boundary, second file cut": (part() + part(b"x" * 50)[:-2], KIND),
    "no end boundary, after a whole file": (part() + b"--abc\r\n", KIND),
    "cut in the end boundary": (part() + b"--abc-", KIND),
    "empty body": (b"", KIND),
    "file of 6,000 bytes": (part(b"x" * 6000) + END, KIND),
    "no file name, content \\xe9": (part(b"\xe9", disposition=FIELD) + END, KIND),
    "no file name, content \\xc3\\xa9": (part(b"\xc3\xa9", disposition=FIELD) + END, KIND),
    "no file name, 1,001 bytes": (part(b"x" * 1001, disposition=FIELD) + END, KIND),
    "charset=utf-16 in Content-Type": (
        part(disposition=f'{FIELD}; filename="ab.jpg"') + END,
        f"{KIND}; charset=utf-16",
    ),
    "file name in latin-1": (part(disposition=f'{FIELD}; filename="\xe9.jpg"') + END, KIND),
    "part of another name, 900 bytes": (part(b"x" * 900, disposition='name="x"') + END, KIND),
    "two files and two fields": (part() * 2 + part(disposition=FIELD) * 2 + END, KIND),
    "header of 4,200 bytes": (part(disposition=f'{FIELD}; a="{"b" * 4155}"') + END, KIND),
    "not multipart": (b"rubbish", KIND),
}


async def parse_by_service(chunks: AsyncGenerator[bytes, None], kind: str, most: int) -> Files:
    """Parse as the service does."""
    uploads = MultipartUploads(boundary_of(kind) or b"", max_file_bytes=most, max_files=MOST_FILES)
    async for chunk in chunks:
        uploads.feed(chunk)
    return [("file", upload.name, upload.data) for upload in uploads.finish()]


class InMemoryParser(MultiPartParser):
    """Starlette's parser as it is; no file reaches the size at which it goes to disk."""

    spool_max_size = 2**40


async def parse_by_starlette(chunks: AsyncGenerator[bytes, None], kind: str, most: int) -> Files:
    """Parse with Starlette's limits on files, fields and fields' sizes."""
    headers = Headers({"content-type": kind})
    limits = {"max_files": MOST_FILES, "max_fields": MOST_FILES, "max_part_size": most}
    form = await InMemoryParser(headers, chunks, **limits).parse()
    return [
        (name, value.filename, await value.read())
        if isinstance(value, UploadFile)
        else (name, None, value)
        for name, value in form.multi_items()
    ]


class HookedParser(InMemoryParser):
    """Starlette's parser with its callbacks overridden; `_current_part` is private there."""

    def __init__(
        self, boundary: bytes, chunks: AsyncGenerator[bytes, None], *, max_file_bytes: int
    ) -> None:
        kind = f'multipart/form-data; boundary="{boundary.decode("latin-1")}"'
        super().__init__(Headers({"content-type": kind}), chunks, max_files=MOST_FILES)
        self._most, self._size = max_file_bytes, 0
        self.names: list[str] = []
        self.ended = False

    def on_part_begin(self) -> None:
        """Count the parts."""
        if len(self.names) >= self.max_files:
            raise HTTPException(400, f"too many parts, limit {self.max_files}: send fewer at once")
        self._size = 0
        super().on_part_begin()

    def on_headers_finished(self) -> None:
        """Require the name of the part, and make a file of it."""
        _, options = parse_options_header(self._current_part.content_disposition)
        if options.get(b"name", b"") != b"file":
            raise HTTPException(400, "unexpected part: only parts named 'file' are accepted")
        name = options.get(b"filename", b"").decode("utf-8", "surrogateescape")
        self.names.append(file_name(name))
        # With a file name in its header, Starlette takes every part for a file.
        self._current_part.content_disposition = b'form-data; name="file"; filename=""'
        super().on_headers_finished()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Count the bytes of the part."""
        self._size += end - start
        if self._size > self._most:
            raise FileTooLargeError(f"{self.names[-1]}: file too large, limit {self._most} bytes")
        super().on_part_data(data, start, end)

    def on_end(self) -> None:
        """Remember the end boundary."""
        self.ended = True


async def parse_by_subclass(chunks: AsyncGenerator[bytes, None], kind: str, most: int) -> Files:
    """Parse with the subclass."""
    parser = HookedParser(boundary_of(kind) or b"", chunks, max_file_bytes=most)
    form = await parser.parse()
    if not parser.ended:
        raise HTTPException(400, "the multipart body is truncated")
    files: Files = []
    for name, (_, value) in zip(parser.names, form.multi_items(), strict=True):
        if isinstance(value, UploadFile):
            files.append(("file", name, await value.read()))
            await value.close()
    return files


PARSERS: dict[str, Parse] = {
    "the service's own": parse_by_service,
    "Starlette's": parse_by_starlette,
    "subclass of Starlette's": parse_by_subclass,
}


async def outcome(parse: Parse, body: bytes, kind: str) -> str:
    """Return status, bytes read and files of one body."""
    read = 0

    async def chunks() -> AsyncGenerator[bytes, None]:
        nonlocal read
        for start in range(0, len(body), STEP):
            chunk = body[start : start + STEP]
            read += len(chunk)
            yield chunk

    try:
        files = await parse(chunks(), kind, MOST_BYTES)
    except (HTTPException, MultiPartException):
        return f"400 after {read:,} B"
    except FileTooLargeError:
        return f"413 after {read:,} B"
    shown = ", ".join(f"{name!r} {_content(content)}" for _, name, content in files) or "nothing"
    return f"200 after {read:,} B: {shown}"


def _content(content: bytes | str) -> str:
    return repr(content) if len(content) <= SHOWN else f"{len(content):,} B"


async def cost(parse: Parse) -> tuple[float, float]:
    """Return processor seconds (least of some rounds) and peak MiB for a large file."""
    body = part(bytes(SPEED_BYTES)) + END

    async def chunks() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(body), SPEED_STEP):
            yield body[start : start + SPEED_STEP]

    seconds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        await parse(chunks(), KIND, 2 * SPEED_BYTES)
        seconds.append(time.process_time() - started)
    tracemalloc.start()
    await parse(chunks(), KIND, 2 * SPEED_BYTES)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return min(seconds), peak


async def main() -> None:
    """Print the table and the cost of a file of 32 MiB."""
    print("| body |", " | ".join(PARSERS), "|")
    print("|---|" + "---|" * len(PARSERS))
    for name, (body, kind) in CASES.items():
        cells = [await outcome(parse, body, kind) for parse in PARSERS.values()]
        print(f"| {name}, {len(body):,} B |", " | ".join(cells), "|")
    print()
    for name, parse in PARSERS.items():
        seconds, peak = await cost(parse)
        print(f"{name}: {seconds:.2f} s of processor time and {peak:.0f} MiB for 32 MiB")


if __name__ == "__main__":
    asyncio.run(main())
