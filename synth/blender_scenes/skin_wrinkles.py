"""Wrinkles and folds: drawn in canonical space, deepened by age and by the expression.

A groove has the depth of what age has carved plus what the face folds at this moment, the technique
of wrinkle maps driven by facial actions (Oat 2007). Heights are in metres.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synth.headmodel_masks import smoothstep
from synth.rng import stream

FOLDED_BY = {
    "forehead_inner": {"browInnerUp": 1.0, "browDown": -0.5},
    "forehead_outer": {"browOuterUp": 1.0, "browDown": -0.5},
    "glabella": {"browDown": 1.0, "noseSneer": 0.5},
    "crows_feet": {"eyeSquint": 0.8, "cheekSquint": 0.8, "mouthSmile": 0.45, "eyeBlink": 0.3},
    "under_eye": {"eyeSquint": 0.9, "cheekSquint": 0.7, "mouthSmile": 0.3},
    "bunny": {"noseSneer": 1.0, "eyeSquint": 0.2},
    "nasolabial": {"mouthSmile": 0.9, "noseSneer": 0.7, "mouthUpperUp": 0.7, "cheekSquint": 0.3},
    "marionette": {"mouthFrown": 1.0, "mouthStretch": 0.4, "mouthDimple": 0.4},
    "lips": {"mouthPucker": 1.0, "mouthFunnel": 0.4, "mouthPress": 0.6},
    "chin": {"mouthShrugLower": 1.0, "mouthFrown": 0.3},
}  # fmt: skip
"""How much each facial action folds which wrinkles; paired actions count for their side."""

_SIDES = (("Left", 1.0), ("Right", -1.0))
_FINE_LINES = 0.08
"""Depth factor of the lines that every adult has."""


def folding(actions: Mapping[str, float], wrinkle: str) -> tuple[float, float]:
    """How far an expression folds a wrinkle on the (left, right) side, in [0, 1].

    Args:
        actions: facial actions in [0, 1] by name, as in a spec.
        wrinkle: a key of `FOLDED_BY`.
    """
    amounts = []
    for side, _ in _SIDES:
        total = sum(
            weight * actions.get(name, actions.get(name + side, 0.0))
            for name, weight in FOLDED_BY[wrinkle].items()
        )
        amounts.append(float(np.clip(total, 0, 1)))
    return tuple(amounts)


@dataclass(frozen=True, eq=False)
class Wrinkler:
    """Draws the wrinkles of one face.

    Attributes:
        points: [N, 3] canonical positions in metres.
        wobble: [N] noise of unit deviation with features of 5 to 15 mm.
        fine: [N] noise of unit deviation with features of 1 mm.
        age: depth factor of what age has carved, 0 ... 1.2.
        bags: swelling under the eyes in [0, 1].
        actions: facial actions by name.
        seed: of this person's pattern.
    """

    points: np.ndarray
    wobble: np.ndarray
    fine: np.ndarray
    age: float
    bags: float
    actions: Mapping[str, float]
    seed: int

    def height_m(self) -> np.ndarray:
        """Height [N] float32 above the smooth face."""
        height = np.zeros(len(self.points), np.float32)
        x, y, z = self.points.T
        front = y < -0.05
        for box, draw in (
            (front & (z > 0.900) & (z < 0.975), self._forehead),
            (front & (z > 0.860) & (z < 0.935), self._eyes),
            (front & (z > 0.778) & (z < 0.870) & (np.abs(x) < 0.062), self._mouth),
            ((z > 0.66) & (z < 0.792), self._neck),
        ):
            chosen = np.flatnonzero(box)
            if len(chosen):
                height[chosen] += draw(chosen)
        return height

    def _depth(self, wrinkle: str, carved_mm: float, folded_mm: float, x: np.ndarray) -> np.ndarray:
        """Depth [n] in metres on each side of the face."""
        old = _FINE_LINES + max(0.0, self.age - 0.12)
        soft = 0.45 + 0.55 * min(self.age, 1.0)  # young skin folds less deeply
        left, right = (
            1e-3 * (carved_mm * old + folded_mm * soft * amount)
            for amount in folding(self.actions, wrinkle)
        )
        share = smoothstep(-0.004, 0.004, x)
        return right + (left - right) * share

    def _rng(self, name: str) -> np.random.Generator:
        return stream(self.seed, 0, f"skin.wrinkles.{name}")

    def _forehead(self, chosen: np.ndarray) -> np.ndarray:
        x, _, z = self.points[chosen].T
        wobble, rng = self.wobble[chosen], self._rng("forehead")
        side = np.abs(x)
        middle = np.exp(-((x / 0.020) ** 2))
        depth = middle * self._depth("forehead_inner", 0.40, 0.55, x)
        depth = np.maximum(depth, self._depth("forehead_outer", 0.40, 0.55, x))
        total = np.zeros(len(x), np.float32)
        for line, level in enumerate((0.927, 0.936, 0.9445, 0.953, 0.961)):
            phase = rng.uniform(0, 2 * np.pi)
            strength = rng.uniform(0.25, 1.0) * (1.0 if line in (1, 2, 3) else 0.6)
            half = rng.uniform(0.034, 0.052)
            shift = rng.normal(0, 0.006)
            # the brows' arches in the skin above them
            course = level + rng.normal(0, 0.0014) + 0.0022 * np.cos(2 * np.pi * side / 0.055)
            course = course - 1.6 * side**2 + 0.0011 * np.sin(75 * x + phase) + 0.0009 * wobble
            ends = np.clip(1 - ((np.abs(x - shift)) / half) ** 3, 0, 1)
            broken = np.clip(0.75 + 0.35 * np.sin(160 * x + 3 * phase + wobble), 0, 1)
            total += groove(z - course, 0.0010) * (strength * ends * broken)
        frown = self._depth("glabella", 0.22, 0.85, x)
        lean = 0.0060 + 0.05 * (z - 0.917) + rng.normal(0, 0.0006) + 0.0005 * wobble
        tall = smoothstep(0.903, 0.912, z) * smoothstep(0.939, 0.925, z)
        lines = groove(side - lean, 0.0009) + 0.5 * groove(x - 0.0006 * wobble, 0.0008)
        return total * depth + lines * tall * frown

    def _eyes(self, chosen: np.ndarray) -> np.ndarray:
        x, _, z = self.points[chosen].T
        wobble, fine = self.wobble[chosen], self.fine[chosen]
        side, rng = np.abs(x), self._rng("eyes")
        out, up = side - 0.0475, z - 0.8935
        radius, angle = np.hypot(out, up), np.arctan2(up, out)
        reach = rng.uniform(0.021, 0.028)
        ends = smoothstep(0.002, 0.006, radius) * smoothstep(reach, 0.45 * reach, radius)
        rays = np.zeros(len(x), np.float32)
        for direction in (-0.80, -0.42, -0.08, 0.26, 0.62):
            course = direction + rng.normal(0, 0.07) + 0.35 * radius / 0.02 * np.sign(direction)
            offset = (angle - course * 0.85) * radius - 0.0006 * wobble
            rays += groove(offset, 0.0008) * rng.uniform(0.4, 1.0)
        crow = rays * ends * (out > 0) * self._depth("crows_feet", 0.38, 0.55, x)
        # swollen bag below the lower lid, the trough under it
        across = np.clip((side - 0.0315) / 0.0175, -1, 1)
        arc = np.maximum(np.cos(across * np.pi / 2), 0)
        bottom = 0.8805 - 0.0062 * arc + 0.0015 * across - 0.0003 * wobble
        inside = arc**0.5
        swelling = np.exp(-(((z - bottom - 0.0042) / 0.0030) ** 2)) * inside
        trough = groove(z - bottom, 0.0017) * inside * smoothstep(0.052, 0.042, side)
        bag = (1.5e-3 * swelling + 0.75e-3 * trough) * self.bags
        folds = self._depth("under_eye", 0.16, 0.40, x)
        lower = np.zeros(len(x), np.float32)
        for step, share in ((0.0022, 1.0), (0.0040, 0.8), (0.0058, 0.5)):
            line = 0.8885 - step - 0.0045 * arc + 0.0004 * wobble
            lower += share * groove(z - line, 0.0005) * inside * smoothstep(0.018, 0.024, side)
        across_nose = smoothstep(0.016, 0.011, side) * smoothstep(0.880, 0.885, z)
        across_nose = across_nose * smoothstep(0.905, 0.899, z)
        bunny = groove(np.sin((z - 0.8 * side) * 2 * np.pi / 0.0055) * 0.0012, 0.0006)
        crepe = smoothstep(0.5, 1.1, np.full(1, self.age)) * 0.00005 * fine
        bunny = bunny * across_nose * self._depth("bunny", 0.05, 0.40, x)
        return crow + bag + lower * folds + bunny + crepe * inside

    def _mouth(self, chosen: np.ndarray) -> np.ndarray:
        x, _, z = self.points[chosen].T
        wobble, rng = self.wobble[chosen], self._rng("mouth")
        side = np.abs(x)
        t = np.clip((0.858 - z) / 0.043, 0, 1)
        offset = side - 0.0195 - 0.0165 * t**1.15 - 0.00025 * wobble
        ends = smoothstep(0.862, 0.854, z) * smoothstep(0.809, 0.824, z)
        fold = fold_profile(offset, 0.0016, 0.0065)
        total = fold * ends * self._depth("nasolabial", 0.75, 0.35, x)
        t = np.clip((0.820 - z) / 0.026, 0, 1)
        offset = side - 0.0275 - 0.0050 * t - 0.00025 * wobble
        ends = smoothstep(0.823, 0.817, z) * smoothstep(0.792, 0.803, z)
        total += (
            fold_profile(offset, 0.0013, 0.0045) * ends * self._depth("marionette", 0.60, 0.6, x)
        )
        # upright lines around the lips
        spread = (0.8330 - 0.0025 * (side / 0.02) ** 2, 0.8095 + 0.003 * (side / 0.02) ** 2)
        near = np.maximum(
            smoothstep(spread[0] - 0.001, spread[0] + 0.001, z) * smoothstep(0.845, 0.836, z),
            smoothstep(spread[1] + 0.001, spread[1] - 0.001, z) * smoothstep(0.801, 0.807, z),
        ) * smoothstep(0.024, 0.018, side)
        lines = np.zeros(len(x), np.float32)
        for place in rng.uniform(-0.021, 0.021, 15):
            lean = place * (1 + 12 * np.abs(z - 0.822))
            lines += rng.uniform(0.3, 1.0) * groove(x - lean - 0.0003 * wobble, 0.0005)
        late = max(0.0, self.age - 0.55) / max(self.age, 0.1)
        total += lines * near * self._depth("lips", 0.28 * late, 0.22, x)
        crease = groove(z - 0.8015 - 1.8 * side**2 - 0.0004 * wobble, 0.0016)
        total += crease * smoothstep(0.021, 0.012, side) * self._depth("marionette", 0.30, 0.3, x)
        dimples = smoothstep(0.017, 0.009, np.hypot(side, z - 0.788)) * self.fine[chosen]
        return total + 0.35 * dimples * self._depth("chin", 0.02, 0.45, x)

    def _neck(self, chosen: np.ndarray) -> np.ndarray:
        x, y, z = self.points[chosen].T
        wobble, rng = self.wobble[chosen], self._rng("neck")
        front = smoothstep(0.03, -0.02, y)
        angle = np.arctan2(x, -(y + 0.03))
        total = np.zeros(len(x), np.float32)
        for level in (0.768, 0.752, 0.738):
            course = level + rng.normal(0, 0.002) + 0.012 * (1 - np.cos(angle)) + 0.0006 * wobble
            ends = smoothstep(2.2, 1.2, np.abs(angle - rng.normal(0, 0.2)))
            total += groove(z - course, 0.0021) * ends * rng.uniform(0.4, 1.0)
        total *= 1e-3 * (0.10 + 0.55 * max(0.0, self.age - 0.1))
        # cords of the platysma stand out late
        late = max(0.0, self.age - 0.6)
        cords = np.exp(-(((np.abs(angle) - 0.30 - 0.02 * wobble) / 0.07) ** 2))
        cords = cords * smoothstep(0.780, 0.765, z) * smoothstep(0.690, 0.715, z)
        return (total + 1.6e-3 * late * cords) * front


def groove(distance: np.ndarray, width: float) -> np.ndarray:
    """Profile of a wrinkle: -1 in the middle, with slightly raised shoulders."""
    squared = (distance / width) ** 2
    return -np.exp(-squared) + 0.28 * np.exp(-((np.sqrt(squared) - 2.1) ** 2) / 0.8)


def fold_profile(outwards: np.ndarray, width: float, swelling: float) -> np.ndarray:
    """Profile of a fold of hanging skin: a groove whose outer side swells over it.

    Args:
        outwards: distance from the groove, positive away from nose and mouth, in metres.
        width: of the groove; swelling: of the skin that hangs over it.
    """
    valley = -np.exp(-((outwards / width) ** 2))
    over = np.clip(outwards / swelling, 0, None)
    return valley + 0.75 * over * np.exp(1 - over) * smoothstep(0.0, 0.6, over)


def cavities(height_m: np.ndarray, scale_m: float) -> np.ndarray:
    """[N] in [0, 1]: how deep inside wrinkles a place lies; `scale_m` deep counts as 1."""
    return np.clip(-height_m / scale_m, 0, 1)
