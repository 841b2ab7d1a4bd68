"""What an update was made from, remembered in its folder; another one does not go on there."""

from __future__ import annotations

from pathlib import Path

from faceproof.errors import UsageError
from faceproof.records import Record

FILE = "inputs.json"


class Inputs(Record):
    """What an output folder was made from; another update does not go on in it."""

    detector: str
    data: str
    replay: str | None
    replay_share: float


def same_inputs(inputs: Inputs, output: Path) -> None:
    """Remember what the folder is made from.

    Raises:
        UsageError: it was made from something else.
    """
    file = output / FILE
    before = Inputs.read(file) if file.is_file() else inputs
    for key in Inputs.model_fields:
        if getattr(before, key) != getattr(inputs, key):
            raise UsageError(f"{output} holds an update with another {key}: name another --output")
    inputs.write(file)
