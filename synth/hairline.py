"""Where hair grows on scalp and face, shared by the strands and the colour painted under them.

Positions are canonical metres (`synth.headmodel_masks`): the forehead's hairline is at y = -.138,
z = .967, the crown at (0, .01, 1.01), the ears' upper ends at z = .905.
"""

from __future__ import annotations

import numpy as np

from synth.headmodel_masks import smoothstep
from synth.spec import Hair

SCALP_DARKNESS = {
    "bald": 0.10, "receding": 0.35, "buzz": 0.55, "crop": 0.62, "twists": 0.55, "braids": 0.50,
}  # fmt: skip
"""How much hair colour lies under the strands; it hides that there are too few of them."""
DEFAULT_SCALP_DARKNESS = 0.85
PARTED_STYLES = ("side_part", "curtain", "braids", "bob", "long", "wavy", "long_curly")
"""Their parting shows the scalp."""
_PARTING_HALF_WIDTH_M = 0.0030

_TEMPLE_X_M, _TEMPLE_WIDTH_M = 0.046, 0.020
_TEMPLE_RETREAT_M, _FORELOCK_RETREAT_M = 0.060, 0.022
_VERTEX = np.array([0.0, 0.004, 1.0])
"""Middle of the spot on the crown that thins first."""
_VERTEX_RADIUS_M = 0.042
_FOREHEAD_M = 0.004
"""How much lower the front begins than the common hairline: its sparse rim is not seen as hair, so
that foreheads looked high."""
_PEAK_M, _CORNER_M = 0.002, 0.004
_BAY_M, _POINT_M, _SIDEBURN_M = 0.003, 0.003, 0.005


def hairline_m(canonical: np.ndarray, scalp_sd: np.ndarray, hair: Hair) -> np.ndarray:
    """Signed distance [N] to the hairline of one person in metres, inside positive.

    `hair.recession` moves the front back in the pattern of Norwood (1975): corners above the
    temples first, the forelock later.

    Args:
        canonical: [N, 3] points; scalp_sd: [N] their distance to the common hairline.
    """
    sideways, y, z = np.abs(canonical[:, 0]), canonical[:, 1], canonical[:, 2]
    corner = np.exp(-(((sideways - 0.042) / 0.014) ** 2))
    peak = np.exp(-((sideways / 0.012) ** 2))
    edge = smoothstep(-0.085, -0.115, y) * smoothstep(0.935, 0.955, z)
    line = scalp_sd + edge * (_FOREHEAD_M + _PEAK_M * peak - _CORNER_M * corner)
    # from there it swings forward to a point above the cheekbone, then back to the ear
    side = smoothstep(0.040, 0.055, sideways) * smoothstep(-0.075, -0.090, y)
    bay = np.exp(-(((z - 0.945) / 0.009) ** 2))
    point = np.exp(-(((z - 0.924) / 0.008) ** 2))
    line = line + side * (_POINT_M * point - _BAY_M * bay)
    # sideburns are narrow and hair comes close to the ear: else both were all sparse rim
    line = line + _SIDEBURN_M * smoothstep(0.915, 0.900, z) * smoothstep(-0.010, -0.030, y)
    if hair.recession <= 0:
        return line
    front = smoothstep(-0.020, -0.075, y) * smoothstep(0.925, 0.948, z)
    temple = np.exp(-(((sideways - _TEMPLE_X_M) / _TEMPLE_WIDTH_M) ** 2))
    retreat = _FORELOCK_RETREAT_M * hair.recession**1.5 + _TEMPLE_RETREAT_M * hair.recession * (
        temple
    )
    return line - front * retreat


def growth_share(canonical: np.ndarray, hair: Hair) -> np.ndarray:
    """Share [N] of the hairs still growing, in [0, 1]: the crown thins with `hair.recession`."""
    if hair.style == "bald":  # a wreath round sides and back
        return smoothstep(0.965, 0.925, canonical[:, 2])
    thin = smoothstep(0.25, 0.85, np.array(hair.recession))
    near = np.exp(-(((canonical - _VERTEX) ** 2).sum(1)) / _VERTEX_RADIUS_M**2)
    top = smoothstep(0.955, 0.985, canonical[:, 2])
    return 1.0 - thin * (0.88 * near + 0.45 * top * (1 - near))


def scalp_cover(canonical: np.ndarray, scalp_sd: np.ndarray, hair: Hair) -> np.ndarray:
    """Opacity [N] in [0, 1] of the hair colour painted on the skin under the strands."""
    darkness = SCALP_DARKNESS.get(hair.style, DEFAULT_SCALP_DARKNESS)
    # a wide ramp: the paint must end before the strands do, or it shows as a cap
    inside = smoothstep(0.001, 0.030, hairline_m(canonical, scalp_sd, hair))
    parting = 1.0
    if hair.style in PARTED_STYLES:
        x, y, _ = canonical.T
        line = np.exp(-(((x - hair.parting) / _PARTING_HALF_WIDTH_M) ** 2))
        parting = 1.0 - 0.8 * line * smoothstep(-0.045, -0.070, y)
    return darkness * inside * parting * growth_share(canonical, hair)


def beard_region(canonical: np.ndarray, beard_sd: np.ndarray, beard: str) -> np.ndarray:
    """Which part [N] of the beard's region a style grows, [0, 1]."""
    sideways, y, z = np.abs(canonical[:, 0]), canonical[:, 1], canonical[:, 2]
    lip = smoothstep(0.824, 0.831, z) * (y < -0.125)
    if beard == "moustache":
        return lip * smoothstep(0.034, 0.018, sideways)
    # the patch under the lower lip widens to the chin
    half_width = np.interp(
        z, [0.770, 0.782, 0.795, 0.803, 0.811], [0.025, 0.026, 0.020, 0.010, 0.007]
    )
    chin = smoothstep(half_width + 0.007, half_width - 0.006, sideways) * (1 - lip) * (y < -0.09)
    if beard == "goatee":
        return chin
    if beard == "circle":
        moustache = lip * smoothstep(0.040, 0.026, sideways)
        band = smoothstep(0.020, 0.026, sideways) * smoothstep(0.041, 0.035, sideways)
        sides = band * smoothstep(0.774, 0.794, z) * (1 - lip) * (y < -0.09)
        return np.maximum(np.maximum(moustache, sides), chin)
    return np.ones_like(beard_sd)
