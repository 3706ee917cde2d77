"""A video: smooth crop, the same noise for every frame, and a second run that goes on."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from infer import film, video
from infer.video import lift_video, smooth_landmarks
from synth.errors import ConfigError, InputError


@pytest.fixture(scope="module")
def portrait(astronaut):
    return Image.open(astronaut).convert("RGB").crop((90, 0, 346, 256))


@pytest.fixture(scope="module")
def talk(portrait, tmp_path_factory):
    """Five frames: three the same, one without a face, one the same again."""
    blank = Image.new("RGB", portrait.size, (120, 130, 140))
    path = tmp_path_factory.mktemp("film") / "talk.mp4"
    film.write_mp4(path, map(np.asarray, [portrait, portrait, portrait, blank, portrait]), 5)
    return path


@pytest.fixture(scope="module")
def lifted(lifter, talk, tmp_path_factory):
    folder = tmp_path_factory.mktemp("talk")
    assert lift_video(lifter, talk, folder)
    return folder


def test_a_video_becomes_splats_and_a_film(lifted):
    names = sorted(path.name for path in (lifted / "frames").iterdir())
    assert names == sorted(f"{i:04d}.{kind}" for i in range(5) for kind in ("ply", "png"))
    record = json.loads((lifted / "lift.json").read_text())
    assert record["frames"] == 5
    assert record["frames_without_face"] == [3]
    frames = list(film.read_frames(lifted / "lifted.mp4"))
    assert film.frames_per_second(lifted / "lifted.mp4") == 5
    assert len(frames) == 5
    assert frames[0].shape == (32, 64, 3)


def test_the_noise_is_the_same_for_every_frame(lifter, portrait, tmp_path, monkeypatch):
    """Decoded frames of a still differ by the codec; hand the same picture over instead."""
    from infer.photo import photo_from_array

    still = photo_from_array(np.asarray(portrait), "still")
    monkeypatch.setattr(video, "read_frames", lambda *_: iter([(i, still) for i in range(3)]))
    monkeypatch.setattr(film, "frames_per_second", lambda _: 5.0)
    (tmp_path / "still.mp4").write_bytes(b"not opened")
    lift_video(lifter, tmp_path / "still.mp4", tmp_path / "out")
    splats = [path.read_bytes() for path in sorted((tmp_path / "out/frames").glob("*.ply"))]
    assert len(splats) == 3
    assert splats[0] == splats[1] == splats[2]


def test_a_second_run_lifts_only_the_missing_frames(lifter, talk, lifted):
    assert not lift_video(lifter, talk, lifted)
    (lifted / "lift.json").unlink()
    gone, kept = lifted / "frames/0002.ply", lifted / "frames/0001.ply"
    splat, before = gone.read_bytes(), kept.stat().st_mtime_ns
    gone.unlink()
    assert lift_video(lifter, talk, lifted)
    assert gone.read_bytes() == splat
    assert kept.stat().st_mtime_ns == before
    assert json.loads((lifted / "lift.json").read_text())["frames_lifted_in_last_run"] == 1


def test_an_unfinished_video_of_another_configuration_is_refused(lifter, talk, tmp_path):
    (tmp_path / "plan.json").write_text(json.dumps({"key": "0" * 64}))
    with pytest.raises(ConfigError, match="begun with key 000000000000"):
        lift_video(lifter, talk, tmp_path)


def test_videos_that_cannot_be_used(lifter, tmp_path):
    (tmp_path / "letter.mp4").write_text("Dear Sir")
    with pytest.raises(InputError, match=r"letter\.mp4"):
        lift_video(lifter, tmp_path / "letter.mp4", tmp_path / "out")
    wall = tmp_path / "wall.mp4"
    film.write_mp4(wall, [np.full((96, 96, 3), 120, np.uint8)] * 2, 5)
    with pytest.raises(InputError, match=r"wall\.mp4: no face found in any of its 2 frames"):
        lift_video(lifter, wall, tmp_path / "out")


def test_gaps_are_bridged_and_shaking_is_damped():
    points = np.arange(5.0)[:, None, None] * np.ones((5, 478, 3))
    found = np.array([True, True, False, False, True])
    seen = [p if ok else None for p, ok in zip(points, found)]
    np.testing.assert_allclose(video._interpolate(seen, found), points)
    late = video._interpolate([None, points[1], None], np.array([False, True, False]))
    np.testing.assert_allclose(late, np.broadcast_to(points[1], late.shape))
    shaking = np.where(np.arange(40) % 2, 1.0, -1.0)[:, None, None] * np.ones((40, 478, 3))
    assert np.abs(smooth_landmarks(shaking, 2.0)[5:-5]).max() < 0.05
    np.testing.assert_array_equal(smooth_landmarks(shaking, 0.0), shaking)
