"""Which views of a head the judges look at, and its pictures, decoded once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from synth.camera import Camera
from synth.color import rgba8_from_float
from synth.record import HeadRecord
from synth.report import on_white
from synth.spec import HeadSpec

Side = Literal["front", "front_left", "front_right"]
SIDES: dict[Side, float] = {"front": 0.0, "front_left": 45.0, "front_right": -45.0}
"""Ideal azimuth of each judged view relative to the front in degrees, + is the subject's left."""
MAX_OFF_DEG = 15.0
"""A view counts as one of `SIDES` up to this far from its ideal direction."""


def direction_deg(camera: Camera) -> tuple[float, float]:
    """Where a camera stands: azimuth from the front (+ the subject's left) and elevation."""
    x, y, z = camera.position
    return math.degrees(math.atan2(x, -y)), math.degrees(math.atan2(z, math.hypot(x, y)))


def choose_views(cameras: Sequence[Camera]) -> dict[Side, int]:
    """The view nearest to each of `SIDES`, where one is within `MAX_OFF_DEG`.

    Args:
        cameras: of a head, all at the height of the head or not.

    Returns:
        view number by side; a side that no camera sees is missing.
    """
    chosen: dict[Side, int] = {}
    directions = [direction_deg(camera) for camera in cameras]
    for side, azimuth in SIDES.items():
        off = [math.hypot(a - azimuth, e) for a, e in directions]
        best = int(np.argmin(off)) if off else -1
        if off and off[best] <= MAX_OFF_DEG:
            chosen[side] = best
    return chosen


@dataclass(frozen=True, eq=False)
class HeadViews:
    """A head under judgement.

    Attributes:
        spec: what was rendered; None of an imported head.
        cameras: of all views.
        rgba: per view [H, W, 4] uint8, sRGB, straight alpha.
        judged: view number by side, from `choose_views`.
    """

    spec: HeadSpec | None
    cameras: tuple[Camera, ...]
    rgba: tuple[np.ndarray, ...]
    judged: dict[Side, int]

    @classmethod
    def read(cls, head: HeadRecord) -> HeadViews:
        """Decode all pictures of a head.

        Raises:
            RecordCorrupt: a picture does not match its digest.
        """
        pictures = tuple(head.rgba(view) for view in range(head.view_count))
        spec = None if head.is_imported else head.spec
        return cls(spec, head.cameras, pictures, choose_views(head.cameras))

    def rgb(self, side: Side) -> np.ndarray:
        """[H, W, 3] uint8: a judged view on white, as the models of Headloom see it."""
        return rgba8_from_float(on_white(self.rgba[self.judged[side]]))
