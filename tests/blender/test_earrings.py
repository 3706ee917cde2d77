"""Earrings on the lobes of turned heads; no Blender."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.spatial import cKDTree

from synth.blender_scenes.earrings import earring_parts
from synth.blender_scenes.hair_field import DistanceField, HeadSurface
from synth.headmodel import HeadModel, HeadShape
from synth.sample import DatasetConfig, sample_head
from synth.spec import EARRINGS, Earrings, HeadPose

SIDES = ("left", "right")


@pytest.fixture(scope="module")
def rolled(model: HeadModel) -> tuple[HeadShape, HeadSurface]:
    """A head whose left ear is lowered by 15 degrees."""
    spec = sample_head(DatasetConfig(size=64, samples=2), 3)
    shape = model.shape(spec.identity, spec.expression, HeadPose(roll_deg=15.0, yaw_deg=10.0))
    surface = HeadSurface.create(model, shape)
    return shape, surface


@pytest.fixture(scope="module")
def in_free_air(rolled) -> HeadSurface:
    """The same head with nothing that an earring could touch."""
    _, surface = rolled
    ground = np.array([[x, y, -3.0] for x in (-0.1, 0.1) for y in (-0.1, 0.1)])
    low, high = surface.vertices.min(axis=0), surface.vertices.max(axis=0)
    field = DistanceField.build(ground, np.tile([0.0, 0.0, 1.0], (4, 1)), low, high, 0.05)
    return dataclasses.replace(surface, field=field)


def pair(kind: str, **changes) -> Earrings:
    return Earrings(
        kind, (0.8, 0.6, 0.3), {"stud": 0.005, "hoop": 0.03, "drop": 0.04}[kind], **changes
    )


def part(parts, name: str) -> np.ndarray:
    return next(p.vertices for p in parts if p.name == name)


@pytest.mark.parametrize("kind", EARRINGS)
def test_earrings_hang_on_the_lobes(kind, model, rolled):
    shape, surface = rolled
    parts = earring_parts(pair(kind), model, shape, surface)
    ears = (np.abs(model.canonical[:, 0]) > 0.0755) & (model.canonical[:, 2] < 0.856)
    ears &= model.canonical[:, 2] > 0.843
    lobes = cKDTree(shape.vertices[ears])
    for side in SIDES:
        points = np.concatenate([p.vertices for p in parts if p.name.endswith(side)])
        assert lobes.query(points)[0].min() < 0.0015
        sign = 1 if side == "left" else -1
        assert np.sign(points[:, 0].mean() - shape.vertices[:, 0].mean()) == sign


def test_hoops_and_drops_hang_straight_down_whatever_the_head_does(model, rolled, in_free_air):
    shape, _ = rolled
    hoops = earring_parts(pair("hoop"), model, shape, in_free_air)
    for side in SIDES:
        ring = part(hoops, f"hoop_{side}")
        flat = ring - ring.mean(axis=0)
        normal = np.linalg.svd(flat, full_matrices=False)[2][2]
        assert abs(normal[2]) < 0.01  # its plane is vertical in the world
    drops = earring_parts(pair("drop"), model, shape, in_free_air)
    for side in SIDES:
        chain, bead = part(drops, f"chain_{side}"), part(drops, f"drop_{side}")
        down = bead.mean(axis=0) - chain[chain[:, 2].argmax()]
        assert down[2] / np.linalg.norm(down) < -0.999


def test_hoops_are_turned_until_they_clear_cheek_and_neck(model, rolled, in_free_air):
    """In free air the same hoop would run through the head."""
    shape, surface = rolled
    big = dataclasses.replace(pair("hoop"), size_m=0.042)

    def depth(obstacles: HeadSurface) -> float:
        parts = earring_parts(big, model, shape, obstacles)
        rings = [part(parts, f"hoop_{side}") for side in SIDES]
        below_lobes = np.concatenate([r[r[:, 2] < r[:, 2].max() - 0.012] for r in rings])
        return float(surface.field.distance(below_lobes).min())

    assert depth(in_free_air) < 0.0
    assert depth(surface) > 0.0


def test_size_and_stone_reach_the_geometry(model, rolled):
    shape, surface = rolled
    for kind in ("hoop", "stud"):
        widths = []
        for size_m in (0.004, 0.008):
            earrings = dataclasses.replace(pair(kind), size_m=size_m)
            parts = earring_parts(earrings, model, shape, surface)
            widths.append(np.ptp(part(parts, f"{kind}_left"), axis=0).max())
        assert widths[1] > 1.7 * widths[0]
    metal = {p.material for p in earring_parts(pair("drop"), model, shape, surface)}
    stone = {p.material for p in earring_parts(pair("drop", metal=0.0), model, shape, surface)}
    assert metal == {"metal"}
    assert stone == {"metal", "gem"}
