"""Is a rendered head worth keeping? What is measured on its front view, and the limits for it.

`synth.blender_scenes.checks` refuses pictures that cannot be right: black, empty, not finite. This
module judges pictures that are whole, by limits that a dataset sets: a head beyond them is
"rejected", counted in the footer of its shard and kept apart with the reason. Everything is
measured on the eight bits that are stored, so that a verdict can be reproduced from the files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from synth.camera import Camera
from synth.color import LUMINANCE, float_from_rgba8, linear_from_srgb, rgba8_from_float
from synth.resample import area_average
from synth.sample_draw import Range, check_probability, check_range

FINGERPRINT_SIDE = 16
"""Rows and columns of a fingerprint."""
BURNT_VALUE = 254
PROBE_SIDE = 40
"""Rows and columns of the exposure probe, a picture of the face."""

_FRONT_COSINE = 0.85
_FACE_CENTRE = np.array([[0.0, -0.4, -0.05]])
_FACE_RADIUS = 0.25


@dataclass(frozen=True)
class QualityConfig:
    """Limits for a head; what was not measured (no front view, no probe) is not judged.

    The defaults reject nothing that is as it should be (docs/decisions.md: of 202 heads none came
    near a limit); a dataset that wants less dark or less covered faces narrows them.

    Attributes:
        face_luminance: linear display luminance of the middle of the face, lowest and highest.
        max_burnt: share of the pixels there with a channel at 254 or 255.
        max_top_alpha: mean alpha of the uppermost row, which hair or a hat may not reach.
        min_skin: share of the pixels of the exposure probe that show skin of the face.
        min_distance: distance of the fingerprint from that of every earlier head of its shard, in
            1/255 of full scale; a nearer head is a near-duplicate. 0 keeps all.
    """

    face_luminance: Range = (0.03, 0.70)
    max_burnt: float = 0.05
    max_top_alpha: float = 0.02
    min_skin: float = 0.25
    min_distance: float = 1.8

    def __post_init__(self) -> None:
        check_range("face_luminance", self.face_luminance, 0.0, 1.0)
        for name in ("max_burnt", "max_top_alpha", "min_skin"):
            check_probability(name, getattr(self, name))
        if not 0 <= self.min_distance <= 255:
            raise ValueError(f"min_distance: {self.min_distance} is not in [0, 255]")


@dataclass(frozen=True)
class Quality:
    """What was measured, as `meta.json: quality` holds it; None where it could not be.

    Attributes:
        face_luminance, burnt, top_alpha, skin: compared with the limits of their name.
        fingerprint: hexadecimal digits; see `fingerprint`.
    """

    face_luminance: float | None = None
    burnt: float | None = None
    top_alpha: float | None = None
    skin: float | None = None
    fingerprint: str | None = None


def measure(
    cameras: Sequence[Camera],
    rgba: Sequence[np.ndarray],  # per view [H, W, 4] uint8, sRGB, straight alpha
    meta: Mapping[str, Any],
) -> Quality:
    """Measure a head.

    Args:
        cameras: one per view.
        rgba: the pictures.
        meta: its `meta.json`; `exposure.skin_pixels` is read if it is there.
    """
    skin = None
    if "exposure" in meta:
        skin = round(meta["exposure"]["skin_pixels"] / PROBE_SIDE**2, 4)
    front = front_view(cameras)
    if front is None:
        return Quality(skin=skin)
    return Quality(
        **measure_face(cameras[front], rgba[front]),
        top_alpha=round(float(rgba[front][0, :, 3].mean()) / 255, 5),
        skin=skin,
        fingerprint=fingerprint(rgba[front]),
    )


def measure_face(camera: Camera, rgba: np.ndarray) -> dict[str, float]:
    """Luminance and burnt share of a disc around the face's middle, which lies at the origin's
    front.

    Args:
        camera: sees the face.
        rgba: [H, W, 4] uint8, sRGB, straight alpha.
    """
    (centre,), (depth,) = camera.project(_FACE_CENTRE)
    radius_px = _FACE_RADIUS * camera.K[0, 0] / depth
    y, x = np.mgrid[: camera.height, : camera.width] + 0.5
    inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius_px**2
    colour = float_from_rgba8(rgba)
    weight = inside * colour[..., 3]
    total = max(float(weight.sum()), 1e-6)
    luminance = linear_from_srgb(colour[..., :3]) @ LUMINANCE
    burnt = rgba[..., :3].max(-1) >= BURNT_VALUE
    return {
        "face_luminance": round(float((luminance * weight).sum()) / total, 5),
        "burnt": round(float((burnt * weight).sum()) / total, 5),
    }


def front_view(cameras: Sequence[Camera]) -> int | None:
    """The view named "front", or the one most from the front, or None if all look from aside."""
    names = [camera.name for camera in cameras]
    if "front" in names:
        return names.index("front")
    best = max(range(len(cameras)), key=lambda view: frontness(cameras[view]))
    return best if is_frontal(cameras[best]) else None


def is_frontal(camera: Camera) -> bool:
    """Whether a camera sees the whole face."""
    return frontness(camera) > _FRONT_COSINE


def frontness(camera: Camera) -> float:
    """Cosine between the direction to the camera and -Y, where the face looks."""
    position = camera.position
    return float(-position[1] / np.linalg.norm(position))


# ---------------------------------------------------------------------------------- near-duplicates


def fingerprint(rgba: np.ndarray) -> str | None:
    """A picture in 256 bytes, as hexadecimal digits: equal heads give nearly equal ones.

    The luminance of the sRGB values on white, reduced to 16 x 16 by area averages, row by row, one
    byte each. None for a picture of fewer pixels a side.

    Args:
        rgba: [H, W, 4] uint8, sRGB, straight alpha.
    """
    if min(rgba.shape[:2]) < FINGERPRINT_SIDE:
        return None
    colour = float_from_rgba8(rgba)
    alpha = colour[..., 3]
    on_white = colour[..., :3] @ LUMINANCE * alpha + (1.0 - alpha)
    small = area_average(on_white[..., None], FINGERPRINT_SIDE, FINGERPRINT_SIDE)
    return rgba8_from_float(small).tobytes().hex()


def distance(first: str, second: str) -> float:
    """Root mean square of the difference of two fingerprints, in 1/255 of full scale."""
    one, other = (np.frombuffer(bytes.fromhex(text), np.uint8) for text in (first, second))
    return float(np.sqrt(np.mean((one.astype(float) - other) ** 2)))


@dataclass
class QualityControl:
    """Judges the heads of one shard one after the other.

    Attributes:
        config: the limits.
        kept: fingerprint by spec id of the heads that passed.
    """

    config: QualityConfig
    kept: dict[str, str] = field(default_factory=dict)

    def judge(self, spec_id: str, quality: Quality) -> str | None:
        """Why a head is rejected, or None if it is kept.

        Of two heads that are nearly alike the earlier one is kept.
        """
        reason = self._beyond_limits(quality) or self._duplicate(spec_id, quality)
        if reason is None and quality.fingerprint is not None:
            self.kept[spec_id] = quality.fingerprint
        return reason

    def _beyond_limits(self, quality: Quality) -> str | None:
        low, high = self.config.face_luminance
        limits = {
            "face_luminance": (low, high),
            "burnt": (0.0, self.config.max_burnt),
            "top_alpha": (0.0, self.config.max_top_alpha),
            "skin": (self.config.min_skin, 1.0),
        }
        for name, (low, high) in limits.items():
            value = getattr(quality, name)
            if value is not None and not low <= value <= high:
                return f"{name} {value:.4g} is not within {low:g} and {high:g}"
        return None

    def _duplicate(self, spec_id: str, quality: Quality) -> str | None:
        if quality.fingerprint is None:
            return None
        for other_id, other in self.kept.items():
            apart = distance(quality.fingerprint, other)
            if other_id != spec_id and apart < self.config.min_distance:
                return (
                    f"near-duplicate of head {other_id}: distance {apart:.2f} is below "
                    f"{self.config.min_distance:g}"
                )
        return None
