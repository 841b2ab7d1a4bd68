"""Evidence beside the pixels: what a picture's file says of its origin.

None of it enters a score. What a file says can be copied, forged or stripped, so that a trace is a
statement by the file and the lack of one says nothing.
"""

from faceproof.provenance.read import read_provenance
from faceproof.provenance.records import ContentCredentials, ProvenanceFinding

__all__ = ["ContentCredentials", "ProvenanceFinding", "read_provenance"]
