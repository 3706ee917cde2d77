"""How a head stands on its body: lowered arms, breadth of the shoulders, the turned neck.

All of it moves base vertices before they are subdivided, so that skin, eyes, teeth and helper
meshes follow together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synth.headmodel_masks import neck_height, smoothstep
from synth.spec import HeadPose

ARM_LOWERING_DEG = 22.0
"""The base mesh stands with spread arms; they are lowered so that shoulders look relaxed."""

# Joints of the neck, as heights above the collar line (`neck_height`), and what each takes of the
# whole turn: the upper joints turn most, as atlas and axis do. Together the ramps end at the chin.
_JOINT_HEIGHTS_M = (0.014, 0.026, 0.038, 0.050, 0.060)
_JOINT_SHARES = (0.14, 0.17, 0.20, 0.23, 0.26)
_JOINT_REACH_M = 0.020
_SPINE_BEHIND_MIDDLE_M = 0.010
# Shoulders are scaled below this range of heights above the collar line.
_SCALED_BELOW_M = (0.025, -0.055)
_DEPTH_FOLLOWS = 0.6
_LOWEST_SHOULDER_Z = 0.60
"""Canonical height of the lowest point that counts for the breadth of the shoulders."""


@dataclass(frozen=True, eq=False)
class Skeleton:
    """What moves which base vertex.

    Attributes:
        arm_weights: [N, 2] share of the (left, right) arm.
        shoulder_joints: base vertices around the (left, right) shoulder joint.
        joint_weights: [J, N] how much each joint of the neck turns a vertex, 0 torso to 1 head.
        joint_bands: base vertices around each joint of the neck.
        torso_weights: [N] 1 on torso and arms, 0 on the neck and above.
        shoulder_caps: base vertices of both upper arms near the shoulders.
    """

    arm_weights: np.ndarray
    shoulder_joints: tuple[np.ndarray, np.ndarray]
    joint_weights: np.ndarray
    joint_bands: tuple[np.ndarray, ...]
    torso_weights: np.ndarray
    shoulder_caps: np.ndarray


def build_skeleton(
    canonical_base: np.ndarray,  # [N, 3] float64, metres
    body: np.ndarray,  # vertices of the skin, in base numbering
    arm_weights: np.ndarray,  # [N, 2]
    shoulder_joints: tuple[np.ndarray, np.ndarray],
) -> Skeleton:
    """The skeleton of the base mesh; it depends on the topology only."""
    height = neck_height(canonical_base)
    bands = tuple(
        body[np.abs(height[body] - joint) < 0.5 * _JOINT_REACH_M] for joint in _JOINT_HEIGHTS_M
    )
    caps = (arm_weights[body].max(axis=1) > 0.4) & (canonical_base[body, 2] > _LOWEST_SHOULDER_Z)
    return Skeleton(
        arm_weights=arm_weights,
        shoulder_joints=shoulder_joints,
        joint_weights=np.stack(
            [
                smoothstep(joint - _JOINT_REACH_M, joint + _JOINT_REACH_M, height)
                for joint in _JOINT_HEIGHTS_M
            ]
        ),
        joint_bands=bands,
        torso_weights=smoothstep(*_SCALED_BELOW_M, height),
        shoulder_caps=body[caps],
    )


def lower_arms(base: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Turn both arms down about their shoulder joints: [N, 3] metres in and out."""
    lowered = base.copy()
    for side, sign in enumerate((1.0, -1.0)):
        centre = base[skeleton.shoulder_joints[side]].mean(axis=0)
        moving = np.flatnonzero(skeleton.arm_weights[:, side] > 0)
        angle = math.radians(ARM_LOWERING_DEG) * sign * skeleton.arm_weights[moving, side]
        offset = base[moving] - centre
        lowered[moving, 0] = centre[0] + offset[:, 0] * np.cos(angle) + offset[:, 2] * np.sin(angle)
        lowered[moving, 2] = centre[2] - offset[:, 0] * np.sin(angle) + offset[:, 2] * np.cos(angle)
    return lowered


def shoulder_breadth(base: np.ndarray, skeleton: Skeleton) -> float:
    """Breadth over both deltoids of a body with lowered arms, in metres."""
    caps = base[skeleton.shoulder_caps, 0]
    return float(caps.max() - caps.min())


def scale_shoulders(base: np.ndarray, skeleton: Skeleton, breadth_m: float) -> np.ndarray:
    """Scale torso and arms sideways to a breadth over the deltoids; the depth follows partly.

    The neck is the centre and keeps its size, so narrower shoulders slope more steeply from it.
    """
    factor = breadth_m / shoulder_breadth(base, skeleton)
    centre = base[skeleton.joint_bands[0]].mean(axis=0)
    weights = skeleton.torso_weights
    scaled = base.copy()
    for axis, follows in ((0, 1.0), (1, _DEPTH_FOLLOWS)):
        amount = weights * follows * (factor - 1)
        scaled[:, axis] += (base[:, axis] - centre[axis]) * amount
    return scaled


def turn_head(
    base: np.ndarray, pose: HeadPose, skeleton: Skeleton
) -> tuple[np.ndarray, np.ndarray]:
    """Turn the head with a neck of five joints, from the lowest one upwards.

    Args:
        base: [N, 3] metres.
        pose: the whole turn; every joint takes its share about the same axis.
        skeleton: of the same mesh.

    Returns:
        The turned vertices, and the rigid motion [4, 4] of everything above the neck.
    """
    motion = np.eye(4)
    if pose == HeadPose():
        return base, motion
    axis, angle = _axis_angle(head_rotation(pose))
    pivots = np.stack([base[band].mean(axis=0) for band in skeleton.joint_bands])
    pivots[:, 1] += _SPINE_BEHIND_MIDDLE_M
    moving = np.flatnonzero(skeleton.joint_weights[0] > 0)
    points = base[moving]
    for joint, share in enumerate(_JOINT_SHARES):
        pivot = pivots[joint].copy()
        weights = skeleton.joint_weights[joint, moving]
        points = _rotated(points, pivot, axis, angle * share * weights)
        pivots = _rotated(pivots, pivot, axis, np.full(len(pivots), angle * share))
        step = np.eye(4)
        step[:3, :3] = _rotated(np.eye(3), np.zeros(3), axis, np.full(3, angle * share)).T
        step[:3, 3] = pivot - step[:3, :3] @ pivot
        motion = step @ motion
    turned = base.copy()
    turned[moving] = points
    return turned, motion


def head_rotation(pose: HeadPose) -> np.ndarray:
    """[3, 3]: roll first, then pitch, then yaw, all about fixed axes of the body.

    The face looks along -y: yaw about +z turns it to +x (left), pitch about -x lifts it, roll about
    +y lowers the left ear.
    """
    yaw, pitch, roll = (math.radians(a) for a in (pose.yaw_deg, pose.pitch_deg, pose.roll_deg))
    about_z = np.array(
        [[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]]
    )
    about_x = np.array(
        [[1, 0, 0], [0, math.cos(pitch), math.sin(pitch)], [0, -math.sin(pitch), math.cos(pitch)]]
    )
    about_y = np.array(
        [[math.cos(roll), 0, math.sin(roll)], [0, 1, 0], [-math.sin(roll), 0, math.cos(roll)]]
    )
    return about_z @ about_x @ about_y


def _rotated(
    points: np.ndarray, pivot: np.ndarray, axis: np.ndarray, angles: np.ndarray
) -> np.ndarray:
    """Rodrigues' formula with an angle [N] of its own for every point [N, 3]."""
    offset = points - pivot
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    along = (offset @ axis)[:, None] * axis
    return pivot + offset * cos + np.cross(axis, offset) * sin + along * (1 - cos)


def _axis_angle(rotation: np.ndarray) -> tuple[np.ndarray, float]:
    vector = np.array(
        [
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ]
    )
    length = np.linalg.norm(vector)
    if length < 1e-12:
        return np.array([0.0, 0.0, 1.0]), 0.0
    return vector / length, math.atan2(length / 2, (np.trace(rotation) - 1) / 2)
