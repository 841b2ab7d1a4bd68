"""Signs of how, and whether again, a file was saved: none of them speaks for real or fake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from faceproof.imaging.containers.jpeg_header import JpegHeader, standard_table
from faceproof.provenance.findings import ProvenanceFinding, bounded
from faceproof.provenance.statements import Statement

_SAMPLING = {
    (1, 1): "colour at full size (4:4:4)",
    (2, 1): "colour at half width (4:2:2)",
    (2, 2): "colour at half size (4:2:0)",
    (0, 0): "without colour",
}
# Facebook and Instagram write this into the captions of what they save again: seen in many
# published listings of such files.
_META_MARK = "FBMD"


def saving_findings(
    header: JpegHeader | None, statements: Iterable[Statement]
) -> Iterator[ProvenanceFinding]:
    """Yield the signs of saving in a JPEG's header (None for other formats) and in the captions."""
    if header and header.luma:
        yield _compression(header)
    for statement in statements:
        if statement.key == "iim:SpecialInstructions" and statement.text.startswith(_META_MARK):
            yield ProvenanceFinding(
                kind="saved_again",
                says="The file bears the mark of pictures that Facebook or Instagram saved again.",
                value=bounded(statement.text, 40),
                where=statement.where,
            )
            return


def _compression(header: JpegHeader) -> ProvenanceFinding:
    quality, usual = int(header.quality), _is_usual(header)
    tables = "the usual tables" if usual else "tables of its maker's own"
    facts = [
        f"{'' if usual else 'about '}{quality} of 100",
        tables,
        _SAMPLING.get(header.sampling, "colour sampled in a rare way"),
        *(["progressive"] if header.progressive else []),
    ]
    who = (
        "most programs and web sites save so, cameras seldom"
        if usual
        else "cameras, phones, Photoshop and some web sites do"
    )
    return ProvenanceFinding(
        kind="saved_again",
        says=f"Last saved as a JPEG of quality {facts[0]}, with {tables} ({who}). "
        "How often it was saved before, and by whom, this does not tell.",
        value="; ".join(["quality " + facts[0], *facts[1:]]),
        where="JPEG tables",
    )


def _is_usual(header: JpegHeader) -> bool:
    """Say whether both tables are exactly those that libjpeg writes for a quality."""
    quality = int(header.quality)
    return header.standard == 1 and (
        not header.chroma or header.chroma == standard_table(quality, chroma=True)
    )
