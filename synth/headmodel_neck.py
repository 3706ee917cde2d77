"""The tendons of the neck: what a turned head shows below the jaw, as relief on the fine mesh.

MakeHuman's neck is a smooth tube. The sternocleidomastoid runs from behind the ear to the notch
between the collar bones; the one opposite to the turn draws tight. Amounts were tuned by eye.
"""

from __future__ import annotations

import itertools

import numpy as np

from synth.headmodel_masks import smoothstep
from synth.spec import HeadPose, Identity

# Course of the left muscle on the canonical head in metres, from the mastoid down.
_COURSE = np.array(
    [[0.058, -0.034, 0.832], [0.051, -0.058, 0.800], [0.038, -0.071, 0.770], [0.019, -0.078, 0.740],
     [0.008, -0.075, 0.712]]
)  # fmt: skip
_NOTCH = np.array([0.0, -0.075, 0.706])
_NOTCH_RADIUS_M, _NOTCH_DEPTH_M = 0.009, 0.0014
_RESTING_M, _TURNED_M = 0.0009, 0.0030
"""Height of the muscle at rest, and what a turn of `_FULL_TURN_DEG` adds on the opposite side."""
_FULL_TURN_DEG = 25.0


def tendon_masks(canonical: np.ndarray) -> dict[str, np.ndarray]:
    """[V] float32 masks by name, from canonical positions [V, 3]."""
    masks = {}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        distance, along = _from_course(canonical * [sign, 1, 1])
        width = 0.0075 - 0.0035 * along  # a belly that narrows to a tendon
        fade = smoothstep(0.1, 0.4, along) * smoothstep(1.0, 0.9, along)
        masks[f"tendon_{side}"] = (np.exp(-((distance / width) ** 2)) * fade).astype(np.float32)
    notch = np.exp(-(((canonical - _NOTCH) / _NOTCH_RADIUS_M) ** 2).sum(axis=1))
    return masks | {"notch": notch.astype(np.float32)}


def _from_course(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance [V] to the muscle in metres, and where along it the nearest point lies, 0 to 1."""
    nearest = np.full(len(points), np.inf)
    along = np.zeros(len(points))
    steps = len(_COURSE) - 1
    for number, (a, b) in enumerate(itertools.pairwise(_COURSE)):
        edge = b - a
        t = np.clip((points - a) @ edge / (edge @ edge), 0, 1)
        distance = np.linalg.norm(points - a - t[:, None] * edge, axis=1)
        nearer = distance < nearest
        nearest = np.where(nearer, distance, nearest)
        along = np.where(nearer, (number + t) / steps, along)
    return nearest, along


def neck_relief(masks: dict[str, np.ndarray], identity: Identity, pose: HeadPose) -> np.ndarray:
    """[V] metres along the normals; fat hides it."""
    turn = np.clip(pose.yaw_deg / _FULL_TURN_DEG, -1, 1)
    lean = 1.4 - 0.8 * identity.phenotype.get("weight", 0.5)
    relief = -_NOTCH_DEPTH_M * masks["notch"]
    for side, pull in (("left", -turn), ("right", turn)):
        relief = relief + (_RESTING_M + _TURNED_M * max(0.0, pull)) * masks[f"tendon_{side}"]
    return lean * relief
