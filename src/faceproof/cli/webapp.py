"""faceproof app: the page, on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from faceproof.cli.detector_options import device_option, load_detector, scorer_option
from faceproof.cli.options import detector_option
from faceproof.errors import UsageError
from faceproof.frontends.webapp.settings import DETECTOR, DEVICE, SCORER


def webapp(
    *,
    detector: Annotated[str, detector_option(variables=(DETECTOR,))] = "default",
    scorer: Annotated[str | None, scorer_option(SCORER)] = None,
    device: Annotated[str | None, device_option(DEVICE)] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on; see --public.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one.")] = 8501,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the URL without opening a browser.")
    ] = False,
    no_addresses: Annotated[
        bool, typer.Option("--no-addresses", help="Disable fetching of URLs.")
    ] = False,
    public: Annotated[
        bool,
        typer.Option("--public", help="Accept other machines; the page has no API keys."),
    ] = False,
) -> None:
    """Open a web page that checks pictures and shows the evidence; Ctrl-C stops it.

    Uploaded pictures are never written to disk.
    """
    import dataclasses

    from faceproof.frontends import is_loopback
    from faceproof.frontends.webapp.serving import serve
    from faceproof.frontends.webapp.settings import Settings

    if not (public or is_loopback(host)):
        raise UsageError(
            f"--host {host} is reachable from other machines, and the page has no keys: put it "
            "behind a server that authenticates users, or add --public"
        )
    settings = Settings.read()
    settings = dataclasses.replace(
        settings,
        detector=detector,
        scorer=scorer or settings.scorer,
        device=device or settings.device,
    )
    # Errors of the detector are reported here, not on the page.
    load_detector(detector, scorer=settings.scorer, device=settings.device)
    if no_addresses:
        settings = dataclasses.replace(settings, addresses=False)

    def ready(address: str) -> None:
        typer.echo(f"The page is at {address} (Ctrl-C stops it).", err=True)
        if not no_browser:
            _open_browser(address)

    serve(settings, host=host, port=port, ready=ready)


def _open_browser(address: str) -> None:
    """Open the address in a browser without waiting for it: some browsers only start then."""
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
