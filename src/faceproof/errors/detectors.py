"""A detector cannot be trusted, or made."""

from __future__ import annotations

from faceproof.errors.root import FaceproofError


class BundleError(FaceproofError):
    """A detector folder that cannot be trusted."""

    code = "bundle"


class BundleNotFoundError(BundleError):
    """No such folder, or no detector.json in it."""

    code = "bundle_not_found"


class BundleSchemaError(BundleError):
    """Unknown schema version or field."""

    code = "bundle_schema"


class BundleHashError(BundleError):
    """A file is not the one that detector.json names."""

    code = "bundle_hash"


class ExportError(FaceproofError):
    """The exported network answers differently from the trained one."""

    code = "export"
