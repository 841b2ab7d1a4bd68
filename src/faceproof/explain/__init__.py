"""Whether heat maps can be believed: sanity tests of a detector's maps, as findings.

Every picture's own map is put to its test by `faceproof.detector.heatmaps`; here a detector's maps
are studied over many faces.
"""

from faceproof.explain.faces import StudiedFaces, studied
from faceproof.explain.sanity import study

__all__ = ["StudiedFaces", "studied", "study"]
