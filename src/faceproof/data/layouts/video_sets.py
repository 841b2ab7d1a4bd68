"""What the sets of manipulated videos have in common: whole videos, or folders of their frames."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from faceproof.data.layouts.listing import is_video, without_suffix

#: Folders of such sets that hold pictures of something else than faces.
NOT_FACES = frozenset({"masks", "mask", "models", "landmarks", "bounding_boxes"})


def video_name(path: str, pattern: re.Pattern[str]) -> str:
    r"""Return the video that a file is, or that a picture is a frame of; nothing where unclear.

    A frame's video names its folder (000_003/0001.png) or begins its name (000_003_0001.png).

    >>> video_name("videos/000_003.mp4", re.compile(r"\d{3}(_\d{3})?"))
    '000_003'
    >>> video_name("images/000/0001.png", re.compile(r"\d{3}(_\d{3})?"))
    '000'
    >>> video_name("images/portrait.png", re.compile(r"\d{3}(_\d{3})?"))
    ''
    """
    place = PurePosixPath(path)
    stem = without_suffix(place.name)
    if is_video(path):
        return stem if pattern.fullmatch(stem) else ""
    if pattern.fullmatch(place.parent.name):
        return place.parent.name
    begins = re.match(f"({pattern.pattern})(?![0-9a-zA-Z])", stem)
    return begins[1] if begins else ""


def below(path: str, names: frozenset[str]) -> tuple[str, ...]:
    """Return the folders of a path from the first that has one of these names, in lower case.

    >>> below("FF/Original_Sequences/youtube/raw/1.png", frozenset({"original_sequences"}))
    ('original_sequences', 'youtube', 'raw')
    """
    folders = PurePosixPath(path.lower()).parent.parts
    start = next((index for index, name in enumerate(folders) if name in names), len(folders))
    return folders[start:]
