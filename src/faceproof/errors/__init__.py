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

from faceproof.errors.detectors import (
    BundleError,
    BundleHashError,
    BundleNotFoundError,
    BundleSchemaError,
    ExportError,
)
from faceproof.errors.root import FaceproofError
from faceproof.errors.service import (
    BusyError,
    DeadlineError,
    FeedbackError,
    FeedbackFullError,
    FeedbackNotFoundError,
    FeedbackOffError,
    FeedbackStoreError,
    ServiceError,
    SlowRequestError,
    StoppingError,
)
from faceproof.errors.sources import (
    AddressRefusedError,
    CorruptPictureError,
    EmptyFileError,
    FetchError,
    FetchTimeoutError,
    FileTooLargeError,
    MislabelledFileError,
    PictureError,
    PictureTooLargeError,
    SourceError,
    SourceNotFoundError,
    SourceUnreadableError,
    TooManyFacesError,
    TruncatedPictureError,
    UnsupportedFormatError,
    UnsupportedSourceError,
)
from faceproof.errors.training import (
    DataError,
    LeakError,
    ManifestError,
    SplitUseError,
    TrainingError,
)
from faceproof.errors.usage import (
    MissingExtraError,
    NoHeatMapError,
    RecipeError,
    UnknownChoiceError,
    UsageError,
)

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
