"""Films: what is written can be decoded by any player, what cannot be read is named."""

from __future__ import annotations

import sys

import imageio_ffmpeg
import numpy as np
import pytest

from infer import film
from synth.errors import DeviceError, InputError


def pictures(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Flat frames that grow brighter."""
    return [np.full((height, width, 3), 20 + 30 * i, np.uint8) for i in range(count)]


def test_a_film_holds_its_frames(tmp_path):
    assert film.write_mp4(tmp_path / "a.mp4", pictures(6), 12.5) == 6
    decoded = list(film.read_frames(tmp_path / "a.mp4"))
    assert [frame.shape for frame in decoded] == [(48, 64, 3)] * 6
    assert np.allclose([frame.mean() for frame in decoded], [20 + 30 * i for i in range(6)], atol=4)
    assert film.frames_per_second(tmp_path / "a.mp4") == 12.5
    data = (tmp_path / "a.mp4").read_bytes()
    assert data[4:8] == b"ftyp"
    assert b"avc1" in data  # H.264
    assert data.index(b"moov") < data.index(b"mdat")  # plays while it loads


def test_the_same_frames_give_the_same_bytes(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        film.write_mp4(tmp_path / name, pictures(3), 5)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_an_independent_reader_agrees(tmp_path):
    film.write_mp4(tmp_path / "a.mp4", pictures(4), 8)
    count, seconds = imageio_ffmpeg.count_frames_and_secs(tmp_path / "a.mp4")
    assert (count, seconds) == (4, 0.5)


def test_a_reader_that_stops_early_leaves_nothing_behind(tmp_path):
    film.write_mp4(tmp_path / "a.mp4", pictures(8, 256, 256), 8)
    frames = film.read_frames(tmp_path / "a.mp4")
    next(frames)
    frames.close()  # pytest turns an unclosed pipe or a zombie into an error


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "at least one frame"),
        (pictures(1, 47), "even sizes"),
        ([*pictures(1), *pictures(1, 32)], "frame 1"),
    ],
)
def test_frames_that_make_no_film(tmp_path, frames, reason):
    with pytest.raises(ValueError, match=reason):
        film.write_mp4(tmp_path / "a.mp4", frames, 5)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_or_broken_encoder_is_a_device_error(tmp_path, monkeypatch):
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: sys.executable)  # no ffmpeg
    with pytest.raises(DeviceError, match=r"encoding H\.264 failed: .*pip install"):
        film.write_mp4(tmp_path / "a.mp4", pictures(2), 5)

    def missing() -> str:
        raise RuntimeError("No ffmpeg exe could be found")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", missing)
    with pytest.raises(DeviceError, match=r"ffmpeg is missing.*pip install"):
        film.write_mp4(tmp_path / "a.mp4", pictures(2), 5)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_video_is_named(tmp_path):
    (tmp_path / "letter.mp4").write_text("Dear Sir")
    with pytest.raises(InputError, match=r"letter\.mp4: not a video that can be decoded: .+"):
        list(film.read_frames(tmp_path / "letter.mp4"))
    with pytest.raises(InputError, match=r"letter\.mp4"):
        film.frames_per_second(tmp_path / "letter.mp4")
