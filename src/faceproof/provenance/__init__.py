"""`read_provenance`: evidence of a picture's origin in the metadata of its file.

It never changes a score. Metadata can be copied, forged or stripped: a trace is only a claim of the
file, and a missing trace proves nothing.
"""

from faceproof.provenance.read import read_provenance
from faceproof.provenance.records import ContentCredentials, ProvenanceFinding

__all__ = ["ContentCredentials", "ProvenanceFinding", "read_provenance"]
