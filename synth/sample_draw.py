"""How the sampler draws and what its configurations check: weights, ranges, probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from synth.config import did_you_mean

Draw = Callable[[str], np.random.Generator]
"""The generator of a named stream."""

Weights = dict[str, float]
Range = tuple[float, float]


def choose(rng: np.random.Generator, weights: Weights) -> str:
    """Draw a key; sorted, so that the order in a YAML file does not matter."""
    names = sorted(weights)
    edges = np.cumsum([weights[name] for name in names])
    position = np.searchsorted(edges, rng.random() * edges[-1], side="right")
    return names[min(int(position), len(names) - 1)]


def happens(rng: np.random.Generator, probability: float) -> bool:
    """True with the given probability."""
    return bool(rng.random() < probability)


def check_weights(name: str, weights: Weights, known: Iterable[str]) -> None:
    """Raise `ValueError` unless names are known, weights not negative and one is positive."""
    known = list(known)
    for key in weights:
        if key not in known:
            hint = did_you_mean(key, known)
            raise ValueError(f"{name}: {key!r} is not one of {', '.join(known)}{hint}")
    check_amounts(name, weights)


def check_amounts(name: str, weights: Weights) -> None:
    """Raise `ValueError` unless no weight is negative and one is positive."""
    for key, weight in weights.items():
        if weight < 0:
            raise ValueError(f"{name}.{key}: the weight {weight} is negative")
    if not sum(weights.values()) > 0:
        raise ValueError(f"{name}: no weight is positive")


def check_range(name: str, limits: Range, low: float, high: float) -> None:
    """Raise `ValueError` unless the limits are in order and within [low, high]."""
    if not low <= limits[0] <= limits[1] <= high:
        raise ValueError(f"{name}: {list(limits)} is not a range within [{low}, {high}]")


def check_probability(name: str, value: float) -> None:
    """Raise `ValueError` unless the value is in [0, 1]."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name}: {value} is not a probability")
