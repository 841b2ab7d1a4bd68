"""faceproof app: the page, on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from faceproof.errors import UsageError
from faceproof.frontends.webapp.settings import DETECTOR


def webapp(
    *,
    detector: Annotated[
        str,
        typer.Option(
            "--detector",
            "-d",
            metavar="NAME|FOLDER",
            envvar=DETECTOR,
            help="Which detector judges.",
        ),
    ] = "default",
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where it listens; see --open.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Its port; 0: a free one.")] = 8501,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Open no browser; print the address alone.")
    ] = False,
    no_addresses: Annotated[
        bool, typer.Option("--no-addresses", help="Fetch no pictures from addresses on the net.")
    ] = False,
    open_: Annotated[
        bool,
        typer.Option(
            "--open", help="Let others in: the page has no keys, whoever reaches it may use it."
        ),
    ] = False,
) -> None:
    """Open the page: verdicts on pictures, in words, with the evidence. Ctrl-C ends it.

    Nothing that is given to it is written to disk.
    """
    import dataclasses

    from faceproof.detector import Detector
    from faceproof.frontends import is_loopback
    from faceproof.frontends.webapp.serving import serve
    from faceproof.frontends.webapp.settings import Settings

    if not (open_ or is_loopback(host)):
        raise UsageError(
            f"{host} can be reached from other machines and the page has no keys: put it behind "
            "a server that asks who comes, or add --open"
        )
    Detector.load(detector)  # what is wrong with it is told here, not on the page
    settings = dataclasses.replace(Settings.read(), detector=detector)
    if no_addresses:
        settings = dataclasses.replace(settings, addresses=False)

    def ready(address: str) -> None:
        typer.echo(f"The page is at {address} (Ctrl-C ends it).", err=True)
        if not no_browser:
            _open_browser(address)

    serve(settings, host=host, port=port, ready=ready)


def _open_browser(address: str) -> None:
    """Open the address in a browser without waiting for it: some browsers only start then."""
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
