"""Tables of the sampler: what a face does in each family of expressions, and how it speaks.

Every entry is the range of a facial action from the faintest to the strongest of its family, tuned
by eye on four rendered people. A name without a side stands for both sides where the model has
them. Which shapes an action moves is the head model's business (`synth.headmodel_expression`).
"""

from __future__ import annotations

Ranges = dict[str, tuple[float, float]]
"""Lowest and highest value by action."""

WHOLE_ACTIONS = (
    "browInnerUp", "cheekPuff", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose",
    "mouthFunnel", "mouthLeft", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper",
    "mouthShrugLower", "mouthShrugUpper", "tongueOut",
)  # fmt: skip
"""Actions that have no sides; all others are named `...Left` and `...Right`."""

FAMILIES: dict[str, Ranges] = {
    "neutral": {},
    "smile": {
        "mouthSmile": (0.25, 0.75), "cheekSquint": (0.20, 0.65), "eyeSquint": (0.08, 0.32),
        "mouthDimple": (0.0, 0.15),
    },
    "grin": {
        "mouthSmile": (0.60, 0.95), "mouthUpperUp": (0.20, 0.42), "mouthLowerDown": (0.05, 0.22),
        "jawOpen": (0.03, 0.10), "cheekSquint": (0.40, 0.80), "eyeSquint": (0.15, 0.40),
    },
    "laugh": {
        "mouthSmile": (0.70, 0.95), "jawOpen": (0.16, 0.36), "mouthUpperUp": (0.20, 0.40),
        "mouthLowerDown": (0.10, 0.25), "cheekSquint": (0.60, 1.0), "eyeSquint": (0.30, 0.70),
        "browInnerUp": (0.0, 0.2), "noseSneer": (0.0, 0.2),
    },
    "serious": {"browDown": (0.15, 0.50), "mouthPress": (0.10, 0.40), "eyeSquint": (0.0, 0.2)},
    "angry": {
        "browDown": (0.60, 1.0), "eyeSquint": (0.30, 0.60), "noseSneer": (0.15, 0.50),
        "mouthPress": (0.20, 0.60), "mouthFrown": (0.15, 0.45), "jawForward": (0.0, 0.3),
    },
    "shout": {
        "browDown": (0.50, 0.90), "noseSneer": (0.30, 0.65), "jawOpen": (0.25, 0.50),
        "mouthStretch": (0.30, 0.60), "mouthUpperUp": (0.20, 0.45), "mouthLowerDown": (0.2, 0.45),
        "eyeSquint": (0.10, 0.40),
    },
    "surprise": {
        "browInnerUp": (0.40, 0.90), "browOuterUp": (0.40, 0.90), "eyeWide": (0.25, 0.70),
        "jawOpen": (0.10, 0.35), "mouthFunnel": (0.0, 0.15),
    },
    "fear": {
        "browInnerUp": (0.50, 0.95), "browDown": (0.15, 0.35), "eyeWide": (0.40, 0.80),
        "mouthStretch": (0.30, 0.65), "jawOpen": (0.05, 0.20), "mouthLowerDown": (0.05, 0.25),
    },
    "disgust": {
        "noseSneer": (0.45, 0.90), "mouthUpperUp": (0.25, 0.55), "browDown": (0.30, 0.60),
        "eyeSquint": (0.25, 0.55), "mouthFrown": (0.10, 0.30), "mouthShrugLower": (0.10, 0.40),
        "cheekSquint": (0.20, 0.50),
    },
    "sad": {
        "browInnerUp": (0.50, 1.0), "mouthFrown": (0.40, 0.85), "mouthShrugLower": (0.10, 0.45),
        "browDown": (0.05, 0.20), "eyeSquint": (0.05, 0.25), "eyeLookDown": (0.05, 0.30),
    },
    "squint": {"eyeSquint": (0.50, 0.95), "cheekSquint": (0.25, 0.60), "browDown": (0.10, 0.35)},
    "pout": {
        "mouthPucker": (0.15, 0.45), "mouthShrugLower": (0.20, 0.50), "mouthFrown": (0.10, 0.30),
        "browInnerUp": (0.0, 0.3),
    },
    "kiss": {"mouthPucker": (0.50, 0.80), "mouthFunnel": (0.0, 0.10), "eyeSquint": (0.0, 0.3)},
    "closed_eyes": {"eyeBlink": (0.97, 1.0), "browInnerUp": (0.0, 0.25), "mouthSmile": (0.0, 0.2)},
    "puffed": {"cheekPuff": (0.35, 0.75), "mouthPress": (0.15, 0.45), "browInnerUp": (0.0, 0.4)},
    "blow": {"cheekPuff": (0.15, 0.40), "mouthPucker": (0.30, 0.50), "mouthFunnel": (0.15, 0.30)},
}  # fmt: skip
"""Families in which both sides do about the same."""

ONE_SIDED: dict[str, tuple[Ranges, Ranges]] = {
    "smirk": (
        {"mouthSmile": (0.35, 0.75), "cheekSquint": (0.15, 0.50), "mouthDimple": (0.10, 0.30)},
        {"mouthSmile": (0.0, 0.12), "mouthPress": (0.05, 0.25)},
    ),
    "wink": (
        {"eyeBlink": (0.95, 1.0), "cheekSquint": (0.40, 0.80), "mouthSmile": (0.30, 0.65)},
        {"mouthSmile": (0.10, 0.35), "eyeSquint": (0.0, 0.15)},
    ),
    "doubt": (
        {"browOuterUp": (0.50, 0.95), "eyeWide": (0.0, 0.2), "mouthDimple": (0.1, 0.4)},
        {"browDown": (0.20, 0.55), "eyeSquint": (0.10, 0.30), "mouthPress": (0.05, 0.30)},
    ),
}  # fmt: skip
"""What one side does, drawn left or right, and what the other does."""

VISEMES: dict[str, Ranges] = {
    "a": {"jawOpen": (0.20, 0.40), "mouthLowerDown": (0.05, 0.20), "mouthUpperUp": (0.0, 0.10)},
    "e": {"jawOpen": (0.10, 0.20), "mouthStretch": (0.15, 0.35), "mouthLowerDown": (0.10, 0.30),
          "mouthUpperUp": (0.05, 0.20)},
    "i": {"jawOpen": (0.02, 0.08), "mouthStretch": (0.20, 0.40), "mouthSmile": (0.10, 0.30),
          "mouthUpperUp": (0.10, 0.25), "mouthLowerDown": (0.15, 0.35)},
    "o": {"jawOpen": (0.10, 0.22), "mouthFunnel": (0.18, 0.38), "mouthPucker": (0.08, 0.22)},
    "u": {"jawOpen": (0.03, 0.08), "mouthPucker": (0.30, 0.58), "mouthFunnel": (0.08, 0.20)},
    "m": {"mouthPress": (0.20, 0.50), "mouthRollLower": (0.15, 0.40),
          "mouthRollUpper": (0.10, 0.30)},
    "f": {"jawOpen": (0.02, 0.06), "mouthRollLower": (0.30, 0.55), "mouthUpperUp": (0.15, 0.30)},
    "th": {"jawOpen": (0.08, 0.14), "tongueOut": (0.10, 0.30), "mouthLowerDown": (0.1, 0.25)},
    "l": {"jawOpen": (0.10, 0.20), "mouthUpperUp": (0.05, 0.15), "mouthLowerDown": (0.1, 0.2)},
    "s": {"jawOpen": (0.01, 0.04), "mouthStretch": (0.10, 0.25), "mouthUpperUp": (0.10, 0.25),
          "mouthLowerDown": (0.20, 0.40)},
    "sh": {"jawOpen": (0.04, 0.10), "mouthFunnel": (0.20, 0.40), "mouthLowerDown": (0.1, 0.2)},
    "k": {"jawOpen": (0.10, 0.22), "mouthLowerDown": (0.05, 0.15)},
    "r": {"jawOpen": (0.06, 0.12), "mouthPucker": (0.12, 0.30), "mouthFunnel": (0.10, 0.25)},
}  # fmt: skip
"""Mouth shapes of speech by the sound they belong to; "th" stands for dental fricatives, "l" for
the alveolars, "k" for the velars (the usual grouping of phonemes that look alike)."""

FAMILY_NAMES = (*FAMILIES, *ONE_SIDED, "talk", "mixture")

# A mixture draws one row of each group; rows of a group exclude each other, so that no face pulls
# two ways at once.
MIXTURE_GROUPS: tuple[tuple[Ranges, ...], ...] = (
    (
        {}, {"browInnerUp": (0.2, 0.8)}, {"browOuterUp": (0.2, 0.8)}, {"browDown": (0.2, 0.8)},
        {"browInnerUp": (0.2, 0.7), "browOuterUp": (0.2, 0.7)},
        {"browInnerUp": (0.2, 0.6), "browDown": (0.1, 0.3)},
    ),
    (
        {}, {"eyeSquint": (0.1, 0.7)}, {"eyeWide": (0.1, 0.6)},
        {"cheekSquint": (0.2, 0.8), "eyeSquint": (0.1, 0.5)}, {"eyeBlink": (0.2, 0.5)},
    ),
    ({}, {}, {"noseSneer": (0.1, 0.6)}, {"cheekPuff": (0.1, 0.4)}),
    (
        {"mouthSmile": (0.1, 0.8)}, {"mouthFrown": (0.1, 0.7)}, {"mouthStretch": (0.1, 0.6)},
        {"mouthPucker": (0.1, 0.6)}, {"mouthFunnel": (0.1, 0.5)}, {"mouthPress": (0.1, 0.6)},
        {"mouthDimple": (0.1, 0.6)}, {"mouthShrugLower": (0.1, 0.6), "mouthFrown": (0.0, 0.3)},
        {"mouthRollLower": (0.1, 0.5)}, {"mouthRollUpper": (0.1, 0.5)},
    ),
    (
        {}, {}, {"jawOpen": (0.03, 0.25)}, {"mouthUpperUp": (0.1, 0.4), "jawOpen": (0.0, 0.1)},
        {"mouthLowerDown": (0.1, 0.4), "jawOpen": (0.0, 0.1)}, {"mouthShrugUpper": (0.1, 0.4)},
    ),
    (
        {}, {}, {}, {"jawLeft": (0.1, 0.5)}, {"jawRight": (0.1, 0.5)}, {"jawForward": (0.1, 0.5)},
        {"mouthLeft": (0.1, 0.4)}, {"mouthRight": (0.1, 0.4)},
    ),
)  # fmt: skip
