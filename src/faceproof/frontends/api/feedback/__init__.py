"""Feedback that a verdict was wrong: given over REST, kept in a database, never with a picture.

`store_for(settings)` makes the store, `router(store, settings)` the routes, and
`async with kept(store, settings)` deletes what has grown too old while the service runs.
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
