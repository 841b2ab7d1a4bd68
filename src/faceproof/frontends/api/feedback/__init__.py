"""Feedback on wrong verdicts: received over REST, stored in a database without the picture.

`store_for(settings)` returns the store, `router(store, settings)` the routes, and
`async with kept(store, settings)` deletes expired feedback while the service runs.
"""

from faceproof.frontends.api.feedback.database import FeedbackSettings
from faceproof.frontends.api.feedback.routes import COMPONENTS, router
from faceproof.frontends.api.feedback.store import Added, FeedbackStore, kept, prune, store_for

__all__ = [
    "COMPONENTS",
    "Added",
    "FeedbackSettings",
    "FeedbackStore",
    "kept",
    "prune",
    "router",
    "store_for",
]
