"""From the 52 facial actions of a spec to the shapes that make the face move.

anny's actions are single linear displacements. Alone most of them look right but flat, and summed
they leave what a face can do: a smile under an open jaw keeps the lips of a closed one. Here each
action is spread over its own shape and over MakeHuman's expression units, which carry folds and
bulging cheeks; actions that pull at the same lips share one budget; and pairs that change each
other bring a shape of their own. Amounts were tuned by eye on rendered faces.
"""

from __future__ import annotations

from collections.abc import Mapping

_SIDES = ("Left", "Right")

# Shares of an action at strength 1: "" is anny's shape of the action itself, others are units. A
# whole action drives both sides of a unit.
_SIDED_BLENDS: dict[str, dict[str, float]] = {
    "browDown": {"": 0.55, "eyebrows-down": 0.70},
    "browOuterUp": {"": 0.55, "eyebrows-extern-up": 0.55},
    "eyeSquint": {"": 0.70, "eye-slit": 0.34},
    "cheekSquint": {"": 1.0},
    "mouthSmile": {"": 0.30, "mouth-corner-puller": 0.68},
    "mouthFrown": {"": 0.45, "mouth-depression": 0.60},
    "mouthStretch": {"": 0.55, "mouth-retraction": 0.35, "neck-platysma": 0.25},
    "mouthPress": {"": 0.70, "mouth-compression": 0.20},
    "mouthUpperUp": {"": 0.60, "mouth-elevation": 0.28},
    "noseSneer": {"": 0.80, "nose-elevation": 0.85, "nose-compression": 0.30},
    "mouthDimple": {"": 0.80, "mouth-retraction": 0.25},
}
_WHOLE_BLENDS: dict[str, dict[str, float]] = {
    "browInnerUp": {"": 0.60, "eyebrows-inner-up": 0.55},
    "mouthPucker": {"": 0.35, "mouth-pursing": 0.70},
    "mouthFunnel": {"": 0.65, "mouth-protusion": 0.25},
}

# Pairs of actions and what their product adds, per side. Negative values take away.
_COMBINATIONS: tuple[tuple[str, str, dict[str, float]], ...] = (
    # lips part along the smile instead of falling into an O
    ("mouthSmile", "jawOpen", {"mouth-upward-retraction": 1.5, "mouth-corner-puller": -0.50}),
    ("mouthSmile", "mouthUpperUp", {"mouth-upward-retraction": 0.45, "mouth-corner-puller": -0.25}),
    # cheeks push the lower lid up
    ("mouthSmile", "cheekSquint", {"eye-slit": 0.10}),
    # a wide open mouth is pulled down at its corners, and narrows
    ("mouthStretch", "jawOpen", {"mouth-depression-retraction": 0.35}),
)

# The strongest that actions may pull together on one side; more is scaled down in proportion.
_BUDGETS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("mouthSmile", "mouthFrown", "mouthStretch", "mouthDimple"), 1.1),
    (("mouthSmile", "mouthPucker", "mouthFunnel"), 1.0),
    (("mouthUpperUp", "noseSneer"), 1.3),
    (("mouthUpperUp", "mouthRollUpper", "mouthPress", "mouthShrugUpper"), 1.0),
    (("mouthLowerDown", "mouthRollLower", "mouthPress", "mouthShrugLower"), 1.0),
    (("browDown", "browOuterUp"), 1.0),
)
# A lid that closes takes the room of what else it does: (what yields, to what).
_YIELDS = (("eyeSquint", "eyeBlink"), ("eyeWide", "eyeBlink"), ("eyeWide", "eyeSquint"))


def shape_weights(actions: Mapping[str, float]) -> dict[str, float]:
    """Weights of shapes, by their label, for facial actions in [0, 1].

    Args:
        actions: value by the name of the action; unknown names are passed through, so that the
            caller can name them in its error.

    Returns:
        Weight by label: a facial action, or a unit of MakeHuman with its side.
    """
    actions = _within_budgets(actions)
    weights: dict[str, float] = {}

    def add(label: str, value: float) -> None:
        weights[label] = weights.get(label, 0.0) + value

    for action, value in actions.items():
        for label, share in _blend(action).items():
            add(label, share * value)
    for first, second, shapes in _COMBINATIONS:
        for side in _SIDES:
            product = _value(actions, first, side) * _value(actions, second, side)
            if product > 0:
                for unit, share in shapes.items():
                    add(unit + side, share * product)
    return weights


def _blend(action: str) -> dict[str, float]:
    if action in _WHOLE_BLENDS:
        shares = _WHOLE_BLENDS[action]
        return {
            unit + side if unit else action: share
            for unit, share in shares.items()
            for side in _SIDES
        }
    side = next((side for side in _SIDES if action.endswith(side)), "")
    shares = _SIDED_BLENDS.get(action.removesuffix(side)) if side else None
    if shares is None:
        return {action: 1.0}
    return {unit + side if unit else action: share for unit, share in shares.items()}


def _value(actions: Mapping[str, float], name: str, side: str) -> float:
    """The strength of an action on a side; whole actions act on both."""
    return actions.get(name + side, actions.get(name, 0.0))


def _within_budgets(actions: Mapping[str, float]) -> dict[str, float]:
    """Scale down what pulls too strongly together, side by side."""
    limited = dict(actions)
    for names, budget in _BUDGETS:
        whole = 1.0
        for side in _SIDES:
            total = sum(_value(limited, name, side) for name in names)
            if total <= budget:
                continue
            factor = budget / total
            whole = min(whole, factor)
            for name in names:
                if name + side in limited:
                    limited[name + side] *= factor
        for name in names:
            if name in limited:
                limited[name] *= whole
    for name, other in _YIELDS:
        for side in _SIDES:
            if name + side in limited:
                limited[name + side] *= max(0.0, 1 - limited.get(other + side, 0.0))
    return limited
