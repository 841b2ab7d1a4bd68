"""FaceproofError and its subclasses: every error that faceproof raises on purpose.

::

    FaceproofError
    ├── UsageError                  usage               the caller asked for something impossible
    │   ├── UnknownChoiceError      unknown_choice      a name that is not in a table
    │   ├── RecipeError             recipe              a recipe that cannot be read
    │   ├── NoHeatMapError          no_heat_map         the detector has no heat maps
    │   └── MissingExtraError       missing_extra       an optional part is not installed
    ├── SourceError                                     a source named by the user cannot be checked
    │   ├── SourceNotFoundError     source_not_found    no such file, or a pattern without a match
    │   ├── SourceUnreadableError   source_unreadable   the file system refused
    │   ├── UnsupportedSourceError  unsupported_source  a kind of source this version cannot open
    │   ├── AddressRefusedError     address_refused     a URL that is not public, or malformed
    │   ├── FetchError              fetch_failed        the server gave no picture
    │   ├── FetchTimeoutError       fetch_timeout       the server did not give it in time
    │   ├── WorkerDiedError         worker_died         the process that checked it ended
    │   ├── CheckTimeoutError       check_timeout       its check took too long
    │   └── PictureError                                the bytes are not a usable picture
    │       ├── EmptyFileError      empty_file          zero bytes
    │       ├── UnsupportedFormatError  unsupported_format  not one of the picture formats
    │       ├── MislabelledFileError    mislabelled_file    named like a picture, is something else
    │       ├── TruncatedPictureError   truncated_picture   the end is missing
    │       ├── CorruptPictureError     corrupt_picture     the decoder cannot decode it
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
    ├── TrainingError               training            a training that cannot start or resume
    ├── ServiceError                                    the service cannot answer now
    │   ├── BusyError               busy                its queue is full
    │   ├── SlowRequestError        slow_request        the request did not arrive in time
    │   ├── DeadlineError           deadline            there was no answer in the time allowed
    │   └── StoppingError           stopping            it is shutting down
    ├── FeedbackError               feedback            feedback without a correction
    │   ├── FeedbackNotFoundError   feedback_not_found  no feedback with this name
    │   ├── FeedbackFullError       feedback_full       the store has reached its limit
    │   ├── FeedbackOffError        feedback_off        this service does not store feedback
    │   └── FeedbackStoreError      feedback_store      the database cannot be opened or used
    ├── OutputError                 output              results that could not be written
    └── ExportError                 export              the exported network's outputs differ

``code`` is stable: the command line, the API and a JSON result all show the same code.
A message states what failed, the value, the limit and the fix.
"""

from __future__ import annotations

__all__ = [
    "AddressRefusedError",
    "BundleError",
    "BundleHashError",
    "BundleNotFoundError",
    "BundleSchemaError",
    "BusyError",
    "CheckTimeoutError",
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
    "OutputError",
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
    "WorkerDiedError",
]


class FaceproofError(Exception):
    """Root of the tree; ``code`` names the kind for machines.

    A base class has a code too: an older program uses it for errors that a later version adds.

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
    """Heat maps were requested from a detector without them."""

    code = "no_heat_map"


class MissingExtraError(UsageError):
    """An optional part is not installed.

    >>> str(MissingExtraError("timm", extra="train"))  # doctest: +ELLIPSIS
    'timm is not installed: ... train ...'
    """

    code = "missing_extra"

    def __init__(self, library: str, *, extra: str) -> None:
        from faceproof.installation import install_command

        super().__init__(f"{library} is not installed: {install_command(extra)}")
        self.extra = extra


class SourceError(FaceproofError):
    """A source named by the user cannot be checked."""

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
    """URL refused: not a public address, or malformed."""

    code = "address_refused"


class FetchError(SourceError):
    """The server at a URL did not send a picture."""

    code = "fetch_failed"


class FetchTimeoutError(SourceError):
    """The server did not send the picture before the deadline."""

    code = "fetch_timeout"


class WorkerDiedError(SourceError):
    """The process that checked the picture ended, twice."""

    code = "worker_died"


class CheckTimeoutError(SourceError):
    """The check of the picture took longer than the limit, twice."""

    code = "check_timeout"


class PictureError(SourceError):
    """The bytes are not a usable picture."""

    code = "picture"


class EmptyFileError(PictureError):
    """Zero bytes."""

    code = "empty_file"


class UnsupportedFormatError(PictureError):
    """Not one of the picture formats."""

    code = "unsupported_format"


class MislabelledFileError(PictureError):
    """The name is that of a picture, the content is not."""

    code = "mislabelled_file"


class TruncatedPictureError(PictureError):
    """The end of the picture is missing."""

    code = "truncated_picture"


class CorruptPictureError(PictureError):
    """The decoder failed."""

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


class OutputError(FaceproofError):
    """Results that could not be written: the disk is full, or the file system refused."""

    code = "output"


class ExportError(FaceproofError):
    """The outputs of the exported network differ from those of the trained one."""

    code = "export"


class DataError(FaceproofError):
    """A data set that cannot be trusted."""

    code = "data"


class ManifestError(DataError):
    """A row or column breaks the manifest's contract."""

    code = "manifest"


class LeakError(DataError):
    """One picture or group occurs in two splits."""

    code = "leak"


class SplitUseError(DataError):
    """A split was used for something it must not decide."""

    code = "split_use"


class TrainingError(FaceproofError):
    """A training that cannot start or resume."""

    code = "training"


class ServiceError(FaceproofError):
    """The service cannot answer now; the same request may succeed later."""

    code = "service"


class BusyError(ServiceError):
    """The queue of the service is full; retry after ``retry_after`` seconds."""

    code = "busy"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SlowRequestError(ServiceError):
    """The request did not arrive in time."""

    code = "slow_request"


class DeadlineError(ServiceError):
    """There was no answer before the deadline."""

    code = "deadline"


class StoppingError(ServiceError):
    """The service is shutting down."""

    code = "stopping"


class FeedbackError(FaceproofError):
    """Feedback without a correction, or without anything that can be stored."""

    code = "feedback"


class FeedbackNotFoundError(FeedbackError):
    """No feedback with this name."""

    code = "feedback_not_found"


class FeedbackFullError(FeedbackError):
    """The feedback store has reached its limit."""

    code = "feedback_full"


class FeedbackOffError(FeedbackError):
    """Feedback is disabled in this service."""

    code = "feedback_off"


class FeedbackStoreError(FeedbackError):
    """The feedback database cannot be opened, read or written."""

    code = "feedback_store"
