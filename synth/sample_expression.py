"""Expression, gaze and the pose of the head: what a face does in one picture."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from synth import sample_palettes as palettes
from synth.sample_draw import Draw, Weights, check_probability, check_weights, choose, happens
from synth.spec import Expression, Gaze, HeadPose


@dataclass(frozen=True)
class ExpressionConfig:
    """Expression, gaze and the pose of the head on the neck.

    Attributes:
        families: weights of the families of expressions.
        averted_gaze: probability that the eyes do not look straight ahead.
        turned_head: probability that the head is turned on the neck.
        turn_sigma_deg: spread of yaw, pitch and roll when it is turned; cut at twice that.
    """

    families: Weights = field(
        default_factory=lambda: {
            "neutral": 0.40,
            "smile": 0.22,
            "grin": 0.13,
            "serious": 0.08,
            "surprise": 0.05,
            "talk": 0.07,
            "squint": 0.03,
            "sad": 0.02,
        }
    )
    averted_gaze: float = 0.4
    turned_head: float = 0.3
    turn_sigma_deg: tuple[float, float, float] = (6.0, 4.0, 3.0)

    def __post_init__(self) -> None:
        check_weights("families", self.families, palettes.EXPRESSION_FAMILIES)
        check_probability("averted_gaze", self.averted_gaze)
        check_probability("turned_head", self.turned_head)


def sample_expression(draw: Draw, settings: ExpressionConfig) -> tuple[Expression, Gaze, HeadPose]:
    """Facial actions, gaze and head pose."""
    family = choose(draw("expression.family"), settings.families)
    actions = _actions(family, draw("expression.actions"))
    rng = draw("expression.gaze")
    # from a hand-held phone to the end of a room
    distance_m = float(np.exp(draw("expression.gaze_distance").uniform(np.log(0.5), np.log(6.0))))
    gaze = Gaze(distance_m=distance_m)
    if happens(rng, settings.averted_gaze):
        gaze = Gaze(float(rng.uniform(-11, 11)), float(rng.uniform(-5, 4)), distance_m)
    rng = draw("expression.pose")
    pose = HeadPose()
    if happens(rng, settings.turned_head):
        turns = np.clip(rng.normal(0, 1, 3), -2, 2) * settings.turn_sigma_deg
        pose = HeadPose(*(float(angle) for angle in turns))
    return Expression(family, actions), gaze, pose


def _actions(family: str, rng: np.random.Generator) -> dict[str, float]:
    amount = rng.uniform(0.35, 0.8)
    other = rng.uniform(0.9, 1.0)  # how much of it the other side does

    def both(name: str, value: float) -> dict[str, float]:
        return {f"{name}Left": float(value), f"{name}Right": float(value * other)}

    if family == "smile":
        return {
            **both("mouthSmile", amount),
            **both("cheekSquint", 0.4 * amount),
            **both("eyeSquint", 0.2 * amount),
        }
    if family == "grin":
        return {
            # the corners go up further than the lips part: otherwise the teeth are bared
            **both("mouthSmile", 0.75 + 0.25 * amount),
            **both("mouthUpperUp", 0.12 + 0.15 * amount),
            **both("mouthLowerDown", 0.05 + 0.10 * amount),
            **both("cheekSquint", 0.55),
            **both("eyeSquint", 0.2),
            "jawOpen": float(0.06 + 0.11 * amount),
        }
    if family == "serious":
        return {**both("browDown", 0.6 * amount), **both("mouthPress", 0.4 * amount)}
    if family == "surprise":
        return {
            "browInnerUp": float(amount),
            **both("browOuterUp", amount),
            **both("eyeWide", 0.6 * amount),
            "jawOpen": float(0.3 * amount),
        }
    if family == "talk":
        return {
            "jawOpen": float(rng.uniform(0.05, 0.16)),
            "mouthFunnel": float(rng.uniform(0, 0.15)),
        }
    if family == "squint":
        return {**both("eyeSquint", 0.8 * amount), **both("cheekSquint", 0.5 * amount)}
    if family == "sad":
        return {"browInnerUp": float(0.8 * amount), **both("mouthFrown", 0.8 * amount)}
    if family == "closed_eyes":
        return both("eyeBlink", 1.0)
    return {}
