"""Expression, gaze and the pose of the head: what a face does in one picture."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from synth import sample_families as tables
from synth.sample_draw import Draw, Weights, check_probability, check_weights, choose, happens
from synth.spec import Expression, Gaze, HeadPose

_LID_FOLLOWS_DEG = 24.0
"""The lids follow the gaze: at this angle the actions eyeLookUp, -Down, -In and -Out are 1."""
_SIDES = ("Left", "Right")


@dataclass(frozen=True)
class ExpressionConfig:
    """Expression, gaze and the pose of the head on the neck.

    Attributes:
        families: weights of the families of expressions.
        averted_gaze: probability that the eyes do not look straight ahead.
        turned_head: probability that the head is turned on the neck.
        turn_sigma_deg: spread of yaw, pitch and roll when it is turned.
        turn_limit_deg: yaw, pitch and roll are cut here.
        asymmetry: spread of the difference between the sides of the face, relative to an action.
        micro: strength of the small actions that even a neutral face has, about [0, 1].
    """

    families: Weights = field(
        default_factory=lambda: {
            "neutral": 0.26,
            "smile": 0.13,
            "grin": 0.08,
            "laugh": 0.05,
            "smirk": 0.04,
            "serious": 0.05,
            "angry": 0.03,
            "shout": 0.01,
            "surprise": 0.03,
            "fear": 0.02,
            "disgust": 0.02,
            "sad": 0.03,
            "doubt": 0.02,
            "talk": 0.10,
            "squint": 0.02,
            "pout": 0.015,
            "kiss": 0.01,
            "wink": 0.01,
            "closed_eyes": 0.02,
            "puffed": 0.01,
            "blow": 0.005,
            "mixture": 0.10,
        }
    )
    averted_gaze: float = 0.4
    turned_head: float = 0.5
    turn_sigma_deg: tuple[float, float, float] = (11.0, 6.0, 5.5)
    turn_limit_deg: tuple[float, float, float] = (25.0, 15.0, 15.0)
    asymmetry: float = 0.12
    micro: float = 1.0

    def __post_init__(self) -> None:
        check_weights("families", self.families, tables.FAMILY_NAMES)
        check_probability("averted_gaze", self.averted_gaze)
        check_probability("turned_head", self.turned_head)


def sample_expression(draw: Draw, settings: ExpressionConfig) -> tuple[Expression, Gaze, HeadPose]:
    """Facial actions, gaze and head pose."""
    family = choose(draw("expression.family"), settings.families)
    actions = draw_actions(family, draw("expression.actions"), settings)
    rng = draw("expression.gaze")
    # from a hand-held phone to the end of a room
    distance_m = float(np.exp(draw("expression.gaze_distance").uniform(np.log(0.5), np.log(6.0))))
    gaze = Gaze(distance_m=distance_m)
    if happens(rng, settings.averted_gaze):
        gaze = Gaze(float(rng.uniform(-11, 11)), float(rng.uniform(-5, 4)), distance_m)
    for name, value in _lids_that_follow(gaze).items():
        actions[name] = max(actions.get(name, 0.0), value)
    rng = draw("expression.pose")
    pose = HeadPose()
    if happens(rng, settings.turned_head):
        turns = rng.normal(0, 1, 3) * settings.turn_sigma_deg
        turns = np.clip(turns, np.negative(settings.turn_limit_deg), settings.turn_limit_deg)
        pose = HeadPose(*(float(angle) for angle in turns))
    return Expression(family, actions), gaze, pose


def draw_actions(
    family: str, rng: np.random.Generator, settings: ExpressionConfig
) -> dict[str, float]:
    """Facial actions of a family: one strength for all of them, and a little for each alone."""
    strength = rng.uniform(0, 1)
    if family == "talk":
        return _speech(rng, strength, settings)
    if family == "mixture":
        return _mixture(rng, settings)
    actions: dict[str, float] = {}
    if family in tables.ONE_SIDED:
        order = _SIDES if happens(rng, 0.5) else _SIDES[::-1]
        for side, ranges in zip(order, tables.ONE_SIDED[family]):
            for name, limits in ranges.items():
                actions[name + side] = _within(rng, limits, strength)
    else:
        actions = _both_sides(rng, tables.FAMILIES[family], strength, settings)
    if family == "neutral":
        actions |= _micro(rng, settings)
    return actions


def _both_sides(
    rng: np.random.Generator, ranges: tables.Ranges, strength: float, settings: ExpressionConfig
) -> dict[str, float]:
    """The actions of a table; one side of the face leads in all of them."""
    lead = float(np.clip(rng.normal(0, settings.asymmetry), -0.3, 0.3))
    actions = {}
    for name, limits in ranges.items():
        value = _within(rng, limits, strength)
        if name in tables.WHOLE_ACTIONS:
            actions[name] = value
            continue
        tilt = 0.0 if name == "eyeBlink" else lead + rng.normal(0, settings.asymmetry / 3)
        for side, sign in zip(_SIDES, (1.0, -1.0)):
            actions[name + side] = float(np.clip(value * (1 + sign * tilt / 2), 0, 1))
    return actions


def _within(rng: np.random.Generator, limits: tuple[float, float], strength: float) -> float:
    low, high = limits
    return float(low + (high - low) * np.clip(strength + rng.normal(0, 0.15), 0, 1))


def _micro(rng: np.random.Generator, settings: ExpressionConfig) -> dict[str, float]:
    """What a face at rest does: nobody's is a mask."""
    names = ("mouthSmile", "mouthFrown", "mouthPress", "browInnerUp", "browDown", "eyeSquint")
    chosen = rng.choice(names, 2, replace=False)
    ranges = {str(name): (0.0, 0.16 * settings.micro) for name in chosen}
    return _both_sides(rng, ranges, rng.uniform(0, 1), settings)


def _speech(
    rng: np.random.Generator, strength: float, settings: ExpressionConfig
) -> dict[str, float]:
    """A mouth between two sounds, and brows that accompany it."""
    first, second = rng.choice(list(tables.VISEMES), 2)
    share = rng.uniform(0.65, 1.0)  # nearer to the first: a mean of two shapes is no shape
    actions: dict[str, float] = {}
    for viseme, part in ((first, share), (second, 1 - share)):
        drawn = _both_sides(rng, tables.VISEMES[str(viseme)], strength, settings)
        for name, value in drawn.items():
            actions[name] = actions.get(name, 0.0) + part * value
    brows = rng.choice(["browInnerUp", "browOuterUp", "browDown", "eyeSquint"])
    return actions | _both_sides(rng, {str(brows): (0.0, 0.35)}, rng.uniform(0, 1), settings)


def _mixture(rng: np.random.Generator, settings: ExpressionConfig) -> dict[str, float]:
    actions: dict[str, float] = {}
    for group in tables.MIXTURE_GROUPS:
        row = group[rng.integers(len(group))]
        for name, value in _both_sides(rng, row, rng.beta(1.3, 1.6), settings).items():
            actions[name] = max(actions.get(name, 0.0), value)
    return actions


def _lids_that_follow(gaze: Gaze) -> dict[str, float]:
    up, left = gaze.pitch_deg / _LID_FOLLOWS_DEG, gaze.yaw_deg / _LID_FOLLOWS_DEG
    wanted = {
        "eyeLookUpLeft": up, "eyeLookUpRight": up, "eyeLookDownLeft": -up, "eyeLookDownRight": -up,
        "eyeLookOutLeft": left, "eyeLookInRight": left, "eyeLookInLeft": -left,
        "eyeLookOutRight": -left,
    }  # fmt: skip
    return {name: float(value) for name, value in wanted.items() if value > 0}
