"""`fetch`: download pictures from URLs, also from untrusted ones.

`address` parses the URL, `policy` resolves its host and checks every IP address, `transport`
connects to one of them, and `download` follows redirects.
"""

from faceproof.imaging.fetching.address import strip_query
from faceproof.imaging.fetching.download import FetchedFile, fetch
from faceproof.imaging.fetching.policy import DEFAULT_POLICY, FetchPolicy

__all__ = ["DEFAULT_POLICY", "FetchPolicy", "FetchedFile", "fetch", "strip_query"]
