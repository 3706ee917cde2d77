"""The scene of a spec: light, cameras, render settings."""

from __future__ import annotations

from dataclasses import dataclass

from synth import camera as camera_module
from synth.ground_truth import check_passes
from synth.spec_person import Rgb


@dataclass(frozen=True)
class AreaLight:
    """A rectangular area light on a sphere around the origin, aimed at the origin.

    Attributes:
        azimuth_deg, elevation_deg: as for cameras (front is -90).
        distance: scene units.
        size: width in scene units.
        power_w: Blender's watts.
        aspect: height relative to the width; a window is tall, a strip light taller.
    """

    azimuth_deg: float
    elevation_deg: float
    distance: float
    size: float
    power_w: float
    colour: Rgb = (1.0, 1.0, 1.0)
    aspect: float = 1.0


@dataclass(frozen=True)
class Sky:
    """A physical sky with its sun (Nishita et al. 1993, as in Blender's sky texture).

    Attributes:
        sun_azimuth_deg: direction of the sun, as for cameras (-90 is in front of the face).
        sun_elevation_deg: above the horizon.
        sun_strength: factor on the disc of the sun alone; 0 is a sky without sun.
        sun_size_deg: diameter of the disc; haze makes it larger and its shadows softer.
        air, dust, ozone: densities, 1 is a clear day.
    """

    sun_azimuth_deg: float
    sun_elevation_deg: float
    sun_strength: float = 1.0
    sun_size_deg: float = 0.545
    air: float = 1.0
    dust: float = 1.0
    ozone: float = 1.0


@dataclass(frozen=True)
class Light:
    """The light, fixed in the world.

    Attributes:
        kind: label: "hdri", "hdri_area", "studio", "window", "practicals", "sky" or "ambient".
        hdri: asset id of the environment map (`"bpy:city"`), or None.
        sky: a physical sky instead of a map, or None.
        rotation_deg: rotation of the environment about +Z.
        strength: strength of the environment (HDRI, sky or ambient colour).
        ambient: colour of the uniform environment when there is no HDRI.
        areas: area lights.
        exposure_ev: stops on top of the exposure that is measured on the face
            (`synth.blender_scenes.probe`), applied before the view transform.
    """

    kind: str
    hdri: str | None = None
    rotation_deg: float = 0.0
    strength: float = 1.0
    ambient: Rgb = (1.0, 1.0, 1.0)
    areas: tuple[AreaLight, ...] = ()
    exposure_ev: float = 0.0
    sky: Sky | None = None

    def __post_init__(self) -> None:
        if self.hdri is not None and self.sky is not None:
            raise ValueError("light: a map and a sky at once; set one of hdri and sky to null")


@dataclass(frozen=True)
class OrbitCamera:
    """A camera on a sphere around the origin, kept as the numbers it was made from."""

    name: str
    azimuth_deg: float
    elevation_deg: float
    radius: float = camera_module.RADIUS
    fov_deg: float = camera_module.FOV_DEG


@dataclass(frozen=True)
class RenderSettings:
    """How the head is rendered.

    Attributes:
        size: width and height in pixels.
        samples: Cycles samples a pixel.
        denoise: OpenImageDenoise on colour.
        noise_seed: seed of Cycles.
        view_transform, look: Blender's colour management.
        passes: ground truth to store beside RGBA, of `synth.ground_truth.PASSES`.
    """

    size: int = 512
    samples: int = 32
    denoise: bool = True
    noise_seed: int = 0
    view_transform: str = "Filmic"
    look: str = "High Contrast"
    passes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_passes("render.passes", self.passes)
