"""Pictures from addresses on the net, also from those that strangers name.

The order of things: `locator` takes the address apart, `hosts` reads its host, `resolving` looks
it up and has every IP address judged (`addresses`, `policy`), `transport` connects to one of those,
`answers` judges what the server says, and `download` goes from hop to hop.
"""

from faceproof.imaging.fetching.download import Fetched, fetch
from faceproof.imaging.fetching.locator import without_query
from faceproof.imaging.fetching.policy import DEFAULT_POLICY, FetchPolicy

__all__ = ["DEFAULT_POLICY", "FetchPolicy", "Fetched", "fetch", "without_query"]
