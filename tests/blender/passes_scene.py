"""Renders one head with every pass and measures the passes against its geometry; test_passes.py."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import bpy
import imageio.v3 as imageio
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree
from scipy.spatial import cKDTree

from synth.blender_scenes import build, frame, passes, passes_labels, render, session
from synth.blender_scenes.passes_albedo import pigmented_albedo
from synth.blender_scenes.passes_surface import SurfaceRenderer
from synth.ground_truth import (
    COVERING_LABELS,
    LABELS,
    PASSES,
    decode,
    reproject,
)
from synth.landmarks import SPARSE_NAMES, Visibility
from synth.sample import DatasetConfig, sample_head
from synth.spec import (
    Accessories,
    Earrings,
    Expression,
    Gaze,
    Glasses,
    HeadPose,
    HeadSpec,
    Headwear,
    OrbitCamera,
)

SIZE = 160
FRAME = (0.30, 0.10, 0.50)
VIEWS = (
    OrbitCamera("front", -90.0, 0.0, fov_deg=36.0),
    OrbitCamera("front_left", -62.0, 8.0, fov_deg=36.0),
)
SMOOTH = [LABELS[name] for name in ("skin", "lips", "clothes")]
Truth = dict[str, np.ndarray]


def everything_on_one_head() -> HeadSpec:
    """Long hair, a beard, glasses, a cap, earrings and an open mouth, on a turned head."""
    spec = sample_head(DatasetConfig(size=SIZE, samples=4), 2)
    brown = replace(spec.hair.colour, melanin=0.72, albedo=(0.09, 0.05, 0.03), grey=0.0, tint=None)
    return replace(
        spec,
        expression=Expression("test", {"jawOpen": 0.5, "mouthSmileLeft": 0.4}),
        gaze=Gaze(),
        pose=HeadPose(yaw_deg=12.0, pitch_deg=5.0, roll_deg=-6.0),
        hair=replace(spec.hair, style="ponytail", colour=brown, strands=6000),
        facial_hair=replace(spec.facial_hair, beard="full", beard_density=1.0, colour=brown),
        accessories=Accessories(
            glasses=Glasses("round", FRAME, 0.0012),
            headwear=Headwear("cap", (0.1, 0.3, 0.2), (0.5, 0.5, 0.5)),
            earrings=Earrings("hoop", (0.9, 0.7, 0.3), 0.025),
        ),
        cameras=VIEWS,
        render=replace(spec.render, passes=tuple(PASSES)),
    )


def decoded(view) -> Truth:
    files = {name: imageio.imread(data, extension=".png") for name, data in view.passes.items()}
    return {
        name: decode(name, files[entry.stored], view.camera)
        for name, entry in PASSES.items()
        if name != "landmarks"
    }


# ------------------------------------------------------------------------------------- reprojection


def measure_reprojection(views, truths: list[Truth]) -> dict:
    """From one view to the surface that the other one shows there, and back: distance in pixels."""
    (a, b), (ta, tb) = [view.camera for view in views], truths
    pixels, there = reproject(ta["depth"], a, b)
    corner = np.nan_to_num(pixels - 0.5)
    inside = ((corner >= 0) & (corner < SIZE - 1)).all(-1) & np.isin(ta["segmentation"], SMOOTH)
    x, y = np.where(inside[..., None], corner, 0).astype(int).transpose(2, 0, 1)
    fx, fy = (corner - np.stack([x, y], axis=-1)).transpose(2, 0, 1)
    weights = {(0, 0): (1 - fx) * (1 - fy), (0, 1): fx * (1 - fy), (1, 0): (1 - fx) * fy,
               (1, 1): fx * fy}  # fmt: skip
    depths = np.stack([tb["depth"][y + dy, x + dx] for dy, dx in weights])
    smooth = [np.isin(tb["segmentation"][y + dy, x + dx], SMOOTH) for dy, dx in weights]
    wanted = inside & np.all(smooth, axis=0) & (np.ptp(depths, axis=0) < 0.04)
    visible = wanted & (np.abs(there - depths.mean(axis=0)) < 0.03)
    landed = sum(
        tb["position"][y + dy, x + dx] * weight[..., None] for (dy, dx), weight in weights.items()
    )
    back, _ = a.project(landed[visible].astype(np.float64))
    rows, columns = np.nonzero(visible)
    distance = np.linalg.norm(back - np.stack([columns, rows], axis=-1) - 0.5, axis=-1)
    return {
        "pixels": int(visible.sum()),
        "visible": float(visible.sum() / wanted.sum()),
        "within_a_pixel": float((distance < 1.0).mean()),
        "median_px": float(np.median(distance)),
        "p99_px": float(np.percentile(distance, 99)),
    }


def measure_position(camera, truth: Truth) -> dict:
    """Against the position pass of Cycles, of the same rays."""
    bpy.context.view_layer.use_pass_position = True
    with SurfaceRenderer():
        for item in bpy.context.scene.objects:
            item.hide_render = item.type == "CURVES" or item.name.startswith(("hair", "glasses"))
        channels = frame.render_channels(camera)
    own = np.stack([channels[f"Position.{c}"] for c in "XYZ"], axis=-1)
    same = np.isin(truth["segmentation"], SMOOTH)
    difference = np.linalg.norm(own[same] - truth["position"][same], axis=-1)
    return {"p99": float(np.percentile(difference, 99)), "pixels": int(same.sum())}


# ------------------------------------------------------------------------------------------ normals


def measure_normals(built, view, truth: Truth) -> dict:
    """Against differences of depth, and against the normals of the mesh."""
    position = truth["position"].astype(np.float64)
    across = position[1:-1, 2:] - position[1:-1, :-2]
    down = position[2:, 1:-1] - position[:-2, 1:-1]
    sloped = np.cross(down, across)
    sloped /= np.linalg.norm(sloped, axis=-1, keepdims=True)
    labels = truth["segmentation"]
    skin = np.ones((SIZE - 2, SIZE - 2), bool)
    for dy in (0, 1, 2):
        for dx in (0, 1, 2):
            skin &= labels[dy : dy + SIZE - 2, dx : dx + SIZE - 2] == LABELS["skin"]
    own = truth["normal_world"][1:-1, 1:-1]

    def angles(one, other):
        return np.degrees(np.arccos(np.clip((one * other).sum(-1), -1, 1)))

    vertices = built.shape.to_world(built.shape.vertices)
    nearest = cKDTree(vertices).query(position[1:-1, 1:-1][skin])[1]
    rotated = own @ view.camera.cam_from_world[:3, :3].T
    return {
        "to_depth_deg": float(np.median(angles(own, sloped)[skin])),
        "to_mesh_deg": float(np.median(angles(own[skin], built.shape.normals[nearest]))),
        "camera_deg": float(angles(rotated, truth["normal_camera"][1:-1, 1:-1])[skin].max()),
        "facing_the_camera": float((truth["normal_camera"][1:-1, 1:-1][skin][:, 2] < 0).mean()),
    }


def measure_strand_normals(view, truth: Truth) -> dict:
    """How much normals turn from pixel to pixel of hair, and whether they face the camera."""
    normal, labels = truth["normal_world"], truth["segmentation"]
    hair = np.isin(labels, [LABELS["hair"], LABELS["beard"]])
    both = hair[:, 1:] & hair[:, :-1]
    cosine = (normal[:, 1:] * normal[:, :-1]).sum(-1)[both]
    to_camera = view.camera.position - truth["position"][hair]
    return {
        "pixels": int(both.sum()),
        "turn_deg": float(np.degrees(np.arccos(np.clip(np.median(cosine), -1, 1)))),
        "facing": float(((normal[hair] * to_camera).sum(-1) > 0).mean()),
        "outwards": float((normal[hair] * truth["position"][hair]).sum(-1).mean()),
    }


# ----------------------------------------------------------------------------------- masks, colours


def measure_masks(truth: Truth, alpha: np.ndarray) -> dict:
    seen, under, coverage = truth["segmentation"], truth["segmentation_under"], truth["coverage"]
    covering = [LABELS[name] for name in COVERING_LABELS]
    lens = LABELS["glasses_lens"]
    opaque = np.delete(coverage, lens - 1, axis=0)
    sure = opaque.max(axis=0) > 0.9
    not_lens = sure & (seen != lens)
    both = (truth["depth"] > 0) & (truth["depth_under"] > 0)
    return {
        "counts": {name: int((seen == number).sum()) for name, number in LABELS.items()},
        "counts_under": {name: int((under == number).sum()) for name, number in LABELS.items()},
        "covering_under": int(np.isin(under, covering).sum()),
        "lens_hides_depth": float(
            np.median((truth["depth_under"] - truth["depth"])[seen == lens])
        ),
        "nearer_under": float((truth["depth_under"] - truth["depth"])[both].min()),
        "found_without_label": int(((truth["depth"] > 0) & (seen == 0)).sum()),
        "coverage_agrees": float(
            (opaque.argmax(0) + 1 + (opaque.argmax(0) + 1 >= lens) == seen)[not_lens].mean()
        ),
        "coverage_sum": float(np.abs(opaque.sum(0) - alpha)[coverage[lens - 1] == 0].max()),
        "lens_coverage": float(np.median(coverage[lens - 1][seen == lens])),
        "soft_hair": int(((coverage[LABELS["hair"] - 1] > 0.1)
                          & (coverage[LABELS["hair"] - 1] < 0.9)).sum()),
    }  # fmt: skip


def measure_albedo(spec: HeadSpec, truth: Truth) -> dict:
    colour, coverage = truth["albedo"][..., :3], truth["coverage"]

    def mean_where(label: str) -> list[float]:
        pure = coverage[LABELS[label] - 1] > 0.99
        return colour[pure].mean(axis=0).tolist()

    return {
        "frame": mean_where("glasses_frame"),
        "frame_wanted": FRAME,
        "hair": mean_where("hair"),
        "hair_wanted": pigmented_albedo(spec.hair.colour),
        "tongue": mean_where("tongue"),
        "teeth": mean_where("teeth"),
        "alpha": truth["albedo"][..., 3].max().item(),
    }


# ---------------------------------------------------------------------------------------- landmarks


def measure_landmarks(built, view, truth: Truth) -> dict:
    pixels, _ = view.camera.project(built.points.sparse)
    states = dict(zip(SPARSE_NAMES, view.landmarks.tolist()))
    padded = np.pad(truth["segmentation_under"], 1)

    def lands_on(name: str, labels: tuple[str, ...]) -> bool:
        column, row = pixels[SPARSE_NAMES.index(name)].astype(int)
        around = padded[row : row + 3, column : column + 3]  # a pixel further on every side
        return bool(np.isin(around, [LABELS[label] for label in labels]).any())

    groups = {
        "lip_": ("lips",), "mouth_": ("lips",), "iris_": ("iris",),
        "eye_": ("sclera", "iris", "lashes"), "brow_": ("brows",), "nose_": ("skin",),
    }  # fmt: skip
    hits = [
        lands_on(name, labels)
        for prefix, labels in groups.items()
        for name, state in states.items()
        if name.startswith(prefix) and state in (Visibility.VISIBLE, Visibility.COVERED)
    ]
    return {
        "on_their_part": float(np.mean(hits)),
        "tested": len(hits),
        "states": states,
        "dense_agrees_with_rays": dense_agreement(built, view),
    }


def dense_agreement(built, view) -> float:
    """Share of the dense points about which visibility and a ray through the head agree."""
    vertices = built.shape.to_world(built.shape.vertices)
    tree = BVHTree.FromPolygons(vertices.tolist(), built.model.faces.tolist())
    origin = Vector(view.camera.position.tolist())
    states = view.landmarks[len(SPARSE_NAMES) :]
    clothes = list(built.objects["clothes"])
    agreed = []
    for point, state in zip(built.points.dense, states):
        ray = Vector(point.tolist()) - origin
        _, _, _, hit = tree.ray_cast(origin, ray.normalized())
        behind_cloth = any(
            item.ray_cast(origin, ray.normalized(), distance=ray.length - 0.02)[0]
            for item in clothes
        )
        hidden = behind_cloth or (hit is not None and hit < ray.length - 0.012)
        agreed.append(hidden == (state == Visibility.HIDDEN))
    return float(np.mean(agreed))


def main(out: Path) -> None:
    spec = everything_on_one_head()
    bare = replace(spec, cameras=VIEWS[:1], render=replace(spec.render, passes=()))
    session.reset(bare, threads=2)
    built = build.build_head(bare)
    plain = render.render_views(bare, built)[0].rgba
    passes.add_outputs(spec)
    views = render.render_views(spec, built)
    truths = [decoded(view) for view in views]
    result = {
        "picture_is_the_same": bool(np.array_equal(plain, views[0].rgba)),
        "types": {name: [str(v.dtype), list(v.shape)] for name, v in truths[0].items()},
        "reprojection": measure_reprojection(views, truths),
        "normals": measure_normals(built, views[0], truths[0]),
        "strand_normals": measure_strand_normals(views[1], truths[1]),
        "masks": measure_masks(truths[0], truths[0]["albedo"][..., 3]),
        "albedo": measure_albedo(spec, truths[0]),
        "landmarks": [measure_landmarks(built, v, t) for v, t in zip(views, truths)],
        "unlabelled": [
            item.name
            for objects in built.objects.values()
            for item in objects
            if item.pass_index not in (*LABELS.values(), passes_labels.CLEAR) or not item.pass_index
        ],
        "position": measure_position(views[0].camera, truths[0]),
    }
    out.write_text(json.dumps(result))


main(Path(sys.argv[1]))
