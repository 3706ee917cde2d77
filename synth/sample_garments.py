"""Tables of the sampler: which garment is made of what, carries which pattern, is worn over what.

Weights were chosen by eye, for variety; they describe no population.
"""

from __future__ import annotations

from synth.sample_draw import Weights
from synth.spec import Rgb

GARMENT_FABRICS: dict[str, Weights] = {
    "tee": {"jersey": 1.0},
    "v_neck": {"jersey": 0.6, "fine_knit": 0.4},
    "tank_top": {"jersey": 0.85, "fine_knit": 0.15},
    "sweater": {"fine_knit": 0.4, "chunky_knit": 0.35, "fleece": 0.25},
    "turtleneck": {"fine_knit": 0.7, "chunky_knit": 0.3},
    "shirt": {"poplin": 0.5, "denim": 0.2, "flannel": 0.3},
    "polo": {"jersey": 0.6, "fine_knit": 0.4},
    "hoodie": {"fleece": 1.0},
    "cardigan": {"fine_knit": 0.6, "chunky_knit": 0.4},
    "blazer": {"wool": 0.8, "denim": 0.1, "flannel": 0.1},
}
GARMENT_LAYERS: dict[str, Weights] = {
    "v_neck": {"none": 0.7, "tee": 0.15, "shirt": 0.15},
    "sweater": {"none": 0.75, "shirt": 0.25},
    "shirt": {"none": 0.65, "tee": 0.35},
    "hoodie": {"none": 0.4, "tee": 0.6},
    "cardigan": {"tee": 0.65, "shirt": 0.35},
    "blazer": {"tee": 0.4, "shirt": 0.6},
}
"""What is worn underneath; a garment that is not named is worn on the skin."""
_ALL_OVER = ("plain", "horizontal_stripes", "vertical_stripes", "plaid", "print")
GARMENT_PATTERNS: dict[str, tuple[str, ...]] = {
    "tee": (*_ALL_OVER, "graphic", "colour_block"),
    "v_neck": ("plain", "horizontal_stripes", "print", "colour_block"),
    "tank_top": ("plain", "horizontal_stripes", "vertical_stripes", "print", "graphic"),
    "sweater": ("plain", "horizontal_stripes", "print", "graphic", "colour_block"),
    "turtleneck": ("plain", "horizontal_stripes"),
    "shirt": ("plain", "vertical_stripes", "plaid", "print"),
    "polo": ("plain", "horizontal_stripes", "colour_block"),
    "hoodie": ("plain", "graphic", "colour_block"),
    "cardigan": ("plain", "horizontal_stripes"),
    "blazer": ("plain", "vertical_stripes", "plaid"),
}
"""Patterns that a garment carries; the configured weights hold among these."""
SHORT_SLEEVES: dict[str, float] = {"tee": 0.8, "v_neck": 0.5, "polo": 0.85, "shirt": 0.15}
"""Probability of short sleeves."""
LIGHT_BUTTON: Rgb = (0.60, 0.57, 0.50)
BUTTON_COLOURS: tuple[Rgb, ...] = (
    LIGHT_BUTTON, LIGHT_BUTTON, (0.020, 0.018, 0.018), (0.090, 0.045, 0.020), (0.30, 0.30, 0.31),
)  # fmt: skip
WHITE: Rgb = (0.640, 0.635, 0.620)
"""What is most often worn underneath."""
