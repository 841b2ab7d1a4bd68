"""Frames of videos: which are taken, what broken files give, and what is not made twice."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest

from faceproof.data.importing import videos
from faceproof.data.importing import videos as video_frames
from faceproof.data.importing.videos import (
    INDEX,
    MissingFrame,
    VideoFrame,
    sample_video,
    spread_frames,
)
from faceproof.errors import (
    CorruptPictureError,
    EmptyFileError,
    SourceNotFoundError,
    UnsupportedFormatError,
)

FRAMES, RATE = 50, 10
CODECS = {
    "clip.mp4": ("mpeg4", None),
    "clip.mkv": ("mpeg4", None),
    "clip.avi": ("mpeg4", None),
    "clip.webm": ("libvpx", None),
    "clip.ts": ("mpeg2video", "mpegts"),
    "clip.m4v": ("mpeg4", "m4v"),
    "clip.mjpeg": ("mjpeg", "mjpeg"),
    "motion.mp4": ("mjpeg", None),
}
#: These say nothing of their length, so that their frames are counted.
BARE = {"clip.m4v", "clip.mjpeg"}


def picture(number: int) -> np.ndarray:
    """A frame that tells its number by its grey; white on its left, a red patch, noise."""
    frame = np.full((48, 96, 3), (4 * number + 20) % 256, np.uint8)
    frame[:, :16] = 255
    frame[:8, 24:56] = (220, 40, 40)
    frame[:, 64:] = np.random.default_rng(number).integers(0, 255, (48, 32, 1))
    return frame


def make(path: Path, *, frames: int = FRAMES, options: dict[str, str] | None = None) -> Path:
    codec, kind = CODECS[path.name]
    with av.open(str(path), "w", format=kind, options=options or {}) as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.gop_size = 96, 48, 12
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.bit_rate = 2_000_000
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def told(frame: VideoFrame) -> int:
    """Return the number that a frame's grey tells."""
    return round((float(frame.pixels[8:40, 24:56].mean()) - 20) / 4)


def taken(path: Path, count: int) -> tuple[list[VideoFrame], list[MissingFrame]]:
    found = list(spread_frames(path, count))
    frames = [one for one in found if isinstance(one, VideoFrame)]
    return frames, [one for one in found if isinstance(one, MissingFrame)]


@pytest.mark.parametrize("name", CODECS)
def test_frames_stand_evenly_over_the_length(tmp_path, name):
    frames, missing = taken(make(tmp_path / name), 5)
    assert missing == []
    assert [told(frame) for frame in frames] == pytest.approx([5, 15, 25, 35, 45], abs=1)
    assert [frame.number for frame in frames] == pytest.approx([5, 15, 25, 35, 45], abs=1)
    assert all(frame.pixels.shape == (48, 96, 3) for frame in frames)
    if name not in BARE:
        assert [frame.seconds for frame in frames] == pytest.approx(
            [0.5, 1.5, 2.5, 3.5, 4.5], abs=0.1
        )


@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "clip.mjpeg"])
@pytest.mark.parametrize("asked", [3, 8])
def test_a_video_with_fewer_frames_gives_each_once(tmp_path, name, asked):
    frames, missing = taken(make(tmp_path / name, frames=3), asked)
    assert missing == []
    assert [told(frame) for frame in frames] == [0, 1, 2]
    assert [frame.number for frame in frames] == [0, 1, 2]


@pytest.mark.parametrize("name", ["clip.mkv", "clip.webm", "clip.avi"])
def test_of_a_video_that_is_cut_off_the_rest_is_missing(tmp_path, name):
    path = make(tmp_path / name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    frames, missing = taken(path, 5)
    assert 2 <= len(frames) <= 3
    assert [told(frame) for frame in frames] == pytest.approx([5, 15, 25][: len(frames)], abs=1)
    assert sum(one.count for one in missing) == 5 - len(frames)
    assert all(one.reason for one in missing)


def test_what_is_damaged_in_the_middle_is_missing_and_the_rest_is_not(tmp_path):
    path = make(tmp_path / "clip.mkv")
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    data[third : 2 * third] = bytes(third)
    path.write_bytes(data)
    frames, missing = taken(path, 10)
    assert sum(one.count for one in missing) == 10 - len(frames) > 0
    assert told(frames[-1]) == pytest.approx(47, abs=1)


def test_after_an_error_of_the_decoder_the_next_frames_are_taken(tmp_path):
    path = make(tmp_path / "motion.mp4")
    data = bytearray(path.read_bytes())
    start, end = len(data) * 45 // 100, len(data) * 55 // 100
    data[start:end] = bytes(end - start)
    path.write_bytes(data)
    frames, missing = taken(path, 10)
    assert [told(frame) for frame in frames][:4] == [2, 7, 12, 17]
    assert [told(frame) for frame in frames][-3:] == [37, 42, 47]
    assert [one.reason for one in missing] == ["Invalid data found when processing input"]


def test_sound_that_ends_later_leaves_nothing_missing(tmp_path):
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 96, 48, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=8000)
        for number in range(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number))))
        container.mux(stream.encode(None))
        for _ in range(36):
            silence = np.zeros((1, 800), np.int16)
            frame = av.AudioFrame.from_ndarray(silence, format="s16", layout="mono")
            frame.sample_rate = 8000
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    frames, missing = taken(path, 40)
    assert missing == []
    assert len(frames) == 30


def test_a_frame_that_the_decoder_calls_corrupt_is_not_taken():
    frames = [SimpleNamespace(time=time / 10, is_corrupt=time == 2) for time in range(5)]
    container = SimpleNamespace(
        streams=SimpleNamespace(
            video=[SimpleNamespace(average_rate=10, start_time=0, time_base=1, frames=5)]
        ),
        decode=lambda _: iter(frames),
    )
    reader = video_frames._VideoReader(container)
    assert [reader.frame_at(time).time for time in (0.15, 0.25, 0.35)] == [0.1, 0.1, 0.3]


def test_a_long_way_is_sought_not_decoded(tmp_path, monkeypatch):
    path = make(tmp_path / "clip.mp4", frames=300)
    decoded = []
    advance = video_frames._VideoReader.next_frame
    monkeypatch.setattr(
        video_frames._VideoReader, "next_frame", lambda self: decoded.append(1) or advance(self)
    )
    frames, missing = taken(path, 3)
    assert [frame.number for frame in frames] == pytest.approx([50, 150, 250], abs=1)
    assert missing == []
    assert len(decoded) < 3 * 15


@pytest.mark.parametrize(
    ("matrix", "white"),
    [
        ((0, 1, 0, -1, 0, 0, 0, 0, 0x4000), "top"),  # shown a quarter turn clockwise
        ((0, -1, 0, 1, 0, 0, 0, 0, 0x4000), "bottom"),
        ((-1, 0, 0, 0, -1, 0, 0, 0, 0x4000), "right"),
    ],
)
def test_a_video_is_turned_as_it_asks(tmp_path, matrix, white):
    path = make(tmp_path / "clip.mp4")
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 4 + 36
    struct.pack_into(">9i", data, start, *(value * 0x10000 for value in matrix))
    path.write_bytes(data)
    (frame,), _ = taken(path, 1)
    sides = {
        "top": frame.pixels[:8],
        "bottom": frame.pixels[-8:],
        "right": frame.pixels[:, -8:],
    }
    assert frame.pixels.shape[:2] == ((48, 96) if white == "right" else (96, 48))
    assert {side: bool(part.mean() > 240) for side, part in sides.items()} == {
        side: side == white for side in sides
    }


def test_a_playlist_called_a_video_opens_nothing_else(tmp_path):
    make(tmp_path / "clip.ts")
    path = tmp_path / "list.mp4"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nclip.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(UnsupportedFormatError, match=r"list\.mp4: not a readable video"):
        taken(path, 2)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", EmptyFileError),
        (b"not a video at all" * 50, UnsupportedFormatError),
        (bytes(5000), UnsupportedFormatError),
    ],
)
def test_a_file_that_is_no_video_says_so(tmp_path, data, error):
    path = tmp_path / "talk.mp4"
    path.write_bytes(data)
    with pytest.raises(error, match=r"talk\.mp4"):
        sample_video(path, tmp_path / "out", 3)


def test_a_missing_video_and_one_that_gives_no_frame(tmp_path):
    with pytest.raises(SourceNotFoundError, match="no such file"):
        sample_video(tmp_path / "nowhere.mp4", tmp_path / "out", 3)
    path = make(tmp_path / "clip.avi")
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"movi") + 200])
    with pytest.raises(CorruptPictureError, match=r"clip\.avi: .*(could not|can) be decoded"):
        sample_video(path, tmp_path / "out", 3)
    assert not (tmp_path / "out" / INDEX).exists()


def test_sound_alone_is_no_video(tmp_path):
    path = tmp_path / "song.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(
            np.zeros((1, 800), np.int16), format="s16", layout="mono"
        )
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(UnsupportedFormatError, match="no video stream"):
        taken(path, 3)


# what is kept


def test_frames_are_kept_without_loss_under_their_numbers(tmp_path):
    path = make(tmp_path / "clip.mp4")
    sampled = sample_video(path, tmp_path / "out" / "clip.mp4", 2)
    decoded = [frame.pixels for frame in taken(path, 2)[0]]
    assert [frame.file for frame in sampled.frames] == ["frame-000012.png", "frame-000037.png"]
    assert [frame.seconds for frame in sampled.frames] == [1.2, 3.7]
    for frame, pixels in zip(sampled.frames, decoded, strict=True):
        file = tmp_path / "out" / "clip.mp4" / frame.file
        assert file.stat().st_size == frame.bytes
        assert pixels[2:6, 30:50, 0].mean() > 150 > pixels[2:6, 30:50, 2].mean()
        assert (cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB) == pixels).all()


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A video whose frames were taken, and a list that grows when frames are decoded again."""
    path, folder = make(tmp_path / "clip.mp4"), tmp_path / "out"
    first = sample_video(path, folder, 2)
    again = []
    real = videos.spread_frames
    monkeypatch.setattr(videos, "spread_frames", lambda *of: again.append(of) or real(*of))
    return path, folder, first, again


def test_what_is_there_and_whole_is_not_made_again(made):
    path, folder, first, again = made
    assert sample_video(path, folder, 2) == first
    assert again == []


def test_a_frame_that_is_cut_or_gone_is_made_again(made):
    path, folder, first, again = made
    whole = (folder / first.frames[0].file).read_bytes()
    (folder / first.frames[0].file).write_bytes(whole[:-5])
    assert sample_video(path, folder, 2) == first
    (folder / first.frames[1].file).unlink()
    assert sample_video(path, folder, 2) == first
    assert (folder / first.frames[0].file).read_bytes() == whole
    assert len(again) == 2


def test_another_number_of_frames_replaces_them(made):
    path, folder, _, again = made
    sampled = sample_video(path, folder, 3)
    kept = {frame.file for frame in sampled.frames}
    assert len(kept) == 3
    assert {file.name for file in folder.iterdir()} == kept | {INDEX}
    assert len(again) == 1


def test_another_video_of_the_same_name_and_an_index_of_another_version_count_for_nothing(made):
    path, folder, first, again = made
    (folder / INDEX).write_text("{}")
    assert sample_video(path, folder, 2) == first
    make(path, frames=20)
    assert [frame.number for frame in sample_video(path, folder, 2).frames] == [5, 15]
    assert len(again) == 2


def test_what_was_missing_is_told_again(tmp_path):
    path = make(tmp_path / "clip.mkv")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    first = sample_video(path, tmp_path / "out", 4)
    assert "of 4 frames could not be decoded (it ends after" in first.missing
    assert sample_video(path, tmp_path / "out", 4) == first
