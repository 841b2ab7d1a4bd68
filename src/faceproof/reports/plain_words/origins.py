"""What a file says of its origin, in words, kept apart from the verdict on its pixels."""

from __future__ import annotations

from collections.abc import Mapping

from faceproof.provenance.findings import (
    ContentCredentials,
    CredentialState,
    FindingKind,
    PointsTo,
    ProvenanceFinding,
)

ABSENCE_PROVES_NOTHING = (
    "What a file says can be copied, forged or removed, so that a trace is a statement by the file "
    "and the lack of one proves nothing. None of this changes the verdict on the pixels."
)
NOT_LOOKED_FOR = "Content credentials were not looked for."

KINDS: Mapping[FindingKind, str] = {
    "generator_trace": "Trace of a generator",
    "digital_source_type": "Stated source",
    "editing_software": "Editing software",
    "camera": "Camera",
    "saved_again": "Saved again",
    "metadata": "Metadata",
    "credentials": "Content credentials",
    "unreadable": "Not readable",
}
"""What each kind of finding is called."""

POINTS: Mapping[PointsTo, str] = {
    "made_by_ai": "if true, speaks for a generated picture",
    "edited": "if true, speaks for an edited picture",
    "captured": "if true, speaks for a photograph",
    "nothing": "",
}
"""What a finding speaks for, if the file tells the truth; most speak for nothing."""

STATES: Mapping[CredentialState, str] = {
    "absent": "None",
    "trusted": "Valid, by a signer on the trust list",
    "untrusted": "Valid, by a signer on no trust list that was given",
    "invalid": "Not valid",
    "tampered": "Changed after signing",
    "unreadable": "Not readable",
}
"""What each state of content credentials is called."""


def finding_words(finding: ProvenanceFinding) -> str:
    """Return one thing that a file says of its origin, with where it stands.

    >>> finding_words(ProvenanceFinding(kind="camera", says="A camera is named.", where="EXIF"))
    'A camera is named. (EXIF)'
    """
    place = f"{finding.where}: “{finding.value}”" if finding.value else finding.where
    return f"{finding.says} ({'; '.join(filter(None, [place, POINTS[finding.points_to]]))})"


def credentials_words(credentials: ContentCredentials | None) -> str:
    """Return what the signed statement in a file comes to.

    >>> credentials_words(None)
    'Content credentials were not looked for.'
    """
    if credentials is None:
        return NOT_LOOKED_FOR
    signer = f" Signer named: {credentials.signer}." if credentials.signer else ""
    return f"{STATES[credentials.state]}. {credentials.says}{signer}"
