"""Videos as pictures: evenly spread frames, kept without loss as PNG files, made once."""

from __future__ import annotations

from pathlib import Path

import cv2
from pydantic import ValidationError

from faceproof.data.importing.video_frames import Missing, VideoFrame, spread_frames
from faceproof.errors import (
    CorruptPictureError,
    EmptyFileError,
    SourceNotFoundError,
    SourceUnreadableError,
)
from faceproof.records import Record

#: Written last into a video's folder: where it stands, the frames are whole.
INDEX = "frames.json"


class Frame(Record):
    """One kept frame: its file, its number in the video, when it is shown, the file's size."""

    file: str
    number: int
    seconds: float
    bytes: int


class Request(Record):
    """What was asked for; while it stays the same, the frames are not made again."""

    video_bytes: int
    video_changed_ns: int
    count: int


class Sampled(Record):
    """The frames kept of one video; ``missing`` says which could not be had and why, or nothing.

    A video that has fewer frames than were asked for gives all it has, and lacks nothing.
    """

    request: Request
    frames: tuple[Frame, ...] = ()
    missing: str = ""


def sample_video(video: Path, folder: Path, count: int) -> Sampled:
    """Return ``count`` evenly spread frames of a video, written into ``folder``.

    What an earlier call wrote there of the same file, and is whole, is not made again.

    Raises:
        SourceNotFoundError: there is no such file.
        SourceUnreadableError: the file system refused.
        EmptyFileError: it has no bytes.
        UnsupportedFormatError: it is no video that can be read.
        CorruptPictureError: not one frame can be decoded.
    """
    request = _request(video, count)
    before = _read(folder / INDEX)
    if before and before.request == request and _is_whole(before, folder):
        return before
    _clear(before, folder)
    sampled = _sampled(video, folder, request)
    part = folder / f".{INDEX}.part"
    sampled.write(part)
    part.replace(folder / INDEX)
    return sampled


def _request(video: Path, count: int) -> Request:
    try:
        status = video.stat()
    except FileNotFoundError as error:
        raise SourceNotFoundError(f"{video}: no such file") from error
    except OSError as error:
        raise SourceUnreadableError(f"{video}: cannot be read ({error.strerror})") from error
    if not status.st_size:
        raise EmptyFileError(f"{video}: the file is empty")
    return Request(video_bytes=status.st_size, video_changed_ns=status.st_mtime_ns, count=count)


def _read(index: Path) -> Sampled | None:
    """Return what an earlier call left, or None where that cannot be understood."""
    try:
        return Sampled.read(index)
    except (FileNotFoundError, ValidationError):
        return None


def _is_whole(sampled: Sampled, folder: Path) -> bool:
    files = {folder / frame.file: frame.bytes for frame in sampled.frames}
    return all(path.is_file() and path.stat().st_size == size for path, size in files.items())


def _clear(sampled: Sampled | None, folder: Path) -> None:
    """Make room for other frames; from here on the folder holds no whole set."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
    for frame in sampled.frames if sampled else ():
        (folder / Path(frame.file).name).unlink(missing_ok=True)


def _sampled(video: Path, folder: Path, request: Request) -> Sampled:
    """Decode and write the frames."""
    frames: list[Frame] = []
    missing: list[Missing] = []
    for found in spread_frames(video, request.count):
        if isinstance(found, Missing):
            missing.append(found)
        else:
            frames.append(_kept(found, folder))
    said = _told(missing, request.count)
    if not frames:
        raise CorruptPictureError(f"{video}: {said or 'no frame can be decoded'}")
    return Sampled(request=request, frames=tuple(frames), missing=said)


def _kept(frame: VideoFrame, folder: Path) -> Frame:
    """Write one frame."""
    name = f"frame-{frame.number:06d}.png"
    data = bytes(cv2.imencode(".png", cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGR))[1])
    (folder / name).write_bytes(data)
    return Frame(file=name, number=frame.number, seconds=round(frame.seconds, 3), bytes=len(data))


def _told(missing: list[Missing], count: int) -> str:
    """Return how many frames are missing and why, in words; empty where none is."""
    if not missing:
        return ""
    reasons = ", ".join(dict.fromkeys(item.reason for item in missing))
    lost = sum(item.count for item in missing)
    what = f"{lost} of {count} frames" if lost else "its end"
    return f"{what} could not be decoded ({reasons})"
