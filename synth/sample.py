"""Sampling: `DatasetConfig` and an index in, `HeadSpec` out. All randomness of Headloom's heads.

Every attribute draws from its own stream, keyed by the dataset's seed, the index of the identity,
the numbers of look, expression and light within it (see `FactorConfig`), and a name. What belongs
to a person depends on the identity only; two looks of one person thus share skin, eyes and bones.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from synth.camera import CANONICAL_VIEWS
from synth.rng import derive_seed, stream
from synth.sample_accessories import sample_accessories
from synth.sample_assets import use_assets
from synth.sample_config import DatasetConfig, FactorConfig, RingConfig, ViewsConfig
from synth.sample_draw import happens
from synth.sample_expression import sample_expression
from synth.sample_hair import sample_facial_hair, sample_hair
from synth.sample_identity import sample_person
from synth.sample_light import sample_light
from synth.sample_makeup import dress_skin
from synth.sample_wear import sample_clothes
from synth.spec import HeadSpec, OrbitCamera, RenderSettings

__all__ = [
    "DatasetConfig",
    "FactorConfig",
    "RingConfig",
    "ViewsConfig",
    "head_streams",
    "sample_head",
    "sample_views",
]


@dataclass(frozen=True)
class Streams:
    """The named streams of one identity, or of one of its looks, expressions or lights.

    Attributes:
        seed: seed of the dataset.
        index: index of the identity.
        scope: what is put before every name, such as "look2/".
    """

    seed: int
    index: int
    scope: str = ""

    def __call__(self, name: str) -> np.random.Generator:
        return stream(self.seed, self.index, self.scope + name)

    def derive_seed(self, name: str) -> int:
        """A 31-bit seed for a builder's own noise."""
        return derive_seed(self.seed, self.index, self.scope + name)

    def within(self, **numbers: int) -> Streams:
        """The streams of a factor's level; number 0 adds nothing to the scope."""
        scope = "".join(f"{factor}{number}/" for factor, number in numbers.items() if number)
        return Streams(self.seed, self.index, self.scope + scope)


@dataclass(frozen=True)
class HeadStreams:
    """The streams of one head by what they decide."""

    identity: Streams
    look: Streams
    expression: Streams
    light: Streams
    head: Streams


def head_streams(seed: int, factors: FactorConfig, index: int) -> HeadStreams:
    """Where head `index` stands in the product of factors, as streams.

    With factors of 1, the default, all five are the streams of the head's index.
    """
    rest, light = divmod(index, factors.lights)
    rest, expression = divmod(rest, factors.expressions)
    identity_index, look = divmod(rest, factors.looks)
    identity = Streams(seed, identity_index)
    head = identity.within(look=look, expression=expression, light=light)
    if factors.crossed:
        expressions, lights = identity.within(expression=expression), identity.within(light=light)
    else:
        expressions, lights = identity.within(look=look, expression=expression), head
    return HeadStreams(identity, identity.within(look=look), expressions, lights, head)


def sample_head(config: DatasetConfig, index: int) -> HeadSpec:
    """Draw head `index` of a dataset; the same arguments always give the same spec.

    Args:
        config: the dataset; `heads` does not influence the head, so a dataset may grow.
        index: 0 or above.

    Raises:
        ValueError: a negative index.
        AssetError: an asset is not installed, or not in the store.
    """
    if index < 0:
        raise ValueError(f"head index {index} is negative")
    streams = head_streams(config.seed, config.factors, index)
    look = streams.look
    person = sample_person(streams.identity, config.identity, config.seed)
    expression, gaze, pose = sample_expression(streams.expression, config.expression)

    def usual(part: str) -> Streams:
        """Streams of the first look where this one keeps the person's habit."""
        kept = happens(look(f"{part}.kept"), getattr(config.habits, part))
        return streams.identity if kept else look

    hair = sample_hair(usual("hair"), config.hair, person)
    hair = dataclasses.replace(hair, groom_seed=look.derive_seed("hair.groom"))
    spec = HeadSpec(
        seed=config.seed,
        index=index,
        identity=person.identity,
        expression=expression,
        gaze=gaze,
        pose=pose,
        skin=dress_skin(usual("makeup"), config.makeup, person),
        eyes=person.eyes,
        hair=hair,
        facial_hair=sample_facial_hair(usual("beard"), config.facial_hair, person),
        clothes=sample_clothes(look, config.wear),
        accessories=sample_accessories(look, usual("glasses"), config.accessories, person),
        light=sample_light(streams.light, config.light),
        cameras=sample_views(streams.head, config.views),
        render=RenderSettings(
            size=config.size,
            samples=config.samples,
            denoise=config.denoise,
            noise_seed=streams.head.derive_seed("render.noise"),
            passes=config.passes,
        ),
    )
    return _rounded(use_assets(spec, streams.identity, look, config.assets))


def sample_views(streams: Streams, views: ViewsConfig) -> tuple[OrbitCamera, ...]:
    """The cameras of one head: the canonical six first, then rings, then random ones."""
    rig = {"radius": views.radius, "fov_deg": views.fov_deg}
    cameras = []
    if views.canonical:
        cameras += [OrbitCamera(name, azimuth, 0.0, **rig) for name, azimuth in CANONICAL_VIEWS]
    for number, ring in enumerate(views.rings):
        cameras += [
            OrbitCamera(
                f"ring{number}_{i:03d}",
                _wrap(-90 + 360 * i / ring.count),
                ring.elevation_deg,
                **rig,
            )
            for i in range(ring.count)
        ]
    low, high = np.sin(np.radians(views.random_elevation_deg))
    for i in range(views.random):
        rng = streams(f"camera.{i}")  # a stream each: more views leave the first ones as they were
        azimuth = rng.uniform(-180, 180)
        elevation = float(np.degrees(np.arcsin(rng.uniform(low, high))))  # uniform in area
        radius = rng.uniform(*views.random_radius)
        fov = rng.uniform(*views.random_fov_deg)
        cameras.append(OrbitCamera(f"random_{i:03d}", azimuth, elevation, radius, fov))
    return tuple(cameras)


def _wrap(angle_deg: float) -> float:
    return (angle_deg + 180) % 360 - 180


def _rounded(value: Any) -> Any:
    """Round every float of a spec to 6 significant digits, so that its text is short and stable."""
    if isinstance(value, bool | str | int) or value is None:
        return value
    if isinstance(value, float | np.floating):
        return float(f"{float(value):.6g}")
    if isinstance(value, tuple):
        return tuple(_rounded(item) for item in value)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value):
        changes = {f.name: _rounded(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **changes)
    raise TypeError(f"a spec holds no {type(value).__name__}")
