"""Where the two eyes point: both lines of sight meet in the fixated point."""

from __future__ import annotations

import math

import numpy as np

from synth.headmodel import EyeFrame
from synth.spec import Gaze


def lines_of_sight(gaze: Gaze, eyes: tuple[EyeFrame, EyeFrame]) -> np.ndarray:
    """Unit vectors [2, 3] in model space along which the left and the right eye look.

    Args:
        gaze: direction and distance of the fixated point, from the middle between the eyes.
        eyes: the (left, right) eyeball of the evaluated head.
    """
    yaw, pitch = math.radians(gaze.yaw_deg), math.radians(gaze.pitch_deg)
    direction = np.array(
        [math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch)]
    )
    centers = np.stack([eye.center for eye in eyes])
    target = centers.mean(axis=0) + eyes[0].model_from_eye @ direction * gaze.distance_m
    lines = target - centers
    return lines / np.linalg.norm(lines, axis=1, keepdims=True)


def eye_rotation(line_of_sight: np.ndarray, eye: EyeFrame) -> np.ndarray:
    """Rotation [3, 3] that turns an eye from straight ahead to a line of sight, in model space.

    The eye turns about its vertical axis first and its horizontal one then; it does not roll
    (Listing's law would roll it by less than a degree at these angles).

    Args:
        line_of_sight: [3] unit vector in model space.

    Returns:
        model_from_eye after the turn: its columns are the turned eye's left, up and forward.
    """
    x, y, z = eye.model_from_eye.T @ line_of_sight
    yaw, pitch = math.atan2(x, z), math.asin(np.clip(y, -1.0, 1.0))
    about_y = np.array(
        [[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]]
    )
    about_x = np.array(
        [[1, 0, 0], [0, math.cos(pitch), math.sin(pitch)], [0, -math.sin(pitch), math.cos(pitch)]]
    )
    return eye.model_from_eye @ about_y @ about_x
