"""What the service cannot do now, and its feedback."""

from __future__ import annotations

from faceproof.errors.root import FaceproofError


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
