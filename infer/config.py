"""The configuration of `headloom lift`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

MODEL_KINDS = ("vae", "diffusion", "gslrm")


@dataclass(frozen=True)
class WeightsConfig:
    """Where the three models come from: run, checkpoint or export directories.

    Attributes:
        vae: the image autoencoder; None takes the shipped one.
        diffusion: one photo to six views.
        gslrm: six views to Gaussians.
        fallback: directory with `vae`, `diffusion` and `gslrm` in it, used for what is neither
            given above nor shipped.
    """

    vae: Path | None = None
    diffusion: Path | None = None
    gslrm: Path | None = None
    fallback: Path | None = None


@dataclass(frozen=True)
class PruneConfig:
    """Which Gaussians the splat file keeps.

    Attributes:
        min_opacity: fainter ones are dropped; 0.04 loses nothing visible (FaceLift's value).
        max_scale: those with a larger standard deviation (scene units) are dropped as fog.
        half_extent: those outside the cube of this half side (scene units) are dropped; the
            canonical cameras see +-1.26, so shoulders stay.
        max_gaussians: of what is left, this many of the most opaque stay; None keeps all. A model
            trained with `loss.opacity_weight` loses little by it.
    """

    min_opacity: float = 0.04
    max_scale: float = 0.3
    half_extent: float = 1.3
    max_gaussians: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.min_opacity < 1:
            raise ValueError(f"prune.min_opacity {self.min_opacity} must lie in [0, 1)")
        if self.max_scale <= 0 or self.half_extent <= 0:
            raise ValueError("prune.max_scale and prune.half_extent must be positive")
        if self.max_gaussians is not None and self.max_gaussians < 1:
            raise ValueError(f"prune.max_gaussians {self.max_gaussians} must be at least 1 or null")


@dataclass(frozen=True)
class TurntableConfig:
    """The rendered turntable.

    Attributes:
        frames: in one turn of 360 degrees.
        size_px: width and height; even, since H.264 wants that.
        fps: frames per second.
        elevation_deg: height of the camera.
        spin_frames: frames of the sprite sheet that the gallery spins; a divisor of `frames`.
        spin_size_px: their width and height.
    """

    frames: int = 72
    size_px: int = 320
    fps: int = 24
    elevation_deg: float = 5.0
    spin_frames: int = 36
    spin_size_px: int = 256

    def __post_init__(self) -> None:
        if self.frames < 2 or self.fps < 1:
            raise ValueError("turntable.frames must be at least 2 and turntable.fps at least 1")
        if self.size_px < 32 or self.size_px % 2:
            raise ValueError(f"turntable.size_px {self.size_px} must be even and at least 32")
        if self.spin_frames < 1 or self.frames % self.spin_frames:
            raise ValueError(
                f"turntable.spin_frames {self.spin_frames} must divide turntable.frames "
                f"{self.frames}"
            )


@dataclass(frozen=True)
class VideoConfig:
    """How a video is lifted.

    Attributes:
        every: lift each n-th frame only.
        max_frames: stop after so many lifted frames; None lifts them all.
        smoothing_s: standard deviation in seconds of the Gaussian that smooths the landmarks over
            time before the crop is taken; 0 does not smooth.
        sway_deg: the camera of the rendered video swings so far to each side of the front.
        sway_period_s: one swing to and fro, in seconds.
    """

    every: int = 1
    max_frames: int | None = None
    smoothing_s: float = 0.15
    sway_deg: float = 20.0
    sway_period_s: float = 4.0

    def __post_init__(self) -> None:
        if self.every < 1 or (self.max_frames is not None and self.max_frames < 1):
            raise ValueError("video.every and video.max_frames must be at least 1")
        if self.smoothing_s < 0 or self.sway_period_s <= 0:
            raise ValueError(
                "video.smoothing_s must not be negative, video.sway_period_s must be positive"
            )


@dataclass(frozen=True)
class LiftConfig:
    """All that decides what a photo becomes.

    Attributes:
        seed: of the diffusion noise; every photo and every frame gets the same, so a result does
            not depend on its place in a folder.
        steps: DDIM steps; None takes the default of the diffusion model.
        guidance: scale of classifier-free guidance; None takes the default of the model.
        front_from_photo: the reconstructor sees the photo itself as its front view, not the
            diffusion model's copy of it.
        min_face_px: a face narrower than this in the photo is refused.
        device: "auto" (CUDA where there is one), "cpu", "cuda" or "cuda:N".
    """

    seed: int = 0
    steps: int | None = None
    guidance: float | None = None
    front_from_photo: bool = True
    min_face_px: int = 32
    device: str = "auto"
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    prune: PruneConfig = field(default_factory=PruneConfig)
    turntable: TurntableConfig = field(default_factory=TurntableConfig)
    video: VideoConfig = field(default_factory=VideoConfig)

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps {self.steps} must be at least 1")
