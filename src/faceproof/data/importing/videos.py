"""`sample_video`: evenly spaced frames of a video, as lossless PNG files, extracted once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from faceproof.errors import (
    CorruptPictureError,
    EmptyFileError,
    SourceNotFoundError,
    SourceUnreadableError,
    UnsupportedFormatError,
)
from faceproof.imaging.decode import DEFAULT_LIMITS, check_size
from faceproof.outputs import atomic_write
from faceproof.records import Record

# Only the file itself is opened, even if it is a playlist with the name of a video.
_SAFELY = {
    "protocol_whitelist": "file",
    "format_whitelist": (
        "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,"
        "h264,hevc,m4v,mjpeg,rm,dv,mxf,nut,ivf"
    ),
}
# Seeking decodes all frames from the previous key frame.
_SEEK_SECONDS = 2.0
_ASSUMED_RATE = 25.0


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One frame: pixels uint8 [H, W, 3] in RGB, its number, and its time in seconds."""

    pixels: npt.NDArray[np.uint8]
    number: int
    seconds: float


@dataclass(frozen=True)
class MissingFrame:
    """The number of frames that could not be decoded, and the reason."""

    count: int
    reason: str


def spread_frames(path: Path, count: int) -> Iterator[VideoFrame | MissingFrame]:
    """Yield the frames in the middle of ``count`` equal parts of a video, each frame once.

    Numbers are those of frames at the video's average rate; if the file has no length, its frames
    are counted first.

    Raises:
        UnsupportedFormatError: the file is not a readable video.
    """
    with _open_video(path) as reader:
        length = reader.length
        if length:
            yield from _frames_by_time(reader, length, count)
            return
        total, broken = reader.count()
    with _open_video(path) as reader:
        yield from _frames_by_number(reader, total, count)
    if broken:
        yield MissingFrame(count - min(count, total), broken)


def _frames_by_time(
    reader: _VideoReader, length: float, count: int
) -> Iterator[VideoFrame | MissingFrame]:
    """Yield the frame shown in the middle of each part."""
    before = -1
    for part in range(count):
        when = (part + 0.5) * length / count
        try:
            frame = reader.frame_at(when)
        except reader.errors as error:
            yield MissingFrame(1, _library_message(error))
            continue
        if frame is None:
            if not reader.is_near_end(length):
                yield MissingFrame(count - part, f"it ends after {reader.seconds:.1f} s")
            return
        if abs(reader.seconds - when) > length / count / 2 + 2 * reader.period:
            yield MissingFrame(1, f"no frame around {when:.1f} s")
        elif reader.number > before:
            before = reader.number
            yield reader.to_video_frame(frame, before)


def _frames_by_number(reader: _VideoReader, total: int, count: int) -> Iterator[VideoFrame]:
    """Yield the frame in the middle of each part of ``total`` frames."""
    wanted = {int((part + 0.5) * total / count) for part in range(count)}
    for number in range(max(wanted) + 1 if total else 0):
        frame = reader.next_frame()
        if frame is None:
            return
        if number in wanted:
            yield reader.to_video_frame(frame, number)


class _VideoReader:
    """Reads an open video; ``seconds`` is the time of the last decoded frame.

    ``errors`` are the library's exceptions for broken files, ``period`` is the duration of a frame.
    """

    def __init__(self, container: Any) -> None:
        import av

        self.errors = (av.FFmpegError, ValueError)
        self._container = container
        self._stream = container.streams.video[0]
        rate = self._stream.average_rate or self._stream.guessed_rate or _ASSUMED_RATE
        self.period = 1 / float(rate)
        begins = self._stream.start_time
        self._start = float(begins * self._stream.time_base) if begins is not None else 0.0
        self._frames = container.decode(self._stream)
        self._last: Any = None
        self._lost = False
        self.seconds = 0.0

    @property
    def number(self) -> int:
        """Number of the last decoded frame, at the average rate."""
        return max(round(self.seconds / self.period), 0)

    @property
    def length(self) -> float | None:
        """Length in seconds; None if the file does not contain it."""
        if self._stream.duration:
            length = float(self._stream.duration * self._stream.time_base)
            # For a truncated AVI, the library reports only the length of the existing part.
            is_avi = self._container.format.name == "avi"
            return max(length, self._stream.frames * self.period) if is_avi else length
        return self._container.duration / 1e6 if self._container.duration else None

    def is_near_end(self, length: float) -> bool:
        """Return whether decoding reached the end, as far as that is known.

        If only the length of all streams is known, the sound may end later than the pictures.
        """
        is_known = self._stream.duration or len(self._container.streams) == 1
        slack = 2 * self.period if is_known else 1.0 + 0.05 * length
        return self.seconds + self.period + slack >= length

    def frame_at(self, seconds: float) -> Any:
        """Return the library's frame at this time; None after the end."""
        if self._lost or seconds - self.seconds > _SEEK_SECONDS:
            self._seek(seconds)
        self._lost = True  # until the next frame is decoded
        while self._last is None or self.seconds + self.period <= seconds:
            frame = self.next_frame()
            if frame is None:
                return None
            self._last = self._last if frame.is_corrupt else frame
        self._lost = False
        return self._last

    def next_frame(self) -> Any:
        """Return the library's next frame, or None at the end."""
        frame = next(self._frames, None)
        if frame is not None:
            known = frame.time is not None
            self.seconds = frame.time - self._start if known else self.seconds + self.period
        return frame

    def count(self) -> tuple[int, str]:
        """Return how many frames can be decoded, and the error that ended decoding, if any."""
        total = 0
        try:
            while self.next_frame() is not None:
                total += 1
        except self.errors as error:
            return total, _library_message(error)
        return total, ""

    def to_video_frame(self, frame: Any, number: int) -> VideoFrame:
        """Return a frame upright, in RGB."""
        check_size((frame.width, frame.height), DEFAULT_LIMITS)
        pixels = frame.to_ndarray(format="rgb24")
        upright = np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))
        return VideoFrame(upright, number, max(self.seconds, 0.0))

    def _seek(self, seconds: float) -> None:
        """Seek to the previous key frame; if seeking fails, keep the position."""
        import av

        place = int((self._start + seconds) / self._stream.time_base)
        try:
            self._container.seek(place, stream=self._stream)
        except av.FFmpegError:
            return
        self._frames = self._container.decode(self._stream)
        self._last = None


@contextmanager
def _open_video(path: Path) -> Iterator[_VideoReader]:
    """Open a video.

    Raises:
        UnsupportedFormatError: it is not a video, or cannot be read.
    """
    import av

    try:
        container = av.open(str(path.absolute()), options=_SAFELY)
    except (av.FFmpegError, ValueError) as error:
        raise UnsupportedFormatError(
            f"{path}: not a readable video ({_library_message(error)}); check that it is "
            "complete. If it plays"
            " elsewhere, save it as MP4"
        ) from error
    with container:
        if not container.streams.video:
            raise UnsupportedFormatError(
                f"{path}: no video stream: the file is truncated, or has only sound"
            )
        yield _VideoReader(container)


def _library_message(error: BaseException) -> str:
    """Return the library's message, without the file's name."""
    return str(getattr(error, "strerror", None) or error)


#: Written last into a video's folder: if it exists, the frames are complete.
INDEX = "frames.json"


class Frame(Record):
    """One stored frame: its file, its number in the video, its time, the file's size."""

    file: str
    number: int
    seconds: float
    bytes: int


class _SamplingRequest(Record):
    """The request; while it does not change, the frames are not extracted again."""

    video_bytes: int
    video_changed_ns: int
    count: int


class _SampledVideo(Record):
    """The stored frames of one video; ``missing`` describes frames that failed, or is empty.

    A video with fewer frames than requested gives all its frames, and none is missing.
    """

    request: _SamplingRequest
    frames: tuple[Frame, ...] = ()
    missing: str = ""


def sample_video(video: Path, folder: Path, count: int) -> _SampledVideo:
    """Return ``count`` evenly spread frames of a video, written into ``folder``.

    Complete frames of the same file from an earlier call are not extracted again.

    Raises:
        SourceNotFoundError: there is no such file.
        SourceUnreadableError: the file system refused.
        EmptyFileError: it has no bytes.
        UnsupportedFormatError: it is not a readable video.
        CorruptPictureError: no frame can be decoded.
    """
    request = _make_request(video, count)
    before = _read(folder / INDEX)
    if before and before.request == request and _is_whole(before, folder):
        return before
    _clear_folder(before, folder)
    sampled = _sample_frames(video, folder, request)
    with atomic_write(folder / INDEX) as file:
        file.write((sampled.model_dump_json(indent=2) + "\n").encode())
    return sampled


def _make_request(video: Path, count: int) -> _SamplingRequest:
    try:
        status = video.stat()
    except FileNotFoundError as error:
        raise SourceNotFoundError(f"{video}: no such file") from error
    except OSError as error:
        raise SourceUnreadableError(f"{video}: cannot be read ({error.strerror})") from error
    if not status.st_size:
        raise EmptyFileError(f"{video}: the file is empty")
    return _SamplingRequest(
        video_bytes=status.st_size, video_changed_ns=status.st_mtime_ns, count=count
    )


def _read(index: Path) -> _SampledVideo | None:
    """Return the record of an earlier call, or None if it is missing or invalid."""
    try:
        return _SampledVideo.read(index)
    except (FileNotFoundError, ValidationError):
        return None


def _is_whole(sampled: _SampledVideo, folder: Path) -> bool:
    files = {folder / frame.file: frame.bytes for frame in sampled.frames}
    return all(path.is_file() and path.stat().st_size == size for path, size in files.items())


def _clear_folder(sampled: _SampledVideo | None, folder: Path) -> None:
    """Remove the old frames, the record first, so that the folder counts as incomplete."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
    for frame in sampled.frames if sampled else ():
        (folder / Path(frame.file).name).unlink(missing_ok=True)


def _sample_frames(video: Path, folder: Path, request: _SamplingRequest) -> _SampledVideo:
    """Decode and write the frames."""
    frames: list[Frame] = []
    missing: list[MissingFrame] = []
    for found in spread_frames(video, request.count):
        if isinstance(found, MissingFrame):
            missing.append(found)
        else:
            frames.append(_save_frame(found, folder))
    message = _describe_missing(missing, request.count)
    if not frames:
        raise CorruptPictureError(f"{video}: {message or 'no frame can be decoded'}")
    return _SampledVideo(request=request, frames=tuple(frames), missing=message)


def _save_frame(frame: VideoFrame, folder: Path) -> Frame:
    """Write one frame."""
    name = f"frame-{frame.number:06d}.png"
    data = bytes(cv2.imencode(".png", cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGR))[1])
    (folder / name).write_bytes(data)
    return Frame(file=name, number=frame.number, seconds=round(frame.seconds, 3), bytes=len(data))


def _describe_missing(missing: list[MissingFrame], count: int) -> str:
    """Return the number of missing frames and the reasons as text; empty if none is missing."""
    if not missing:
        return ""
    reasons = ", ".join(dict.fromkeys(item.reason for item in missing))
    lost = sum(item.count for item in missing)
    what = f"{lost} of {count} frames" if lost else "its end"
    return f"{what} could not be decoded ({reasons})"
