"""Something the user named cannot be judged."""

from __future__ import annotations

from faceproof.errors.root import FaceproofError


class SourceError(FaceproofError):
    """Something the user named cannot be judged."""

    code = "source"


class SourceNotFoundError(SourceError):
    """No such file, or a pattern without a match."""

    code = "source_not_found"


class SourceUnreadableError(SourceError):
    """The file system refused."""

    code = "source_unreadable"


class UnsupportedSourceError(SourceError):
    """A kind of source that this version cannot open."""

    code = "unsupported_source"


class AddressRefusedError(SourceError):
    """An address on the net that is not gone to: not public, or oddly written."""

    code = "address_refused"


class FetchError(SourceError):
    """The server that an address names gave no picture."""

    code = "fetch_failed"


class FetchTimeoutError(SourceError):
    """The server did not give the picture in time."""

    code = "fetch_timeout"


class PictureError(SourceError):
    """The bytes are no usable picture."""

    code = "picture"


class EmptyFileError(PictureError):
    """Zero bytes."""

    code = "empty_file"


class UnsupportedFormatError(PictureError):
    """Not one of the picture formats."""

    code = "unsupported_format"


class MislabelledFileError(PictureError):
    """Named like a picture, but something else inside."""

    code = "mislabelled_file"


class TruncatedPictureError(PictureError):
    """The end of the picture is missing."""

    code = "truncated_picture"


class CorruptPictureError(PictureError):
    """The decoder gave up."""

    code = "corrupt_picture"


class FileTooLargeError(PictureError):
    """More bytes than the limit."""

    code = "file_too_large"


class PictureTooLargeError(PictureError):
    """More pixels, or a longer side, than the limit."""

    code = "picture_too_large"


class TooManyFacesError(PictureError):
    """More faces than the limit."""

    code = "too_many_faces"
