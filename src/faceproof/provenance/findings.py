"""ContentCredentials and ProvenanceFinding: what a file says of its origin, in bounded words."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from faceproof.records import Record

FindingKind = Literal[
    "generator_trace",
    "digital_source_type",
    "editing_software",
    "camera",
    "saved_again",
    "metadata",
    "credentials",
    "unreadable",
]
PointsTo = Literal["made_by_ai", "edited", "captured", "nothing"]
CredentialState = Literal["absent", "trusted", "untrusted", "invalid", "tampered", "unreadable"]

MOST_FINDINGS = 64
MOST_LISTED = 16
LONGEST_VALUE = 300
LONGEST_WORDS = 600

Words = Annotated[str, Field(min_length=1, max_length=LONGEST_WORDS)]
Value = Annotated[str, Field(max_length=LONGEST_VALUE)]
Values = Annotated[tuple[Value, ...], Field(max_length=MOST_LISTED)]


class ProvenanceFinding(Record):
    """One thing that a file says of its origin, or a sign of how it was saved.

    ``says`` is a plain sentence, ``value`` what stands in the file, cut to a bounded length, and
    ``where`` the place in the file. ``points_to`` is what it speaks for if the file tells the
    truth.
    """

    kind: FindingKind
    says: Words
    value: Value = ""
    where: Value
    points_to: PointsTo = "nothing"


class ContentCredentials(Record):
    """The signed statement (C2PA) in a file, and whether it holds.

    ``absent``: there is none, which proves nothing. ``trusted``: it fits the file, and its signer
    stands on the trust list given to faceproof. ``untrusted``: it fits the file, but the signer
    stands on no list that was given. ``invalid``: it fits the file, but was signed with a
    certificate that was not good for it, an expired one for example. ``tampered``: the file or the
    statement was changed after signing. ``unreadable``: there is one, and it cannot be read.

    ``issued`` is when the signer says to have signed, ISO 8601; ``ingredients`` the number of
    files that the picture is said to be made from; ``validation_codes`` are C2PA's own.
    """

    state: CredentialState
    says: Words
    signer: Value | None = None
    issued: Value | None = None
    claim_generator: Value | None = None
    actions: Values = ()
    digital_source_types: Values = ()
    ingredients: Annotated[int, Field(ge=0)] = 0
    validation_codes: Values = ()


def bounded(text: str, longest: int = LONGEST_VALUE) -> str:
    r"""Return text on one line that is safe to show: printable characters, a bounded length.

    Control characters could rewrite a terminal, those of direction could turn a sentence round, and
    half a surrogate pair is no Unicode.

    >>> bounded("a\nb\x1b[31m"), bounded("abcdef", 4)
    ('a b [31m', 'abc…')
    """
    printable = (letter if letter.isprintable() else " " for letter in text[: 4 * longest])
    shown = " ".join("".join(printable).split())
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"
