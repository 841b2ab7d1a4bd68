"""From a picture, or from very many, to CheckResults; every front end calls this."""

from faceproof.checker.checker import Checker
from faceproof.checker.choosing import FACES
from faceproof.checker.loading import Source, source_name
from faceproof.checker.opened import Opened

__all__ = ["FACES", "Checker", "Opened", "Source", "source_name"]
