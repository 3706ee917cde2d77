"""What the steps of a bake share: one person's fields at every texel of the atlas."""

from __future__ import annotations

import functools

import numpy as np

from synth.blender_scenes.skin_atlas import SkinAtlas
from synth.blender_scenes.skin_regions import SkinRegions, mixture
from synth.headmodel_masks import smoothstep
from synth.rng import stream
from synth.spec import HeadSpec

_ZONES = (
    "lips", "mouth", "waterline", "upper_lid", "lower_lid", "porous", "freckly", "sunned", "tzone",
    "cavity", "face", "cheek", "jaw", "lid_middle", "nostril",
)  # fmt: skip
_FINEST_TEXEL_M = 0.00045
"""What is a millimetre wide fades out where texels are coarser, or it would alias into a grid."""


class Texels:
    """Fields [N] float32 at the texels.

    Args:
        spec: the head.
        atlas: its texels.
        regions: zones of the model.
        layers: further fields per vertex [V] by name, sampled with the zones.
    """

    def __init__(
        self, spec: HeadSpec, atlas: SkinAtlas, regions: SkinRegions, layers: dict[str, np.ndarray]
    ):
        self.spec, self.skin, self.atlas = spec, spec.skin, atlas
        self.x, self.y, self.z = atlas.canonical.T
        fields = {**{name: regions[name] for name in _ZONES}, **layers}
        names = tuple(fields)
        stacked = np.stack([fields[n].astype(np.float32) for n in names], axis=1)
        self._fields = dict(zip(names, atlas.sample_fields(stacked)))
        seed = self.skin.texture_seed
        self.medium = mixture(atlas.medium_noise, seed, "medium")
        self.blots = mixture(atlas.medium_noise, seed, "blots")
        self.fine = mixture(atlas.fine_noise, seed, "fine")
        self.resolved = float(min(1.0, _FINEST_TEXEL_M / atlas.texel_m))
        self.bare = atlas.detail * (1 - self["mouth"]) * (1 - self["lips"]) * (1 - self["nostril"])

    def __getitem__(self, name: str) -> np.ndarray:
        return self._fields[name]

    def __setitem__(self, name: str, values: np.ndarray) -> None:
        self._fields[name] = values

    def where(self, name: str, above: float = 0.01) -> np.ndarray:
        """Numbers of the texels at which a field exceeds a value."""
        return np.flatnonzero(self._fields[name] > above)

    def stream(self, name: str) -> np.random.Generator:
        """A generator of the person's skin."""
        return stream(self.skin.texture_seed, 0, f"skin.{name}")

    @functools.cached_property
    def _number(self) -> np.ndarray:
        height, width = self.atlas.shape
        number = np.full(height * width, -1, np.int32)
        number[self.atlas.texels] = np.arange(len(self.atlas.texels), dtype=np.int32)
        return number

    def dots(
        self, name: str, count: float, radii: tuple[float, float], density: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Soft round dots: texels [n] that they cover and how much [n], in (0, 1].

        Args:
            name: of the stream that places them.
            count: how many; a fraction is rounded down.
            radii: smallest and largest in metres; small ones are more frequent.
            density: [N] probability in [0, 1] that a dot may lie at a texel.
        """
        atlas, rng = self.atlas, self.stream(name)
        wanted = int(count)
        candidates = rng.choice(len(atlas.texels), min(4 * wanted, len(atlas.texels)), False)
        chosen = candidates[rng.random(len(candidates)) < density[candidates]][:wanted]
        radius = radii[0] + (radii[1] - radii[0]) * rng.random(len(chosen)) ** 2.2
        # a dot below the size of a texel would vanish or alias: it grows, and fades in proportion
        shown = np.maximum(radius, 0.9 * atlas.texel_m)
        strength = (radius / shown) ** 2 * rng.uniform(0.5, 1.0, len(chosen))
        return self._covered(chosen, shown, strength)

    def _covered(
        self, chosen: np.ndarray, radius: np.ndarray, strength: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compare dots with the texels of a window around each, by true distance on the head."""
        atlas = self.atlas
        if not len(chosen):
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        height, width = atlas.shape
        reach = int(np.ceil(2.2 * radius.max() / atlas.texel_m)) + 1
        offsets = np.arange(-reach, reach + 1)
        row, column = np.divmod(atlas.texels[chosen], width)
        rows = np.clip(row[:, None, None] + offsets[:, None], 0, height - 1)
        columns = np.clip(column[:, None, None] + offsets[None, :], 0, width - 1)
        near = self._number[(rows * width + columns).reshape(len(chosen), len(offsets) ** 2)]
        dot, window = np.nonzero(near >= 0)
        near = near[dot, window]
        distance = np.linalg.norm(atlas.canonical[near] - atlas.canonical[chosen[dot]], axis=1)
        ragged = distance / radius[dot] * (1 + 0.22 * self.fine[near] + 0.12 * self.medium[near])
        cover = smoothstep(1.35, 0.6, ragged) * strength[dot]
        inside = cover > 0
        near, cover = near[inside], cover[inside]
        total = np.zeros(len(atlas.texels), np.float32)
        np.maximum.at(total, near, cover)
        texels = np.unique(near)
        return texels, total[texels]
