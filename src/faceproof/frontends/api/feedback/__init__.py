"""Feedback on wrong verdicts: received over REST, stored in a database without the picture.

`store_for(settings)` returns the store, `router(store, settings)` the routes, and
`async with kept(store, settings)` deletes expired feedback while the service runs.
"""

from faceproof.frontends.api.feedback.database import FeedbackSettings
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
    "AddedFeedback",
    "FeedbackSettings",
    "FeedbackStore",
    "make_router",
    "make_store",
    "prune",
    "run_retention",
]
