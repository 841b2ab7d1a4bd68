"""Pictures from addresses on the net, also from those that strangers name.

The order of things: `address` takes the address apart, `policy` looks its host up and judges every
IP address, `transport` connects to one of those, and `download` goes from hop to hop.
"""

from faceproof.imaging.fetching.address import without_query
from faceproof.imaging.fetching.download import Fetched, fetch
from faceproof.imaging.fetching.policy import DEFAULT_POLICY, FetchPolicy

__all__ = ["DEFAULT_POLICY", "FetchPolicy", "Fetched", "fetch", "without_query"]
