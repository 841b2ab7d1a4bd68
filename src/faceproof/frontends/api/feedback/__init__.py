"""Feedback on wrong verdicts: received over REST, stored in a database without the picture.

`make_store(settings)` returns the store, `make_router(store, settings)` the routes, and
`async with run_retention(store, settings)` deletes expired feedback while the service runs.
"""

from faceproof.frontends.api.feedback.database import OFF, FeedbackSettings
from faceproof.frontends.api.feedback.routes import COMPONENTS, make_router
from faceproof.frontends.api.feedback.store import (
    AddedFeedback,
    FeedbackStore,
    make_store,
    prune,
    run_retention,
)

__all__ = [
    "COMPONENTS",
    "OFF",
    "AddedFeedback",
    "FeedbackSettings",
    "FeedbackStore",
    "make_router",
    "make_store",
    "prune",
    "run_retention",
]
