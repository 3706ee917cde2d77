"""How faces differ: tables for the sculpted controls of `Identity.shape`.

Bones and flesh vary together: a broad face has broad cheekbones and a broad jaw. Most of the spread
is therefore drawn along named directions, each of which moves several controls; every control then
differs a little on its own. Independent draws of the same spread make caricatures, and averages
out of smaller ones make everybody alike. Amounts are in units of the controls ([-1, 1]) and were
tuned by eye and with an identity network; none is measured on people.

`l-` stands for both sides of the face throughout.
"""

from __future__ import annotations

LIMIT = 1.1
"""Largest value of any control: the ends of MakeHuman's sliders (1) are human, beyond is not."""
DIRECTION_LIMIT = 1.5
"""Draws along a direction are uniform within plus and minus this: the diversity of a wide normal
distribution without the tails that make caricatures."""

DIRECTIONS: dict[str, dict[str, float]] = {
    # the skull and the outline of the face
    "face_breadth": {
        "head-scale-horiz-incr": 0.24, "l-cheek-bones-incr": 0.20, "chin-width-incr": 0.12,
        "chin-bones-incr": 0.10, "nose-scale-horiz-incr": 0.10, "l-eye-trans-out": 0.12,
        "mouth-scale-horiz-incr": 0.08,
    },
    "face_length": {
        "head-scale-vert-incr": 0.20, "chin-height-incr": 0.22, "nose-scale-vert-incr": 0.16,
        "forehead-scale-vert-incr": 0.04, "mouth-trans-up": -0.06, "l-cheek-volume-incr": -0.10,
    },
    "skull_depth": {"head-scale-depth-incr": 0.14, "head-back-scale-depth-incr": 0.12},
    "skull_breadth": {"head-skull-breadth-incr": 0.32},
    "forehead_height": {"forehead-scale-vert-incr": 0.08, "forehead-nubian-incr": 0.16},
    "forehead_slope": {"forehead-trans-forward": 0.20, "forehead-nubian-incr": 0.10},
    "temples": {"forehead-temple-incr": 0.22, "l-cheek-bones-incr": -0.10},
    # jaw and chin
    "jaw_strength": {
        "chin-bones-incr": 0.50, "chin-width-incr": 0.46, "chin-jaw-drop-incr": 0.14,
        "l-cheek-inner-incr": -0.08,
    },
    "jaw_drop": {"chin-jaw-drop-incr": 0.30, "chin-height-incr": 0.22},
    "chin_projection": {"chin-prominent-incr": 0.46, "chin-prognathism-incr": 0.18},
    "chin_cleft": {"chin-cleft-incr": 0.30},
    # nose
    "nose_size": {
        "nose-volume-incr": 0.26, "nose-scale-depth-incr": 0.26, "nose-scale-vert-incr": 0.22,
        "nose-scale-horiz-incr": 0.16, "nose-point-width-incr": 0.10,
    },
    "nose_breadth": {
        "nose-scale-horiz-incr": 0.22, "nose-nostrils-width-incr": 0.20, "nose-flaring-incr": 0.30,
        "nose-width3-incr": 0.19, "nose-point-width-incr": 0.28, "nose-width2-incr": 0.14,
    },
    "nose_bridge": {
        "nose-hump-incr": 0.42, "nose-curve-convex": 0.32, "nose-greek-incr": 0.18,
        "nose-point-up": -0.14,
    },
    "nose_bridge_breadth": {"nose-width1-incr": 0.54, "nose-width2-incr": 0.46},
    "nose_tip": {
        "nose-point-up": 0.40, "nose-nostrils-angle-up": 0.30, "nose-base-up": 0.26,
        "nose-septumangle-incr": 0.18, "nose-scale-vert-incr": -0.10,
    },
    "nose_length": {"nose-trans-up": -0.24, "nose-scale-vert-incr": 0.30},
    # eyes and brows
    "eye_spacing": {"l-eye-trans-out": 0.40},
    "eye_size": {
        "l-eye-scale-incr": 0.34, "l-eye-height1-incr": 0.07, "l-eye-height2-incr": 0.10,
        "l-eye-height3-incr": 0.07,
    },
    "eye_tilt": {"l-eye-corner1-up": 0.34, "l-eye-corner2-up": -0.22},
    "eye_length": {"l-eye-push1-out": 0.26, "l-eye-push2-out": 0.24},
    "eye_height": {"l-eye-trans-up": 0.40, "eyebrows-trans-up": 0.12},
    "lid_hood": {
        "l-eye-eyefold-convex": 0.58, "l-eye-eyefold-up": -0.44, "l-eye-eyefold-angle-up": -0.34,
    },
    "eye_bags": {"l-eye-bag-incr": 0.30, "l-eye-bag-out": 0.26, "l-eye-bag-height-incr": 0.22},
    "brow_height": {"eyebrows-trans-up": 0.42},
    "brow_angle": {"eyebrows-angle-up": 0.34},
    "brow_ridge": {"eyebrows-trans-forward": 0.26, "forehead-trans-forward": -0.14},
    # mouth
    "lip_fullness": {
        "mouth-upperlip-volume-incr": 0.28, "mouth-lowerlip-volume-incr": 0.28,
        "mouth-upperlip-height-incr": 0.28, "mouth-lowerlip-height-incr": 0.26,
        "mouth-scale-vert-incr": 0.12,
    },
    "lip_balance": {"mouth-upperlip-height-incr": 0.34, "mouth-lowerlip-height-incr": -0.22},
    "mouth_breadth": {
        "mouth-scale-horiz-incr": 0.48, "mouth-upperlip-width-incr": 0.14,
        "mouth-lowerlip-width-incr": 0.14,
    },
    "mouth_height": {"mouth-trans-up": 0.44},
    "mouth_projection": {"mouth-trans-forward": 0.26, "mouth-scale-depth-incr": 0.18},
    "cupids_bow": {
        "mouth-cupidsbow-incr": 0.46, "mouth-cupidsbow-width-incr": 0.26,
        "mouth-philtrum-volume-incr": 0.30,
    },
    "mouth_corners": {"mouth-angles-up": 0.28},
    # flesh
    "cheek_fullness": {
        "l-cheek-volume-incr": 0.44, "l-cheek-inner-incr": 0.28, "head-fat-incr": 0.24,
    },
    "cheekbones": {"l-cheek-bones-incr": 0.54, "l-cheek-trans-up": 0.38},
    # ears and neck
    "ear_size": {"l-ear-scale-incr": 0.22, "l-ear-scale-vert-incr": 0.15, "l-ear-lobe-incr": 0.20},
    "ear_flare": {"l-ear-wing-incr": 0.18, "l-ear-rot-forward": 0.10, "l-ear-flap-incr": 0.12},
    "neck_breadth": {
        "neck-scale-horiz-incr": 0.26, "neck-scale-depth-incr": 0.20,
        "neck-back-scale-depth-incr": 0.14,
    },
    "neck_length": {"neck-scale-vert-incr": 0.20, "measure-neck-height-incr": 0.22},
}  # fmt: skip
"""What a step of 1 along each direction does."""

FORMS: dict[str, float] = {
    "head-oval": 0.35, "head-round": 0.32, "head-rectangular": 0.80, "head-square": 0.55,
    "head-triangular": 0.45, "head-invertedtriangular": 0.60, "head-diamond": 0.70,
}  # fmt: skip
"""Outlines of which every face has one, and a little of a second: the most of each that keeps
human proportions (oval and round broaden the face by 15 % at 1)."""

RESIDUALS: dict[tuple[str, ...], float] = {
    ("nose-nostrils-angle-up", "nose-flaring-incr", "nose-curve-convex", "nose-point-width-incr",
     "nose-width1-incr", "nose-width2-incr", "nose-width3-incr", "nose-hump-incr",
     "nose-nostrils-width-incr", "nose-greek-incr", "nose-point-up", "nose-septumangle-incr",
     "nose-base-up"): 0.09,
    ("nose-scale-depth-incr", "nose-scale-vert-incr", "nose-scale-horiz-incr", "nose-volume-incr",
     "nose-trans-forward", "nose-trans-up"): 0.07,
    ("mouth-lowerlip-height-incr", "mouth-lowerlip-volume-incr", "mouth-lowerlip-width-incr",
     "mouth-upperlip-height-incr", "mouth-upperlip-volume-incr", "mouth-upperlip-width-incr",
     "mouth-upperlip-middle-up", "mouth-lowerlip-middle-up", "mouth-laugh-lines-out",
     "mouth-dimples-out"): 0.12,
    ("chin-jaw-drop-incr", "chin-height-incr", "chin-prominent-incr", "chin-width-incr",
     "chin-prognathism-incr"): 0.09,
    ("l-cheek-trans-up", "l-cheek-volume-incr", "l-cheek-inner-incr", "l-cheek-bones-incr"): 0.10,
    ("l-eye-corner1-up", "l-eye-corner2-up", "l-eye-push1-out", "l-eye-push2-out",
     "l-eye-eyefold-up", "l-eye-bag-incr", "l-eye-bag-out", "l-eye-bag-height-incr",
     "l-eye-epicanthus-out"): 0.13,
    ("l-eye-height1-incr", "l-eye-height2-incr", "l-eye-height3-incr", "l-eye-scale-incr",
     "l-eye-eyefold-angle-up"): 0.07,
    ("l-ear-lobe-incr", "l-ear-trans-forward", "l-ear-rot-forward", "l-ear-trans-up",
     "l-ear-scale-depth-incr", "l-ear-flap-incr", "l-ear-shape-round"): 0.28,
    ("neck-trans-forward", "head-age-incr"): 0.12,
}  # fmt: skip
"""Spread of what single controls do on their own."""

USUAL_ASYMMETRY = 0.06
"""Value of `IdentityConfig.asymmetry` at which `ASYMMETRIES` hold."""
ASYMMETRIES: dict[tuple[str, ...], float] = {
    ("asym-brown-1", "asym-brown-2", "asym-eye-1", "asym-eye-3", "asym-eye-5", "asym-eye-7",
     "asym-cheek-1", "asym-cheek-2", "asym-mouth-1", "asym-mouth-2", "asym-nose-1", "asym-nose-2",
     "asym-nose-3", "asym-jaw-1", "asym-jaw-2", "asym-temple-1", "asym-ear-1", "asym-ear-3"): 0.16,
}  # fmt: skip
"""Spread of the targets that tilt a part of the face to one side."""

_EVERYBODY = {
    # the base mesh has its upper lids half over the iris, and its lower lids below it
    "l-eye-height1-incr": 0.15, "l-eye-height2-incr": 0.14, "l-eye-height3-incr": 0.12,
    "nose-project-incr": 0.45, "nose-nostrils-depth-incr": 1.0,
    "head-scale-horiz-incr": -0.15, "head-skull-breadth-incr": 0.45,
    "l-ear-scale-incr": 0.22, "l-ear-scale-vert-incr": 0.25, "l-ear-trans-up": 0.35,
}  # fmt: skip
"""Where MakeHuman's average departs from human means in men and women alike."""

SEX_MEANS: dict[str, dict[str, float]] = {
    "female": {
        **_EVERYBODY, "l-eye-lids-up": 0.26, "nose-project-incr": 0.55, "l-ear-trans-up": 0.6,
        "l-eye-scale-incr": 0.35, "l-eye-push1-out": 0.45, "l-eye-push2-out": 0.15,
        "l-eye-corner1-up": 0.05, "l-eye-trans-out": 0.20,
        "mouth-upperlip-volume-incr": 0.20, "mouth-lowerlip-volume-incr": 0.20,
        "mouth-upperlip-height-incr": -0.15, "mouth-lowerlip-height-incr": 0.0,
        "mouth-scale-horiz-incr": 0.30, "mouth-angles-up": 0.10,
        "nose-scale-horiz-incr": -0.22, "nose-scale-depth-incr": -0.15,
        "nose-scale-vert-incr": -0.22, "nose-volume-incr": -0.25, "nose-hump-incr": -0.20,
        "nose-point-width-incr": -0.15, "nose-point-up": 0.10, "nose-width1-incr": -0.2,
        "nose-width2-incr": -0.2, "nose-greek-incr": -0.15,
        "chin-jaw-drop-incr": -0.25, "chin-width-incr": -0.40, "chin-bones-incr": -0.40,
        "chin-height-incr": -0.05, "chin-prominent-incr": -0.10,
        "l-cheek-bones-incr": 0.15, "l-cheek-volume-incr": 0.15, "l-cheek-inner-incr": 0.10,
        "eyebrows-trans-forward": -0.35, "eyebrows-trans-up": 0.0, "eyebrows-angle-up": 0.12,
        "forehead-nubian-incr": 0.15, "forehead-trans-forward": -0.10,
        "forehead-scale-vert-incr": -0.15,
        "neck-scale-horiz-incr": 0.10, "neck-scale-depth-incr": 0.10,
    },
    "male": {
        **_EVERYBODY, "l-eye-lids-up": 0.60, "l-eye-scale-incr": 0.22, "l-eye-push1-out": 0.45,
        "l-eye-push2-out": 0.15, "mouth-scale-horiz-incr": 0.22, "chin-height-incr": 0.18,
        "mouth-upperlip-height-incr": -0.15,
    },
}  # fmt: skip

WOMENS_SPREAD: dict[str, float] = {
    "brow_ridge": 0.5, "nose_breadth": 0.75, "jaw_strength": 0.6, "chin_cleft": 0.4,
    "nose_size": 0.8, "chin_projection": 0.8, "ear_size": 0.8, "neck_breadth": 0.6,
}  # fmt: skip
"""Women's spread along a direction relative to men's, where it differs."""

MIDDLE_AGE = 0.35
"""Age (0 youngest, 1 oldest adult) from which flesh and cartilage change."""
OLD_AGE: dict[str, float] = {
    "head-age-incr": 0.70, "neck-double-incr": 0.45, "l-cheek-volume-incr": -0.35,
    "l-cheek-inner-incr": -0.25, "l-cheek-trans-up": -0.40, "nose-scale-vert-incr": 0.15,
    "nose-volume-incr": 0.20, "nose-point-up": -0.30, "l-ear-scale-incr": 0.30,
    "l-ear-scale-vert-incr": 0.25, "l-ear-lobe-incr": 0.35, "l-eye-bag-incr": 0.50,
    "l-eye-bag-out": 0.30, "l-eye-eyefold-angle-up": -0.40, "l-eye-height3-incr": -0.20,
    "mouth-upperlip-volume-incr": -0.40, "mouth-lowerlip-volume-incr": -0.30,
    "mouth-upperlip-height-incr": -0.25, "mouth-lowerlip-height-incr": -0.15,
    "mouth-angles-up": -0.25, "eyebrows-trans-up": -0.12, "forehead-temple-incr": -0.25,
    "neck-scale-horiz-incr": -0.10,
}  # fmt: skip
"""What the years do to flesh and cartilage, at the oldest; nothing before middle age."""

BODY_FAT: dict[str, float] = {
    "head-fat-incr": 0.32, "l-cheek-volume-incr": 0.34, "l-cheek-inner-incr": 0.22,
    "neck-scale-horiz-incr": 0.22, "neck-scale-depth-incr": 0.15, "neck-double-incr": 0.30,
    "l-eye-eyefold-convex": 0.15, "nose-volume-incr": 0.08,
}  # fmt: skip
"""What a heavy body does to the face; a lean one does the opposite."""
