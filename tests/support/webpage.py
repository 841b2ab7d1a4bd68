"""The page in Streamlit's AppTest: a session of the script itself, without a browser."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parents[2]
APP = ROOT / "src" / "faceproof" / "frontends" / "webapp" / "app.py"
SAMPLES = ROOT / "samples"
ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")


def sample(name: str) -> bytes:
    """Return the bytes of a picture in samples/."""
    return (SAMPLES / name).read_bytes()


def plain(markdown: str) -> str:
    """Return Markdown of the page as a reader sees it, but for its stars."""
    return ESCAPED.sub(r"\1", markdown).replace("\N{WORD JOINER}", "")


@dataclass
class Page:
    """A session of the page, and what a reader finds on it."""

    at: AppTest

    def upload(self, *files: tuple[str, bytes]) -> Page:
        """Give files to the page."""
        uploads = [(name, data, "image/jpeg") for name, data in files]
        self.at.file_uploader(key="upload").set_value(uploads)
        return self.run()

    def run(self) -> Page:
        """Run the script again; it must not fail."""
        self.at.run()
        assert not self.at.exception, [one.message for one in self.at.exception]
        return self

    def press(self, label: str) -> Page:
        """Press the button with this label."""
        (button,) = [one for one in self.at.button if one.label == label]
        button.click()
        return self.run()

    @property
    def headings(self) -> list[str]:
        """The headings of the second level."""
        return [plain(one.value) for one in self.at.header]

    @property
    def cards(self) -> list[str]:
        """The names of the pictures where there are several, in order."""
        return [plain(one.label) for one in self.at.button if (one.key or "").startswith("show ")]

    @property
    def texts(self) -> list[str]:
        """Verdicts and errors: the text of every box."""
        boxes = [*self.at.error, *self.at.warning, *self.at.info]
        return [plain(one.value) for one in boxes]

    @property
    def text(self) -> str:
        """Everything that stands in Markdown."""
        return "\n".join(plain(one.value) for one in self.at.markdown)

    @property
    def alts(self) -> list[str]:
        """The texts for those who do not see the pictures."""
        return [image.alt for one in self.at.image for image in one.proto.imgs]


def opened() -> Page:
    """Return the page as it opens, with the detector that the environment names."""
    return Page(AppTest.from_file(str(APP), default_timeout=120)).run()


@contextmanager
def picture_site(name: str) -> Iterator[str]:
    """Give the address, on this machine, of a picture of samples/."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = sample(name)
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{name.removeprefix('real-')}"
        server.shutdown()
        thread.join()
