"""Every error that faceproof raises on purpose, drawn once.

::

    FaceproofError
    ├── UsageError                  usage               the caller asked for something impossible
    │   ├── UnknownChoiceError      unknown_choice      a name that is not in a table
    │   ├── RecipeError             recipe              a recipe that cannot be read
    │   ├── NoHeatMapError          no_heat_map         the detector has no heat maps
    │   └── MissingExtraError       missing_extra       an optional part is not installed
    ├── SourceError                                     something named by the user cannot be judged
    │   ├── SourceNotFoundError     source_not_found    no such file, or a pattern without a match
    │   ├── SourceUnreadableError   source_unreadable   the file system refused
    │   ├── UnsupportedSourceError  unsupported_source  a kind of source this version cannot open
    │   ├── AddressRefusedError     address_refused     an address on the net that is not gone to
    │   ├── FetchError              fetch_failed        the server gave no picture
    │   ├── FetchTimeoutError       fetch_timeout       the server did not give it in time
    │   └── PictureError                                the bytes are no usable picture
    │       ├── EmptyFileError      empty_file          zero bytes
    │       ├── UnsupportedFormatError  unsupported_format  not one of the picture formats
    │       ├── MislabelledFileError    mislabelled_file    named like a picture, is something else
    │       ├── TruncatedPictureError   truncated_picture   the end is missing
    │       ├── CorruptPictureError     corrupt_picture     the decoder gave up
    │       ├── FileTooLargeError       file_too_large      more bytes than the limit
    │       ├── PictureTooLargeError    picture_too_large   more pixels or a side beyond the limit
    │       └── TooManyFacesError       too_many_faces      more faces than the limit
    ├── BundleError                 bundle              a detector folder that cannot be trusted
    │   ├── BundleNotFoundError     bundle_not_found    no such folder, or no detector.json in it
    │   ├── BundleSchemaError       bundle_schema       unknown schema version or field
    │   └── BundleHashError         bundle_hash         a file is not the one detector.json names
    ├── DataError                   data                a data set that cannot be trusted
    │   ├── ManifestError           manifest            a row or column breaks the contract
    │   ├── LeakError               leak                one picture or group in two splits
    │   └── SplitUseError           split_use           a split used for what it must not decide
    ├── TrainingError               training            a training that cannot start or go on
    ├── ServiceError                                    the service does not answer now
    │   ├── BusyError               busy                it has taken as much as it can hold
    │   ├── SlowRequestError        slow_request        the request did not arrive in time
    │   ├── DeadlineError           deadline            there was no answer in the time allowed
    │   └── StoppingError           stopping            it is shutting down
    ├── FeedbackError               feedback            feedback that says nothing was wrong
    │   ├── FeedbackNotFoundError   feedback_not_found  no feedback with this name
    │   ├── FeedbackFullError       feedback_full       the store holds all that it may hold
    │   ├── FeedbackOffError        feedback_off        this service keeps no feedback
    │   └── FeedbackStoreError      feedback_store      the database cannot be opened or used
    └── ExportError                 export              the exported network answers differently

``code`` is stable: the command line, the API and a JSON result all show the same one.
A message says what, where and what to do.
"""

from __future__ import annotations

__all__ = [
    "AddressRefusedError",
    "BundleError",
    "BundleHashError",
    "BundleNotFoundError",
    "BundleSchemaError",
    "BusyError",
    "CorruptPictureError",
    "DataError",
    "DeadlineError",
    "EmptyFileError",
    "ExportError",
    "FaceproofError",
    "FeedbackError",
    "FeedbackFullError",
    "FeedbackNotFoundError",
    "FeedbackOffError",
    "FeedbackStoreError",
    "FetchError",
    "FetchTimeoutError",
    "FileTooLargeError",
    "LeakError",
    "ManifestError",
    "MislabelledFileError",
    "MissingExtraError",
    "NoHeatMapError",
    "PictureError",
    "PictureTooLargeError",
    "RecipeError",
    "ServiceError",
    "SlowRequestError",
    "SourceError",
    "SourceNotFoundError",
    "SourceUnreadableError",
    "SplitUseError",
    "StoppingError",
    "TooManyFacesError",
    "TrainingError",
    "TruncatedPictureError",
    "UnknownChoiceError",
    "UnsupportedFormatError",
    "UnsupportedSourceError",
    "UsageError",
]


class FaceproofError(Exception):
    """Root of the tree; ``code`` names the kind for machines.

    A class that is only there to be caught has a code too, for errors of a later version that an
    older program does not know.

    >>> FaceproofError("no.jpg: nothing matches").code
    'error'
    """

    code = "error"


class UsageError(FaceproofError):
    """The caller asked for something impossible."""

    code = "usage"


class UnknownChoiceError(UsageError):
    """A name that is not in a table."""

    code = "unknown_choice"


class RecipeError(UsageError):
    """A recipe that cannot be read."""

    code = "recipe"


class NoHeatMapError(UsageError):
    """Heat maps were asked of a detector that has none."""

    code = "no_heat_map"


class MissingExtraError(UsageError):
    """An optional part is not installed.

    >>> str(MissingExtraError("timm", extra="train"))
    "timm is not installed: pip install 'faceproof[train]'"
    """

    code = "missing_extra"

    def __init__(self, library: str, *, extra: str) -> None:
        super().__init__(f"{library} is not installed: pip install 'faceproof[{extra}]'")
        self.extra = extra


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


class DataError(FaceproofError):
    """A data set that cannot be trusted."""

    code = "data"


class ManifestError(DataError):
    """A row or column breaks the manifest's contract."""

    code = "manifest"


class LeakError(DataError):
    """One picture or group stands in two splits."""

    code = "leak"


class SplitUseError(DataError):
    """A split was used for something it must not decide."""

    code = "split_use"


class TrainingError(FaceproofError):
    """A training that cannot start or go on."""

    code = "training"


class ServiceError(FaceproofError):
    """The service does not answer now; the same request may be answered later."""

    code = "service"


class BusyError(ServiceError):
    """The service has taken as much as it can hold; ``retry_after`` is when to ask again, in s."""

    code = "busy"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SlowRequestError(ServiceError):
    """The request did not arrive in time."""

    code = "slow_request"


class DeadlineError(ServiceError):
    """There was no answer in the time allowed."""

    code = "deadline"


class StoppingError(ServiceError):
    """The service is shutting down."""

    code = "stopping"


class FeedbackError(FaceproofError):
    """Feedback that says nothing was wrong, or nothing that can be kept."""

    code = "feedback"


class FeedbackNotFoundError(FeedbackError):
    """No feedback with this name."""

    code = "feedback_not_found"


class FeedbackFullError(FeedbackError):
    """The store of feedback holds all that it may hold."""

    code = "feedback_full"


class FeedbackOffError(FeedbackError):
    """No feedback is kept by this service."""

    code = "feedback_off"


class FeedbackStoreError(FeedbackError):
    """The database of feedback cannot be opened, read or written."""

    code = "feedback_store"
