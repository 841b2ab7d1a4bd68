"""A real page in a process of its own, a site to fetch from, and Chromium to look at it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from conftest import chromium
from support.webpage import picture_site

PATIENCE_MS = 60_000
expect.set_options(timeout=60_000)


@dataclass
class App:
    """The running page: its address, and the folders that are all it may write to."""

    address: str
    folders: tuple[Path, ...]

    def files(self) -> set[str]:
        """Return what lies in the folders."""
        return {str(path) for folder in self.folders for path in folder.rglob("*")}


@dataclass
class Seen:
    """What a browser asked for, and what it complained of."""

    addresses: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Take note of all requests and of errors on the console."""
        page.on("request", lambda one: self.addresses.append(one.url))
        page.on("pageerror", lambda one: self.complaints.append(str(one)))
        page.on("console", self._note)

    def _note(self, one: ConsoleMessage) -> None:
        if one.type == "error":
            self.complaints.append(f"{one.text} {one.location}")

    @property
    def elsewhere(self) -> list[str]:
        """The addresses that were not on this machine."""
        own = re.compile(r"(https?|wss?)://127\.0\.0\.1[:/]|data:|blob:")
        return [one for one in self.addresses if not own.match(one)]


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """The address of a server of the tests' own that has one picture."""
    with picture_site("real-hopper.jpg") as address:
        yield address


@pytest.fixture(scope="session")
def app(site: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The page with the default detector, which may fetch from the tests' own site."""
    folders = tuple(tmp_path_factory.mktemp(name) for name in ("home", "tmp", "work"))
    home, temporary, work = folders
    given = {
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "FACEPROOF_APP_ALLOW_PRIVATE": "127.0.0.1/32",
        "FACEPROOF_APP_PORTS": str(re.findall(r":(\d+)/", site)[0]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "faceproof", "app", "--port", "0", "--no-browser"]
    log = tmp_path_factory.mktemp("log") / "stderr.txt"  # a pipe that nobody reads would fill up
    with log.open("w", encoding="utf-8") as written:
        process = subprocess.Popen(command, stderr=written, cwd=work, env=os.environ | given)
    try:
        yield App(wait_for_address(log, process), folders)
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text("utf-8")


def wait_for_address(log: Path, process: subprocess.Popen[bytes]) -> str:
    """Return the address that the page writes when it listens."""
    end = time.monotonic() + PATIENCE_MS / 1000
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:\d+(?=\s)", log.read_text("utf-8")):
            return found[0]
        time.sleep(0.05)
    pytest.fail(f"the page did not start: {log.read_text('utf-8')}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield started
        started.close()


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def page(browser: Browser, app: App, seen: Seen) -> Iterator[Page]:
    """The page as it opens; nothing that it does may leave this machine or end in an error."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    opened = context.new_page()
    seen.watch(opened)
    opened.goto(app.address)
    opened.get_by_role("heading", level=1).wait_for()
    yield opened
    context.close()
    assert seen.elsewhere == []
    assert seen.complaints == []
