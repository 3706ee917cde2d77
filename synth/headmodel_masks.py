"""Where things are on a head: region masks as functions of canonical position.

The canonical head is the default adult of the model, in metres (z up, the face looks along -y, +x
is the subject's left). A fine vertex keeps its number over all identities and expressions, so a
mask that is drawn once here follows every head. Numbers were tuned by eye on rendered heads.
"""

from __future__ import annotations

import numpy as np

from synth.spec import BrowShape

# Outline of the hairy scalp in the side view (y, z); the hairline is its front.
SCALP_OUTLINE = np.array(
    [[-.20, .968], [-.138, .967], [-.126, .957], [-.112, .942], [-.105, .925], [-.094, .912],
     [-.086, .893], [-.079, .872], [-.068, .872], [-.066, .892], [-.060, .903], [-.045, .906],
     [-.034, .898], [-.028, .880], [-.022, .858], [-.012, .838], [.004, .822], [.02, .815],
     [.2, .812], [.2, 1.3], [-.2, 1.3]]
)  # fmt: skip

# Outline of the beard in the side view (y, z).
BEARD_OUTLINE = np.array(
    [[-.079, .880], [-.066, .880], [-.066, .855], [-.064, .83], [-.066, .80], [-.085, .775],
     [-.10, .766], [-.2, .77], [-.2, .8455], [-.150, .846], [-.139, .838], [-.128, .835],
     [-.108, .842], [-.094, .853], [-.084, .866]]
)  # fmt: skip

# Middle line of the brow in the front view: |x|, z and half height, from the inner end to the tail.
BROW_X = np.array([0.010, 0.018, 0.030, 0.040, 0.050, 0.0575])
BROW_Z = np.array([0.9115, 0.9145, 0.9180, 0.9187, 0.9150, 0.9095])
BROW_HALF_HEIGHT = np.array([0.0035, 0.0044, 0.0042, 0.0034, 0.0022, 0.0006])

CANONICAL_BROWS = BrowShape()

# Vertices found by their canonical position.
LANDMARKS = {
    "chin": (0.0, -0.146, 0.779),
    "crown": (0.0, -0.045, 1.02),
    "nose_tip": (0.0, -0.18, 0.857),
    "nose_bridge": (0.0, -0.155, 0.897),
    "forehead": (0.0, -0.15, 0.945),
    "mouth_left": (0.026, -0.15, 0.828),
    "mouth_right": (-0.026, -0.15, 0.828),
    "ear_top_left": (0.079, -0.055, 0.9005),
    "ear_top_right": (-0.079, -0.055, 0.9005),
    "ear_lobe_left": (0.076, -0.066, 0.848),
    "ear_lobe_right": (-0.076, -0.066, 0.848),
    "nape": (0.0, 0.03, 0.815),
}


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 at `low`, 1 at `high` (which may be the smaller one), smooth in between."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def polygon_signed_distance(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Signed distance [N] of `points` [N, 2] to a closed `polygon` [M, 2]; inside is positive."""
    distance = np.full(len(points), np.inf)
    inside = np.zeros(len(points), bool)
    for a, b in zip(polygon, np.roll(polygon, -1, axis=0)):
        edge = b - a
        t = np.clip((points - a) @ edge / max(edge @ edge, 1e-12), 0, 1)
        distance = np.minimum(distance, np.linalg.norm(points - a - t[:, None] * edge, axis=1))
        if a[1] != b[1]:
            crosses = (a[1] > points[:, 1]) != (b[1] > points[:, 1])
            x = edge[0] * (points[:, 1] - a[1]) / edge[1] + a[0]
            inside ^= crosses & (points[:, 0] < x)
    return np.where(inside, distance, -distance)


def build_masks(
    canonical: np.ndarray,
    uv: np.ndarray,
    textures: dict[str, np.ndarray],
    eye_centers: np.ndarray,
) -> dict[str, np.ndarray]:
    """All masks of the fine mesh.

    Args:
        canonical: [V, 3] canonical positions in metres.
        uv: [V, 2] texture coordinates in the original layout (v upwards).
        textures: grey masks [h, w] in [0, 1] of the original layout: lips, eyelids, inside-mouth.
        eye_centers: [2, 3] canonical centres of the eyeballs.

    Returns:
        [V] float32 each, in [0, 1]; names that end in `_sd` are signed distances in metres that are
        positive inside, `eye_distance` is the distance to the nearer eye centre in metres.
    """
    x, y, z = canonical.T
    side = np.abs(x)
    head = (z > 0.70).astype(float)

    def texture(name: str) -> np.ndarray:
        image = textures[name]
        height, width = image.shape
        row = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
        column = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
        return image[row, column]

    def blob(cx, cy, cz, rx, ry, rz) -> np.ndarray:
        return np.exp(-(((side - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2))

    masks = {
        "head": head,
        "lips": smoothstep(0.3, 0.8, texture("lips")) * head,
        "eyelids": texture("eyelids") * head,
        "mouth": smoothstep(0.3, 0.6, texture("inside-mouth")) * head,
        "ear": smoothstep(0.076, 0.081, side)
        * (z > 0.84)
        * (z < 0.91)
        * (y > -0.075)
        * (y < -0.02),
        "cheek": blob(0.043, -0.125, 0.852, 0.022, 0.03, 0.018),
        "nose": blob(0, -0.168, 0.855, 0.016, 0.02, 0.014),
        "under_eye": blob(0.033, -0.14, 0.880, 0.015, 0.02, 0.006),
        "forehead": blob(0, -0.145, 0.945, 0.045, 0.03, 0.022),
        "chin": blob(0, -0.15, 0.79, 0.02, 0.02, 0.012),
        "socket": blob(0.0312, -0.14, 0.897, 0.022, 0.03, 0.013),
        "nasolabial": blob(0.028, -0.15, 0.842, 0.004, 0.02, 0.010),
    }
    masks["tzone"] = np.clip(
        masks["forehead"] + blob(0, -0.16, 0.88, 0.012, 0.02, 0.03) + masks["nose"]
        + 0.6 * masks["chin"] + 0.5 * blob(0.03, -0.14, 0.865, 0.012, 0.02, 0.01),
        0, 1,
    )  # fmt: skip
    masks["brow"] = brow_mask(canonical)
    profile = canonical[:, 1:]
    bare = (z <= 0.75) | ((side > 0.0775) & (z < 0.904) & (y < -0.02))  # below, and the ears
    masks["scalp_sd"] = np.where(bare, -1.0, polygon_signed_distance(profile, SCALP_OUTLINE))
    bare = (head == 0) | (masks["lips"] >= 0.3) | (masks["mouth"] >= 0.3)
    masks["beard_sd"] = np.where(bare, -1.0, polygon_signed_distance(profile, BEARD_OUTLINE))
    distances = np.linalg.norm(canonical[:, None] - eye_centers[None], axis=2)
    masks["eye_distance"] = distances.min(axis=1)
    return {name: mask.astype(np.float32) for name, mask in masks.items()}


def brow_mask(canonical: np.ndarray, brows: BrowShape = CANONICAL_BROWS) -> np.ndarray:
    """[V] float32 in [0, 1]: the band where a person's brows grow, from `canonical` [V, 3]."""
    side, y, z = np.abs(canonical[:, 0]), canonical[:, 1], canonical[:, 2]
    middle, half_height = brow_band(side, brows)
    fade = np.clip(1.3 - np.abs(z - middle) / np.maximum(half_height, 1e-5), 0, 1)
    return (fade * (y < -0.09) * (half_height > 0)).astype(np.float32)


def brow_band(side: np.ndarray, brows: BrowShape) -> tuple[np.ndarray, np.ndarray]:
    """Canonical height of the middle of a person's brow and half its height, at |x| = `side`."""
    inner, tail = BROW_X[0], BROW_X[-1]
    across = np.clip((side - inner) / (tail - inner), 0, 1)
    # the band starts nearer to or farther from the middle and ends where it always does
    start = inner + brows.gap_m
    source = inner + (side - start) * (tail - inner) / (tail - start)
    middle = np.interp(source, BROW_X, BROW_Z) + brows.lift_m
    middle += brows.arch_m * np.sin(np.pi * across) + brows.tail_m * across**2
    half_height = np.interp(source, BROW_X, BROW_HALF_HEIGHT, left=0, right=0) * brows.thickness
    return middle, half_height


def neck_height(canonical: np.ndarray) -> np.ndarray:
    """[N] metres above the collar line, which is tilted like the neck: lower at the throat."""
    return canonical[:, 2] - (0.735 + 0.42 * (canonical[:, 1] + 0.015))


def nearest_vertices(canonical: np.ndarray) -> dict[str, int]:
    """The fine vertex nearest to each of `LANDMARKS`."""
    return {
        name: int(np.argmin(np.linalg.norm(canonical - position, axis=1)))
        for name, position in LANDMARKS.items()
    }
