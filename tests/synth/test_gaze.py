"""Both eyes look at one point."""

from __future__ import annotations

import numpy as np
import pytest

from synth.gaze import eye_rotation, lines_of_sight
from synth.headmodel import HeadModel
from synth.sample import DatasetConfig, sample_head
from synth.spec import Gaze, HeadPose


@pytest.fixture(scope="module", params=[HeadPose(), HeadPose(yaw_deg=20, pitch_deg=-8)], ids=str)
def eyes(request):
    head = sample_head(DatasetConfig(), 2)
    return HeadModel.load().shape(head.identity, pose=request.param).eyes


def angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


@pytest.mark.parametrize(
    "gaze", [Gaze(), Gaze(10, -5, 0.4), Gaze(-11, 4, 1.0)], ids=["ahead", "near", "averted"]
)
def test_lines_of_sight_meet_at_the_distance(eyes, gaze):
    lines = lines_of_sight(gaze, eyes)
    centers = np.stack([eye.center for eye in eyes])
    # the point of each line that is closest to the other one
    system = np.stack([lines[0], -lines[1]], axis=1)
    along = np.linalg.lstsq(system, centers[1] - centers[0], rcond=None)[0]
    points = centers + lines * along[:, None]
    assert np.linalg.norm(points[0] - points[1]) < 1e-9
    distance = np.linalg.norm(points.mean(axis=0) - centers.mean(axis=0))
    assert distance == pytest.approx(gaze.distance_m, rel=1e-6)


def test_eyes_converge_on_what_is_near(eyes):
    apart = np.linalg.norm(eyes[0].center - eyes[1].center)
    for distance in (0.3, 1.0, 6.0):
        lines = lines_of_sight(Gaze(distance_m=distance), eyes)
        expected = np.degrees(2 * np.arctan(apart / 2 / distance))
        assert angle_deg(*lines) == pytest.approx(expected, rel=1e-6)


def test_gaze_turns_to_the_subjects_left_and_up_in_the_frame_of_the_head(eyes):
    far = 1e6
    forward, left, up = (
        lines_of_sight(gaze, eyes)[0]
        for gaze in (Gaze(0, 0, far), Gaze(10, 0, far), Gaze(0, 6, far))
    )
    frame = eyes[0].model_from_eye
    assert forward == pytest.approx(frame[:, 2], abs=1e-6)
    assert angle_deg(left, forward) == pytest.approx(10, abs=1e-3)
    assert left @ frame[:, 0] > 0
    assert angle_deg(up, forward) == pytest.approx(6, abs=1e-3)
    assert up @ frame[:, 1] > 0


def test_the_eye_turns_without_rolling(eyes):
    line = lines_of_sight(Gaze(9, -5, 0.5), eyes)[1]
    turned = eye_rotation(line, eyes[1])
    assert turned[:, 2] == pytest.approx(line)
    assert turned.T @ turned == pytest.approx(np.eye(3), abs=1e-12)
    assert turned[:, 0] @ eyes[1].model_from_eye[:, 1] == pytest.approx(0, abs=1e-9)
