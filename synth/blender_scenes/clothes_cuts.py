"""The garments: how each is cut, how its cloth behaves, and what it is worn over."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from synth.blender_scenes.clothes_drape import Cloth
from synth.blender_scenes.clothes_folds import Folding
from synth.blender_scenes.clothes_geometry import Neckline
from synth.spec import Clothes

_BUTTONED_BELOW = 0.15
"""A shirt or polo is closed to the collar when its `opening` is below this."""
_UNDER_ROOM_M = {"none": 0.0, "tee": 0.004, "shirt": 0.007}
"""How much farther from the skin a garment lies that is worn over another."""


@dataclass(frozen=True)
class Cut:
    """How a garment is cut and how its cloth lies.

    Attributes:
        closed, opened: the neckline at `Clothes.opening` 0 and 1.
        cloth: how it lies at `Clothes.fit` 0.5 and `Clothes.wrinkles` 1.
        sleeve: see `clothes_geometry.SLEEVES`; None has no sleeves.
        buttons: whether it is closed to the collar below a small opening.
        edge_lift: how far its edge stands off, as a part of the whole offset; a rib hugs the skin.
    """

    closed: Neckline
    opened: Neckline
    cloth: Cloth
    sleeve: str | None = "set_in"
    buttons: bool = False
    edge_lift: float = 0.35

    def neckline(self, opening: float) -> Neckline:
        """The neckline of a garment that is open that far, 0 ... 1."""
        if self.buttons and opening < _BUTTONED_BELOW:
            return self.closed
        start = self.closed
        if self.buttons:  # the first open button already shows a V
            start = dataclasses.replace(
                self.opened, v_depth_m=self.opened.v_depth_m * 0.45,
                v_half_width_m=self.opened.v_half_width_m * 0.7,
            )  # fmt: skip
        blended = {
            field.name: getattr(start, field.name) * (1 - opening)
            + getattr(self.opened, field.name) * opening
            for field in dataclasses.fields(Neckline)
        }
        return Neckline(**blended)


_SOFT = Folding(armpit=2, drag=1, shoulder=1, chest=2, back=3, sleeve=5)
_KNIT = Folding(armpit=3, drag=1, shoulder=1, chest=2, back=3, sleeve=5, width=1.35)
_CRISP = Folding(armpit=2, drag=2, shoulder=1, chest=2, back=4, sleeve=6, width=1.0)
_HEAVY = Folding(armpit=3, drag=1, shoulder=2, chest=2, back=3, sleeve=5, width=1.6)
_TAILORED = Folding(armpit=2, drag=1, shoulder=0, chest=0, back=2, sleeve=4, width=1.3)

_NONE = Folding(0, 0, 0, 0, 0, 0)

_TEE = Cloth(0.007, 0.0018, 0.012, folding=_SOFT, crease_m=0.006)
_SWEATER = Cloth(0.011, 0.004, 0.015, stretch=1.03, stiffness=0.05, folding=_KNIT, crease_m=0.005)
_SHIRT = Cloth(0.009, 0.003, 0.013, stretch=1.02, folding=_CRISP, crease_m=0.0065)
_HOODIE = Cloth(0.014, 0.007, 0.018, stretch=1.03, stiffness=0.06, folding=_HEAVY, crease_m=0.007)
_CARDIGAN = Cloth(0.011, 0.006, 0.014, stretch=1.03, stiffness=0.05, folding=_KNIT, crease_m=0.005)
_JACKET = Cloth(
    0.011, 0.007, 0.008, stretch=1.0, weight_m=0.0003, stiffness=0.10, bridging=14, pad_m=0.006,
    folding=_TAILORED, crease_m=0.0025,
)  # fmt: skip

CUTS = {
    "tee": Cut(Neckline(-0.010, -0.006), Neckline(-0.014, -0.009, scoop_m=0.008), _TEE),
    "v_neck": Cut(
        Neckline(-0.010, -0.006, 0.050, 0.070), Neckline(-0.012, -0.008, 0.095, 0.080), _TEE
    ),
    "tank_top": Cut(
        Neckline(scoop_m=0.035), Neckline(scoop_m=0.060),
        Cloth(0.004, 0.002, 0.006, stretch=1.01, folding=_SOFT), sleeve=None,
    ),
    "sweater": Cut(
        Neckline(-0.006, -0.002), Neckline(-0.012, -0.006, scoop_m=0.004), _SWEATER, "dropped"
    ),
    "turtleneck": Cut(
        Neckline(0.030, 0.042), Neckline(0.030, 0.042),
        Cloth(0.008, 0.004, 0.008, stiffness=0.04, folding=_KNIT),
    ),
    "shirt": Cut(
        Neckline(0.004, 0.008), Neckline(0.004, 0.008, 0.125, 0.050), _SHIRT, buttons=True
    ),
    "polo": Cut(Neckline(0.003, 0.006), Neckline(0.003, 0.006, 0.095, 0.038), _TEE, buttons=True),
    "hoodie": Cut(
        Neckline(-0.004, 0.004, 0.015, 0.06), Neckline(-0.004, 0.004, 0.055, 0.06),
        _HOODIE, "dropped",
    ),
    "cardigan": Cut(
        Neckline(-0.002, 0.004, 0.130, 0.074), Neckline(-0.002, 0.004, 0.210, 0.078),
        _CARDIGAN, edge_lift=1.0,
    ),
    "blazer": Cut(
        Neckline(-0.004, 0.006, 0.165, 0.085), Neckline(-0.004, 0.006, 0.210, 0.088), _JACKET,
        edge_lift=1.0,
    ),
}  # fmt: skip
"""Every garment of `synth.spec.GARMENTS`."""

UNDER = {
    "tee": dataclasses.replace(
        CUTS["tee"], cloth=Cloth(0.006, 0.003, 0.0, steps=16, folding=_NONE)
    ),
    "shirt": dataclasses.replace(
        CUTS["shirt"], cloth=Cloth(0.006, 0.003, 0.0, steps=16, folding=_NONE)
    ),
}
"""What may be worn underneath; it needs no folds, for only its neck is seen."""


def cloth_of(clothes: Clothes) -> Cloth:
    """How the cloth of `clothes` lies, with its fit and wrinkles."""
    cloth = CUTS[clothes.garment].cloth
    room = _UNDER_ROOM_M[clothes.under]
    loose = clothes.fit - 0.5
    return dataclasses.replace(
        cloth,
        offset_m=cloth.offset_m * (1 + 0.7 * loose) + room,
        clearance_m=cloth.clearance_m + room,
        fold_m=cloth.fold_m * clothes.wrinkles * (1 + 0.6 * loose),
        crease_m=cloth.crease_m * clothes.wrinkles,
        stretch=cloth.stretch + 0.04 * loose,
        weight_m=cloth.weight_m * (1 + 0.8 * loose),
        inward_m=0.0 if clothes.short_sleeves else cloth.inward_m,
    )
