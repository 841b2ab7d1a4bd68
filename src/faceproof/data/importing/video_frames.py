"""The frames of a video that stand evenly over its length, decoded and upright."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from faceproof.errors import UnsupportedFormatError
from faceproof.imaging.picture import DEFAULT_LIMITS, check_size

# Nothing but the file itself is opened, whatever a playlist that is named like a video asks for.
_SAFELY = {
    "protocol_whitelist": "file",
    "format_whitelist": (
        "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,"
        "h264,hevc,m4v,mjpeg,rm,dv,mxf,nut,ivf"
    ),
}
# To seek costs the decoding of all frames from the key frame before.
_SEEK_SECONDS = 2.0
_ASSUMED_RATE = 25.0


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One frame: pixels uint8 [H, W, 3] in RGB, its number, and when it is shown in seconds."""

    pixels: npt.NDArray[np.uint8]
    number: int
    seconds: float


@dataclass(frozen=True)
class Missing:
    """So many frames could not be decoded, and why."""

    count: int
    reason: str


def spread_frames(path: Path, count: int) -> Iterator[VideoFrame | Missing]:
    """Yield the frames in the middle of ``count`` equal parts of a video, each frame once.

    A number is that of the frame at the video's average rate; where the file does not say how
    long it is, its frames are counted first.

    Raises:
        UnsupportedFormatError: the file is no video that can be read.
    """
    with _opened(path) as reader:
        length = reader.length
        if length:
            yield from _by_time(reader, length, count)
            return
        total, broken = reader.count()
    with _opened(path) as reader:
        yield from _by_number(reader, total, count)
    if broken:
        yield Missing(count - min(count, total), broken)


def _by_time(reader: _Reader, length: float, count: int) -> Iterator[VideoFrame | Missing]:
    """Yield the frame shown in the middle of each part."""
    before = -1
    for part in range(count):
        when = (part + 0.5) * length / count
        try:
            frame = reader.shown_at(when)
        except reader.errors as error:
            yield Missing(1, _said(error))
            continue
        if frame is None:
            if not reader.is_near_end(length):
                yield Missing(count - part, f"it ends after {reader.seconds:.1f} s")
            return
        if abs(reader.seconds - when) > length / count / 2 + 2 * reader.period:
            yield Missing(1, f"no frame around {when:.1f} s")
        elif reader.number > before:
            before = reader.number
            yield reader.picture(frame, before)


def _by_number(reader: _Reader, total: int, count: int) -> Iterator[VideoFrame]:
    """Yield the frame in the middle of each part of ``total`` frames."""
    wanted = {int((part + 0.5) * total / count) for part in range(count)}
    for number in range(max(wanted) + 1 if total else 0):
        frame = reader.advance()
        if frame is None:
            return
        if number in wanted:
            yield reader.picture(frame, number)


class _Reader:
    """Goes through an open video; ``seconds`` is when the last decoded frame is shown.

    ``errors`` are what the library raises for broken files, ``period`` how long a frame is shown.
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
        """Length in seconds; None where the file does not say."""
        if self._stream.duration:
            length = float(self._stream.duration * self._stream.time_base)
            # Of an AVI that is cut off, the library shortens the length to what is there.
            is_avi = self._container.format.name == "avi"
            return max(length, self._stream.frames * self.period) if is_avi else length
        return self._container.duration / 1e6 if self._container.duration else None

    def is_near_end(self, length: float) -> bool:
        """Return whether what was decoded reaches to the end, as far as that is known.

        Where only the length of all streams is known, the sound may be what ends later.
        """
        is_known = self._stream.duration or len(self._container.streams) == 1
        slack = 2 * self.period if is_known else 1.0 + 0.05 * length
        return self.seconds + self.period + slack >= length

    def shown_at(self, seconds: float) -> Any:
        """Return the frame that is shown then, as the library has it; None after the end."""
        if self._lost or seconds - self.seconds > _SEEK_SECONDS:
            self._seek(seconds)
        self._lost = True  # until the next frame was decoded
        while self._last is None or self.seconds + self.period <= seconds:
            frame = self.advance()
            if frame is None:
                return None
            self._last = self._last if frame.is_corrupt else frame
        self._lost = False
        return self._last

    def advance(self) -> Any:
        """Return the next frame as the library has it, or None at the end."""
        frame = next(self._frames, None)
        if frame is not None:
            known = frame.time is not None
            self.seconds = frame.time - self._start if known else self.seconds + self.period
        return frame

    def count(self) -> tuple[int, str]:
        """Return how many frames can be decoded, and what broke that off, if anything did."""
        total = 0
        try:
            while self.advance() is not None:
                total += 1
        except self.errors as error:
            return total, _said(error)
        return total, ""

    def picture(self, frame: Any, number: int) -> VideoFrame:
        """Return a frame upright, in RGB."""
        check_size((frame.width, frame.height), DEFAULT_LIMITS)
        pixels = frame.to_ndarray(format="rgb24")
        upright = np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))
        return VideoFrame(upright, number, max(self.seconds, 0.0))

    def _seek(self, seconds: float) -> None:
        """Go to the key frame before; where a file cannot be sought in, stay."""
        import av

        place = int((self._start + seconds) / self._stream.time_base)
        try:
            self._container.seek(place, stream=self._stream)
        except av.FFmpegError:
            return
        self._frames = self._container.decode(self._stream)
        self._last = None


@contextmanager
def _opened(path: Path) -> Iterator[_Reader]:
    """Open a video.

    Raises:
        UnsupportedFormatError: it is none, or one that cannot be read.
    """
    import av

    try:
        container = av.open(str(path.absolute()), options=_SAFELY)
    except (av.FFmpegError, ValueError) as error:
        raise UnsupportedFormatError(
            f"{path}: no video that can be read ({_said(error)}); is it whole? If it plays"
            " elsewhere, save it as MP4"
        ) from error
    with container:
        if not container.streams.video:
            raise UnsupportedFormatError(
                f"{path}: no moving pictures in it: it is cut off, or holds only sound"
            )
        yield _Reader(container)


def _said(error: BaseException) -> str:
    """Return the library's words, without the file's name."""
    return str(getattr(error, "strerror", None) or error)
