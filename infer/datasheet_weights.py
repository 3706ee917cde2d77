"""Drawn beside configured: how often each value came up, and how often it should have.

Only attributes whose probabilities stand in the configuration are compared, those that depend on
the sex or on the kind of light within it. Hair (texture and balding), glasses (age), earrings
(headscarves) and patterns (garment) depend on more than the spec tells; they are shown elsewhere.
An attribute that several heads share, such as the sex of one identity, is one draw; of what a
person keeps by habit (beard, glasses) the first look counts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from scipy.special import gammaincc

from synth.imported import is_imported
from synth.sample import DatasetConfig, head_streams
from synth.sample_assets import OURS

NONE = "none"
"""Value of a part that a head lacks."""


@dataclass(frozen=True)
class Attribute:
    """A text field of the spec that is drawn by weights of the configuration.

    Attributes:
        title: for people.
        field: dotted name in the spec.
        factor: what has one draw of it.
        depends_on: dotted name of the field that its weights depend on, or "".
        weights: of a configuration and of the value of `depends_on`; empty where none are known.
    """

    title: str
    field: str
    factor: Literal["identity", "look", "expression", "light"]
    depends_on: str
    weights: Callable[[DatasetConfig, str], Mapping[str, float]]


def _sexes(config: DatasetConfig, _: str) -> Mapping[str, float]:
    return {"female": config.identity.female, "male": 1 - config.identity.female}


def _beards(config: DatasetConfig, sex: str) -> Mapping[str, float]:
    return config.facial_hair.beards if sex == "male" else {}


def _headwear(config: DatasetConfig, sex: str) -> Mapping[str, float]:
    worn = getattr(config.accessories, f"{sex}_headwear")
    kinds = _shares(getattr(config.accessories, f"{sex}_headwear_kinds"))
    return {NONE: 1 - worn, **{kind: worn * share for kind, share in kinds.items()}}


def _hdris(config: DatasetConfig, kind: str) -> Mapping[str, float]:
    maps = {"hdri": config.light.hdris, "hdri_area": config.light.dim_hdris}.get(kind, {})
    return {name if ":" in name else f"bpy:{name}": weight for name, weight in maps.items()}


def _own(kind: str) -> Callable[[DatasetConfig, str], Mapping[str, float]]:
    def weights(config: DatasetConfig, _: str) -> Mapping[str, float]:
        given = getattr(config.assets, kind)
        return {NONE if name == OURS else name: weight for name, weight in given.items()}

    return weights


ATTRIBUTES = (
    Attribute("Sex", "identity.sex", "identity", "", _sexes),
    Attribute("Ancestry", "identity.ancestry", "identity", "",
              lambda config, _: config.identity.ancestries),
    Attribute("Expression", "expression.name", "expression", "",
              lambda config, _: config.expression.families),
    Attribute("Beard, of men", "facial_hair.beard", "identity", "identity.sex", _beards),
    Attribute("Garment", "clothes.garment", "look", "", lambda config, _: config.wear.garments),
    Attribute("Glasses, shape", "accessories.glasses.shape", "identity", "",
              lambda config, _: config.accessories.glasses_shapes),
    Attribute("Headwear", "accessories.headwear.kind", "look", "identity.sex", _headwear),
    Attribute("Light", "light.kind", "light", "", lambda config, _: config.light.kinds),
    Attribute("Environment map", "light.hdri", "light", "light.kind", _hdris),
    Attribute("Own heads", "user_parts.head", "identity", "", _own("heads")),
    Attribute("Own hair", "user_parts.hair", "look", "", _own("hair")),
    Attribute("Own garments", "user_parts.garment", "look", "", _own("garments")),
    Attribute("Own skins", "user_parts.skin", "identity", "", _own("skins")),
)  # fmt: skip
_OF_EVERY_HEAD = ("light", "user_parts.head")
"""Fields, or beginnings of them, that also hold on whole heads of a user's own."""


@dataclass(frozen=True)
class Comparison:
    """One attribute: drawn and configured.

    Attributes:
        title, field, factor: of the attribute.
        draws: independent ones.
        drawn: how often each value came up.
        expected: how often it should have, of the same number of draws.
    """

    title: str
    field: str
    factor: str
    draws: int
    drawn: dict[str, int]
    expected: dict[str, float]

    def error(self, value: str) -> float:
        """Standard error of `drawn[value]`, of a binomial count."""
        share = min(self.expected[value] / self.draws, 1.0)
        return math.sqrt(self.draws * share * (1 - share))

    @property
    def farthest(self) -> tuple[str, float]:
        """The value that is farthest from what was expected, in standard errors."""
        off = {
            value: (self.drawn.get(value, 0) - self.expected[value]) / max(self.error(value), 1e-9)
            for value in self.expected
        }
        value = max(off, key=lambda name: abs(off[name]))
        return value, off[value]

    @property
    def p_value(self) -> float | None:
        """Probability of a fit as bad as this by chance: Pearson's chi-square test.

        0 where a value came up that has no weight; None for too few draws. Values expected less
        than five times are taken together, as the test is an approximation.
        """
        if any(count and not self.expected.get(value) for value, count in self.drawn.items()):
            return 0.0
        cells: list[tuple[float, float]] = []
        rare = (0.0, 0.0)
        for value, expected in self.expected.items():
            drawn = self.drawn.get(value, 0)
            if expected >= 5:
                cells.append((drawn, expected))
            else:
                rare = (rare[0] + drawn, rare[1] + expected)
        cells += [rare] if rare[1] >= 1 else []
        if len(cells) < 2:
            return None
        statistic = sum((drawn - expected) ** 2 / expected for drawn, expected in cells)
        return float(gammaincc((len(cells) - 1) / 2, statistic / 2))


class DrawCounter:
    """Counts the draws of a dataset, head by head, in the order of their index.

    Args:
        config: of the dataset.
    """

    def __init__(self, config: DatasetConfig):
        self._config = config
        self._identity: object = None
        self._seen: set[tuple[str, object]] = set()
        self._counts: Counter[tuple[Attribute, str, str]] = Counter()

    def add(self, index: int, spec: Mapping[str, Any]) -> None:
        """Count a head that is there.

        Args:
            index: its number in the dataset.
            spec: plain data of `spec.json`.
        """
        streams = head_streams(self._config.seed, self._config.factors, index)
        if streams.identity != self._identity:  # no draw is shared by two identities
            self._identity, self._seen = streams.identity, set()
        fresh = set()
        for factor in ("identity", "look", "expression", "light"):
            draw = (factor, getattr(streams, factor))
            if draw not in self._seen:
                self._seen.add(draw)
                fresh.add(factor)
        ours = is_ours(spec)
        for attribute in ATTRIBUTES:
            if attribute.factor not in fresh:
                continue
            if not ours and not attribute.field.startswith(_OF_EVERY_HEAD):
                continue
            given = text_of(spec, attribute.depends_on) if attribute.depends_on else ""
            self._counts[attribute, given, text_of(spec, attribute.field)] += 1

    def comparisons(self) -> list[Comparison]:
        """What was drawn at least once and could have come out in more than one way."""
        return list(filter(None, map(self._compare, ATTRIBUTES)))

    def _compare(self, attribute: Attribute) -> Comparison | None:
        drawn: Counter[str] = Counter()
        expected: dict[str, float] = {}
        conditions: Counter[str] = Counter()
        shares = {
            given: _shares(attribute.weights(self._config, given))
            for kind, given, _ in self._counts
            if kind is attribute
        }
        for (kind, given, value), count in self._counts.items():
            known = shares.get(given) if kind is attribute else None
            # an absent section (no glasses, a lamp without a map) is no draw, unless it is a value
            if known and (value in known or value != NONE):
                drawn[value] += count
                conditions[given] += count
        for given, count in conditions.items():
            for value, share in shares[given].items():
                expected[value] = expected.get(value, 0.0) + share * count
        expected = {value: count for value, count in expected.items() if count > 0}
        if len({*expected, *drawn}) < 2:
            return None
        order = sorted(expected, key=lambda value: -expected[value])
        return Comparison(
            attribute.title,
            attribute.field,
            attribute.factor,
            sum(drawn.values()),
            dict(drawn),
            {value: expected[value] for value in order},
        )


def _shares(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items() if weight > 0}


def text_of(spec: Mapping[str, Any], name: str) -> str:
    """A text field by its dotted name; "none" where it, or what holds it, is null or missing (a
    field that came later than the spec)."""
    value: Any = spec
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return NONE if value is None else str(value)


def is_ours(spec: Mapping[str, Any]) -> bool:
    """Whether a head is built by Headloom: neither a whole head of a user's own nor imported."""
    return text_of(spec, "user_parts.head") == NONE and not is_imported(spec)
