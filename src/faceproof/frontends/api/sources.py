"""What a request names, on its way to a Checker: a file that was sent, or an address."""

from __future__ import annotations

from faceproof.checker import Checker, Opened
from faceproof.errors import SourceError, UnsupportedSourceError
from faceproof.frontends.api.uploads import Upload
from faceproof.imaging.fetching import FetchPolicy, fetch, without_query
from faceproof.sources import Refused


def fetched(address: str, policy: FetchPolicy | None) -> Upload | Refused:
    """Return what an address leads to, named by the address without its query, or why not."""
    name = without_query(address)
    try:
        if policy is None:
            raise UnsupportedSourceError("no addresses are fetched here: send the file itself")
        return Upload(name, fetch(address, policy).data)
    except SourceError as error:
        return Refused(name, error)


def opened_by(checker: Checker, source: Upload | Refused) -> Opened:
    """Return the opened picture, or its error."""
    if isinstance(source, Refused):
        return checker.open(source)
    return checker.open(source.data, name=source.name)
