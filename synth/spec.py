"""`HeadSpec`: everything that decides one rendered head, as frozen dataclasses and JSON.

The spec is the truth; the seed is only where it came from. Two equal specs give equal pixels, so a
user may edit any value by hand, render again and know what changed. Colours are linear RGB in
[0, 1] unless a name says otherwise; lengths are metres on the model, scene units for cameras and
lights.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from synth import camera as camera_module
from synth.camera import Camera
from synth.config import digest, from_dict, to_dict
from synth.errors import ConfigError, SchemaMismatch, SpecError

SCHEMA = 1
"""Version of the JSON layout; raised when an older reader could no longer understand it."""

Rgb = tuple[float, float, float]

HAIR_STYLES = (
    "bald", "buzz", "crop", "quiff", "side_part", "curly_short", "afro",
    "bob", "long", "wavy", "long_curly", "ponytail", "bun",
)  # fmt: skip
BEARD_STYLES = ("none", "stubble", "short", "full", "moustache", "goatee")
GARMENTS = ("tee", "v_neck", "sweater", "turtleneck", "shirt", "hoodie")
PATTERNS = ("plain", "horizontal_stripes", "vertical_stripes", "plaid", "print")
GLASSES_SHAPES = ("round", "oval", "rectangle", "browline")


@dataclass(frozen=True)
class Identity:
    """Who it is: what stays the same over looks, expressions and lights.

    Attributes:
        identity_id: stable name of the identity; splits hash it.
        phenotype: anny's phenotype values in [0, 1]: gender (0 male, 1 female), age (2/3 young
            adult, 1 old), muscle, weight, height, proportions, african, asian, caucasian ...
        shape: local shape controls in [-1, 1], by anny's label.
        age_years: apparent age, for queries and labels.
        sex: label of the sampled sex, for queries; the geometry reads `phenotype` only.
    """

    identity_id: str
    phenotype: dict[str, float]
    shape: dict[str, float]
    age_years: float
    sex: Literal["female", "male"]


@dataclass(frozen=True)
class Expression:
    """Facial actions in [0, 1] by their ARKit-style name, and the family they were drawn from."""

    name: str = "neutral"
    actions: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Gaze:
    """Direction of the eyes; yaw to the subject's left and pitch upwards are positive, degrees."""

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0


@dataclass(frozen=True)
class HeadPose:
    """Rotation of the head on the neck: yaw to the subject's left, pitch up, roll to its left."""

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0


@dataclass(frozen=True)
class Makeup:
    """Colours that lie on the skin; None where nothing is worn."""

    lipstick: Rgb | None = None
    lipstick_opacity: float = 0.85
    eyeshadow: Rgb | None = None
    blush: float = 0.0


@dataclass(frozen=True)
class Skin:
    """Skin appearance. All amounts in [0, 1] unless said otherwise.

    Attributes:
        melanin: 0 very light ... 1 very dark.
        texture_seed: seed of the noise (mottling, freckles, moles), a plain value of the spec.
        wrinkles: depth factor of the wrinkle grooves, about the age.
        freckles, spots, moles: densities.
    """

    melanin: float
    redness: float
    dark_circles: float
    oil: float
    mottle: float
    freckles: float
    spots: float
    moles: float
    wrinkles: float
    bump: float
    texture_seed: int
    makeup: Makeup = Makeup()


@dataclass(frozen=True)
class Eyes:
    """Eye appearance.

    Attributes:
        iris_name: label of the palette.
        iris_dark, iris_light, iris_inner: the two fibre colours and the collarette.
        iris_radius: radius of the iris relative to that of the eyeball.
        pupil: pupil radius relative to the iris.
        veins: amount of veins in the sclera, [0, 1].
    """

    iris_name: str
    iris_dark: Rgb
    iris_light: Rgb
    iris_inner: Rgb
    iris_radius: float
    pupil: float
    veins: float


@dataclass(frozen=True)
class HairColour:
    """Colour of the strands after Chiang et al. (2016).

    Attributes:
        name: label of the palette.
        melanin, redness: inputs of the Principled Hair shader, [0, 1].
        albedo: the resulting look as a colour, for under-painting and ground truth.
        grey: fraction of strands without pigment.
        tint: dye multiplied onto the strands, or None.
    """

    name: str
    melanin: float
    redness: float
    albedo: Rgb
    grey: float = 0.0
    tint: Rgb | None = None


@dataclass(frozen=True)
class Hair:
    """Scalp hair.

    Attributes:
        style: one of `HAIR_STYLES`.
        groom_seed: seed of roots, clumps and flyaways.
        length_scale: factor on the lengths of the style, about 0.8 ... 1.2.
        parting: sideways position of the parting in metres, + is the subject's left.
        strands: number of strands, or 0 for the style's own number.
    """

    style: str
    colour: HairColour
    groom_seed: int
    length_scale: float = 1.0
    parting: float = 0.0
    strands: int = 0

    def __post_init__(self) -> None:
        _check("hair.style", self.style, HAIR_STYLES)


@dataclass(frozen=True)
class FacialHair:
    """Beard, brows and lashes; density and length are factors around 1.

    Attributes:
        colour: natural colour of brows and beard; dye stays on the scalp.
    """

    beard: str
    beard_seed: int
    colour: HairColour
    beard_density: float = 1.0
    beard_length: float = 1.0
    shaving_shadow: float = 0.0
    brow_density: float = 1.0
    brow_length: float = 1.0
    lash_length: float = 1.0

    def __post_init__(self) -> None:
        _check("facial_hair.beard", self.beard, BEARD_STYLES)


@dataclass(frozen=True)
class Clothes:
    """A garment, its two colours and its pattern (`pattern_scale` in repeats per metre)."""

    garment: str
    colour: Rgb
    second_colour: Rgb
    pattern: str = "plain"
    pattern_scale: float = 200.0
    wrinkles: float = 1.0
    cloth_seed: int = 0

    def __post_init__(self) -> None:
        _check("clothes.garment", self.garment, GARMENTS)
        _check("clothes.pattern", self.pattern, PATTERNS)


@dataclass(frozen=True)
class Glasses:
    """Glasses; the rim radius is in metres, metal 0 plastic ... 1 metal, tint 0 clear ... 1."""

    shape: str
    colour: Rgb
    rim_radius_m: float
    metal: float = 0.0
    tint: float = 0.0

    def __post_init__(self) -> None:
        _check("accessories.glasses.shape", self.shape, GLASSES_SHAPES)


@dataclass(frozen=True)
class Accessories:
    """What the head wears beside clothes."""

    glasses: Glasses | None = None


@dataclass(frozen=True)
class AreaLight:
    """A square area light on a sphere around the origin, aimed at the origin.

    Attributes:
        azimuth_deg, elevation_deg: as for cameras (front is -90).
        distance: scene units.
        size: side length in scene units.
        power_w: Blender's watts.
    """

    azimuth_deg: float
    elevation_deg: float
    distance: float
    size: float
    power_w: float
    colour: Rgb = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Light:
    """The light, fixed in the world.

    Attributes:
        kind: label: "hdri", "hdri_area", "studio" or "ambient".
        hdri: asset id of the environment map (`"bpy:city"`), or None.
        rotation_deg: rotation of the environment about +Z.
        strength: strength of the environment (HDRI or ambient colour).
        ambient: colour of the uniform environment when there is no HDRI.
        areas: area lights.
        exposure_ev: stops on top of the exposure that is computed from the light on the face and
            the skin (`synth.blender_scenes.exposure`), applied before the view transform.
    """

    kind: str
    hdri: str | None = None
    rotation_deg: float = 0.0
    strength: float = 1.0
    ambient: Rgb = (1.0, 1.0, 1.0)
    areas: tuple[AreaLight, ...] = ()
    exposure_ev: float = 0.0


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
        passes: extra ground truth to store beside RGBA.
    """

    size: int = 512
    samples: int = 32
    denoise: bool = True
    noise_seed: int = 0
    view_transform: str = "Filmic"
    look: str = "High Contrast"
    passes: tuple[str, ...] = ()


@dataclass(frozen=True)
class AssetRef:
    """An asset the head is made of: id, SHA-256 of its bytes and licence (SPDX)."""

    asset_id: str
    sha256: str
    licence: str


@dataclass(frozen=True)
class HeadSpec:
    """All that decides one rendered head."""

    seed: int
    index: int
    identity: Identity
    expression: Expression
    gaze: Gaze
    pose: HeadPose
    skin: Skin
    eyes: Eyes
    hair: Hair
    facial_hair: FacialHair
    clothes: Clothes
    accessories: Accessories
    light: Light
    cameras: tuple[OrbitCamera, ...]
    render: RenderSettings
    assets: tuple[AssetRef, ...] = ()
    schema: int = SCHEMA

    @property
    def spec_id(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
        return digest(self)[:16]

    def resolved_cameras(self) -> tuple[Camera, ...]:
        """The cameras as matrices, at the size of the render settings."""
        return tuple(
            camera_module.orbit(
                c.azimuth_deg,
                c.elevation_deg,
                radius=c.radius,
                fov_deg=c.fov_deg,
                size=self.render.size,
                name=c.name,
            )
            for c in self.cameras
        )

    def to_json_dict(self) -> dict[str, Any]:
        """Plain data for `spec.json`."""
        return to_dict(self)

    @classmethod
    def from_json_dict(cls, data: dict[str, Any]) -> HeadSpec:
        """The inverse of `to_json_dict`.

        Raises:
            SchemaMismatch: written by another version of the layout.
            SpecError: a key or a value does not fit.
        """
        schema = data.get("schema") if isinstance(data, dict) else None
        if schema != SCHEMA:
            raise SchemaMismatch(
                f"head spec has schema {schema!r}, this version reads {SCHEMA}; "
                "render it with the version of Headloom that wrote it"
            )
        try:
            return from_dict(cls, data, "spec")
        except ConfigError as error:
            raise SpecError(str(error)) from error


def _check(path: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{path}: {value!r} is not one of {', '.join(known)}")
