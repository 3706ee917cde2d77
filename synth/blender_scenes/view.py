"""One rendered picture of a head."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from synth.camera import Camera


@dataclass(frozen=True, eq=False)
class RenderedView:
    """One picture of a head.

    Attributes:
        camera: where it was taken from.
        rgba: [H, W, 4] uint8, display-referred sRGB, straight alpha.
        passes: name -> array as `passes.PASSES` describes it.
        seconds: wall time.
    """

    camera: Camera
    rgba: np.ndarray
    passes: dict[str, np.ndarray] = field(default_factory=dict)
    seconds: float = 0.0
