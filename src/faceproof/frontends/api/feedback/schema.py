"""The tables of feedback, made where there are none, refused where a newer version made them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    insert,
    inspect,
    select,
    text,
)

from faceproof.errors import FeedbackStoreError

VERSION = 1

_METADATA = MetaData()

FEEDBACK = Table(
    "faceproof_feedback",
    _METADATA,
    Column("id", String(32), primary_key=True),
    # What makes two pieces of feedback the same: `store.key_of`.
    Column("key", String(64), nullable=False, unique=True),
    # Whole seconds since 1970, UTC.
    Column("received", BigInteger, nullable=False),
    Column("truth", String(4), nullable=False),
    Column("generator", String(64)),
    Column("note", Text),
    Column("face", Integer),
    Column("image_sha256", String(64), nullable=False),
    Column("image_width", Integer),
    Column("image_height", Integer),
    Column("image_format", String(200)),
    Column("verdict", String(6)),
    Column("fake_probability", Float),
    # JSON: box, quality, verdict and probability of each face.
    Column("faces", Text, nullable=False),
    Column("detector_name", String(200), nullable=False),
    Column("detector_version", String(200), nullable=False),
    Column("detector_sha256", String(64), nullable=False),
    Column("operating_point", String(200), nullable=False),
    Index("faceproof_feedback_received", "received", "id"),
    Index("faceproof_feedback_image", "image_sha256"),
)

SCHEMA = Table("faceproof_feedback_schema", _METADATA, Column("version", Integer, nullable=False))

#: Two services that start at once make the tables one after the other.
_LOCK = text("SELECT pg_advisory_xact_lock(706172011)")


def make_tables(connection: Connection, *, create: bool) -> None:
    """Make the tables where there are none, and see that they are of a version that we know.

    Raises:
        FeedbackStoreError: a newer faceproof made them; or none are there and none are to be made.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK)
    if not inspect(connection).has_table(SCHEMA.name):
        if not create:
            raise FeedbackStoreError("holds no feedback: is it the database of the service?")
        _METADATA.create_all(connection)
        connection.execute(insert(SCHEMA).values(version=VERSION))
    version = connection.execute(select(SCHEMA.c.version)).scalar()
    if version != VERSION:
        raise FeedbackStoreError(
            f"holds feedback of version {version}, and this faceproof knows {VERSION}: "
            "install a newer faceproof, or name another database"
        )
