"""Ground truth that Cycles writes beside the picture, by name.

`spec.render.passes` lists what is wanted; an unknown name is an error, never ignored.
"""

from __future__ import annotations

import bpy
import numpy as np

from synth.errors import SpecError

PASSES = {
    "depth": "[H, W] float32, distance along the camera's z axis in scene units, 0 where nothing is"
}
"""Every pass that can be asked for, with its layout and unit."""

_NOTHING = 1e9
"""Cycles writes 1e10 where no surface was hit."""


def enable_passes(names: tuple[str, ...]) -> None:
    """Switch on what Cycles must write for `names`.

    Raises:
        SpecError: a name that is not in `PASSES`.
    """
    unknown = [name for name in names if name not in PASSES]
    if unknown:
        raise SpecError(
            f"spec.render.passes: {unknown[0]!r} is not one of {', '.join(sorted(PASSES))}"
        )
    bpy.context.view_layer.use_pass_z = "depth" in names


def read_passes(
    names: tuple[str, ...], channels: dict[str, np.ndarray], layer: str
) -> dict[str, np.ndarray]:
    """The passes `names` from the channels of the render file, as `PASSES` describes them.

    Args:
        channels: what `exr.read_exr` returned.
        layer: name of the view layer, the prefix of its channels.
    """
    result = {}
    if "depth" in names:
        depth = channels[f"{layer}.Depth.Z"].astype(np.float32)
        result["depth"] = np.where(depth < _NOTHING, depth, np.float32(0))
    return result
