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
        passes: name -> PNG bytes as `ground_truth.PASSES` describes it.
        landmarks: [S + D] uint8, what it sees of each landmark; None unless asked for.
        seconds: wall time, without the passes.
    """

    camera: Camera
    rgba: np.ndarray
    passes: dict[str, bytes] = field(default_factory=dict)
    landmarks: np.ndarray | None = None
    seconds: float = 0.0
