"""The look: expression, hair, beard, clothes, glasses, makeup and light of one head."""

from __future__ import annotations

import dataclasses

import numpy as np

from synth import sample_palettes as palettes
from synth.sample_config import (
    ExpressionConfig,
    FacialHairConfig,
    HairConfig,
    LightConfig,
    WearConfig,
)
from synth.sample_identity import Draw, Person, choose, happens
from synth.spec import (
    Accessories,
    AreaLight,
    Clothes,
    Expression,
    FacialHair,
    Gaze,
    Glasses,
    Hair,
    HairColour,
    HeadPose,
    Light,
    Makeup,
    Rgb,
    Skin,
)

_FRONT_DEG = -90.0
_LIGHT_DISTANCE = 4.0


def sample_expression(draw: Draw, settings: ExpressionConfig) -> tuple[Expression, Gaze, HeadPose]:
    """Facial actions, gaze and head pose."""
    family = choose(draw("expression.family"), settings.families)
    actions = _actions(family, draw("expression.actions"))
    rng = draw("expression.gaze")
    gaze = Gaze()
    if happens(rng, settings.averted_gaze):
        gaze = Gaze(float(rng.uniform(-11, 11)), float(rng.uniform(-5, 4)))
    rng = draw("expression.pose")
    pose = HeadPose()
    if happens(rng, settings.turned_head):
        turns = np.clip(rng.normal(0, 1, 3), -2, 2) * settings.turn_sigma_deg
        pose = HeadPose(*(float(angle) for angle in turns))
    return Expression(family, actions), gaze, pose


def _actions(family: str, rng: np.random.Generator) -> dict[str, float]:
    amount = rng.uniform(0.35, 0.8)
    other = rng.uniform(0.9, 1.0)  # how much of it the other side does

    def both(name: str, value: float) -> dict[str, float]:
        return {f"{name}Left": float(value), f"{name}Right": float(value * other)}

    if family == "smile":
        return {
            **both("mouthSmile", amount),
            **both("cheekSquint", 0.4 * amount),
            **both("eyeSquint", 0.2 * amount),
        }
    if family == "grin":
        return {
            # the corners go up further than the lips part: otherwise the teeth are bared
            **both("mouthSmile", 0.75 + 0.25 * amount),
            **both("mouthUpperUp", 0.12 + 0.15 * amount),
            **both("mouthLowerDown", 0.05 + 0.10 * amount),
            **both("cheekSquint", 0.55),
            **both("eyeSquint", 0.2),
            "jawOpen": float(0.06 + 0.11 * amount),
        }
    if family == "serious":
        return {**both("browDown", 0.6 * amount), **both("mouthPress", 0.4 * amount)}
    if family == "surprise":
        return {
            "browInnerUp": float(amount),
            **both("browOuterUp", amount),
            **both("eyeWide", 0.6 * amount),
            "jawOpen": float(0.3 * amount),
        }
    if family == "talk":
        return {
            "jawOpen": float(rng.uniform(0.05, 0.16)),
            "mouthFunnel": float(rng.uniform(0, 0.15)),
        }
    if family == "squint":
        return {**both("eyeSquint", 0.8 * amount), **both("cheekSquint", 0.5 * amount)}
    if family == "sad":
        return {"browInnerUp": float(0.8 * amount), **both("mouthFrown", 0.8 * amount)}
    if family == "closed_eyes":
        return both("eyeBlink", 1.0)
    return {}


def sample_hair(draw: Draw, settings: HairConfig, person: Person) -> Hair:
    """The hair as worn: natural or dyed."""
    worn = _hair_colour(person.hair_colour, person.grey)
    rng = draw("hair.dye")
    if person.female and happens(rng, settings.dyed):
        worn = _hair_colour(choose(rng, dict.fromkeys(palettes.HAIR_COLOURS, 1.0)), 0.0)
    rng = draw("hair.tint")
    if happens(rng, settings.tinted):
        tint = palettes.TINTS[rng.integers(len(palettes.TINTS))]
        bleached = _hair_colour("blond", 0.0)
        albedo = tuple(a * t for a, t in zip(bleached.albedo, tint))
        worn = dataclasses.replace(bleached, name="tinted", tint=tint, albedo=albedo)
    style = choose(draw("hair.style"), _style_weights(settings, person))
    return Hair(
        style=style,
        colour=worn,
        groom_seed=draw.derive_seed("hair.groom"),
        length_scale=float(draw("hair.length").uniform(0.85, 1.15)),
        parting=_parting(draw("hair.parting"), settings, style),
    )


def _style_weights(settings: HairConfig, person: Person) -> dict[str, float]:
    sex = "female" if person.female else "male"
    weights = dict(getattr(settings, f"{sex}_{'coily_' if person.coily else ''}styles"))
    if not person.female and "bald" in weights:
        weights["bald"] *= 1 + settings.balding * person.age
    for style in {"long", "wavy", "long_curly", "ponytail"} & set(weights):
        weights[style] *= 1 - 0.6 * person.age  # long hair becomes rarer with age
    return weights


def _parting(rng: np.random.Generator, settings: HairConfig, style: str) -> float:
    side = rng.choice((-1.0, 1.0))
    if style != "side_part" and happens(rng, settings.middle_parting):
        return float(rng.normal(0, 0.002))
    return float(side * rng.uniform(0.018, 0.035))


def _hair_colour(name: str, grey: float) -> HairColour:
    pigment = palettes.HAIR_COLOURS[name]
    albedo = tuple(
        float(a * (1 - grey) + g * grey) for a, g in zip(pigment.albedo, palettes.GREY_ALBEDO)
    )
    return HairColour(name, pigment.melanin, pigment.redness, albedo, grey)


def sample_facial_hair(draw: Draw, settings: FacialHairConfig, person: Person) -> FacialHair:
    """Beard, brows and lashes, in the person's natural colour; they grey later than the scalp."""
    natural = _hair_colour(person.hair_colour, 0.7 * person.grey)
    beard = "none" if person.female else choose(draw("beard.style"), settings.beards)
    shadow = {"none": draw("beard.shadow").uniform(0.0, 0.18), "stubble": 0.32, "short": 0.5,
              "full": 0.55}.get(beard, 0.12)  # fmt: skip
    # blond and grey stubble hardly shows
    shadow *= 1 - 0.6 * min(1.0, max(natural.albedo) / 0.3)
    brow, lash = draw("brow.amount"), draw("lash.amount")
    female = person.female
    return FacialHair(
        beard=beard,
        beard_seed=draw.derive_seed("beard.groom"),
        colour=natural,
        beard_density=float(draw("beard.density").uniform(0.8, 1.15)),
        beard_length=float(draw("beard.length").uniform(0.8, 1.25)),
        shaving_shadow=0.0 if female else float(shadow),
        brow_density=float(brow.uniform(0.45, 0.75) if female else brow.uniform(0.6, 1.0)),
        brow_length=float(brow.uniform(0.8, 1.1)),
        lash_length=float(lash.uniform(0.95, 1.25) if female else lash.uniform(0.7, 0.95)),
    )


def dress_skin(draw: Draw, settings: WearConfig, person: Person) -> Skin:
    """The person's skin with the makeup of this look."""
    rng = draw("makeup.worn")
    if not (person.female and happens(rng, settings.makeup)):
        return person.skin
    lipstick = eyeshadow = None
    rng = draw("makeup.lipstick")
    if happens(rng, settings.lipstick):
        colour = palettes.LIPSTICKS[rng.integers(len(palettes.LIPSTICKS))]
        # the same pigment is worn darker on darker skin
        lipstick = tuple(float(c * (1 - 0.62 * person.skin.melanin)) for c in colour)
    rng = draw("makeup.eyeshadow")
    if happens(rng, settings.eyeshadow):
        eyeshadow = palettes.EYESHADOWS[rng.integers(len(palettes.EYESHADOWS))]
    rng = draw("makeup.amount")
    makeup = Makeup(
        lipstick=lipstick,
        lipstick_opacity=float(rng.uniform(0.55, 0.9)),
        eyeshadow=eyeshadow,
        blush=float(rng.uniform(0, 0.5)),
    )
    return dataclasses.replace(person.skin, makeup=makeup)


def sample_clothes(draw: Draw, settings: WearConfig) -> Clothes:
    """Garment, colours and pattern."""
    rng = draw("clothes.colour")
    weights = np.array([cloth.weight for cloth in palettes.CLOTHS])
    first, second = rng.choice(len(weights), 2, replace=False, p=weights / weights.sum())

    def shade(number: int) -> Rgb:
        brightness = rng.uniform(0.8, 1.15)
        return tuple(float(min(0.7, c * brightness)) for c in palettes.CLOTHS[number].colour)

    return Clothes(
        garment=choose(draw("clothes.garment"), settings.garments),
        colour=shade(first),
        second_colour=shade(second),
        pattern=choose(draw("clothes.pattern"), settings.patterns),
        pattern_scale=float(draw("clothes.pattern_scale").uniform(24, 67)),
        wrinkles=float(draw("clothes.wrinkles").uniform(0.6, 1.3)),
        cloth_seed=draw.derive_seed("clothes.cloth"),
    )


def sample_accessories(draw: Draw, settings: WearConfig, person: Person) -> Accessories:
    """Glasses or nothing."""
    rng = draw("glasses.worn")
    if not happens(rng, min(1.0, settings.glasses * (1 + person.age))):
        return Accessories()
    rng = draw("glasses.look")
    metal = happens(rng, 0.4)
    glasses = Glasses(
        shape=choose(draw("glasses.shape"), settings.glasses_shapes),
        colour=palettes.FRAME_COLOURS[rng.integers(len(palettes.FRAME_COLOURS))],
        rim_radius_m=float(rng.uniform(0.0006, 0.0009) if metal else rng.uniform(0.0010, 0.0017)),
        metal=1.0 if metal else 0.0,
        tint=float(rng.uniform(0.4, 0.9)) if happens(rng, settings.tinted_glasses) else 0.0,
    )
    return Accessories(glasses)


def sample_light(draw: Draw, settings: LightConfig) -> Light:
    """The light; soft sources in front of the face, so that it is seldom black."""
    kind = choose(draw("light.kind"), settings.kinds)
    rng = draw("light.values")
    if kind == "hdri":
        name = choose(draw("light.hdri"), settings.hdris)
        rotation, strength = rng.uniform(0, 360), rng.uniform(0.8, 1.2)
        # whatever the map has in front of the face, a large soft light gives it shape
        fill = _area(rng.uniform(-45, 45), rng.uniform(10, 40), 2.5, rng.uniform(60, 130))
        return Light(kind, f"bpy:{name}", float(rotation), float(strength), areas=(fill,))
    if kind == "hdri_area":
        name = choose(draw("light.hdri"), settings.dim_hdris)
        key = _area(
            rng.uniform(-60, 60), rng.uniform(10, 50), rng.uniform(0.8, 2.5),
            rng.uniform(150, 320), (1.0, rng.uniform(0.94, 1.0), rng.uniform(0.88, 1.0)),
        )  # fmt: skip
        return Light(kind, f"bpy:{name}", float(rng.uniform(0, 360)), 0.55, areas=(key,))
    if kind == "studio":
        return _studio(rng)
    return Light(kind, strength=float(rng.uniform(0.55, 0.75)))


def _studio(rng: np.random.Generator) -> Light:
    side = rng.choice((-1.0, 1.0))
    key = _area(
        side * rng.uniform(25, 60), rng.uniform(15, 45), rng.uniform(0.8, 2.0),
        rng.uniform(260, 360), (1.0, 0.97, 0.93),
    )  # fmt: skip
    fill = _area(
        -side * rng.uniform(40, 70), rng.uniform(0, 20), 3.0, rng.uniform(90, 160),
        (0.93, 0.96, 1.0),
    )  # fmt: skip
    rim = _area(side * rng.uniform(140, 170), rng.uniform(30, 50), 1.2, rng.uniform(80, 180))
    return Light("studio", strength=float(rng.uniform(0.05, 0.12)), areas=(key, fill, rim))


def _area(
    from_front_deg: float,
    elevation_deg: float,
    size: float,
    power_w: float,
    colour: Rgb = (1.0, 1.0, 1.0),
) -> AreaLight:
    azimuth = (_FRONT_DEG + from_front_deg + 180) % 360 - 180
    return AreaLight(
        azimuth_deg=float(azimuth),
        elevation_deg=float(elevation_deg),
        distance=_LIGHT_DISTANCE,
        size=float(size),
        power_w=float(power_w),
        colour=tuple(float(c) for c in colour),
    )
