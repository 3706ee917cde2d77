"""The geometry of hats and headscarves on heads and what they do to hair; no Blender."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.spatial import cKDTree

from synth.blender_scenes.hair_field import HeadSurface
from synth.blender_scenes.hair_groom import groom
from synth.blender_scenes.hair_strands import StrandSet
from synth.blender_scenes.headwear_fit import HairCover
from synth.blender_scenes.headwear_hats import hat
from synth.blender_scenes.headwear_scarf import headscarf, press_ears
from synth.headmodel import HeadModel, HeadShape
from synth.sample import DatasetConfig, sample_head
from synth.spec import HeadPose, Headwear

HATS = ("beanie", "cap", "bucket_hat")
POSE = HeadPose(yaw_deg=18.0, pitch_deg=6.0, roll_deg=8.0)


def worn(kind: str, **changes) -> Headwear:
    return Headwear(kind, (0.1, 0.1, 0.1), (0.5, 0.5, 0.5), **changes)


@pytest.fixture(scope="module")
def surfaces(model: HeadModel) -> list[HeadSurface]:
    """Two people, one with a turned head."""
    specs = [sample_head(DatasetConfig(size=64, samples=2), index) for index in (3, 8)]
    shapes = [model.shape(s.identity, s.expression, p) for s, p in zip(specs, (HeadPose(), POSE))]
    return [HeadSurface.create(model, shape) for shape in shapes]


@pytest.fixture(scope="module")
def scarved(model: HeadModel) -> tuple[HeadShape, HeadSurface]:
    spec = sample_head(DatasetConfig(size=64, samples=2), 8)
    shape = press_ears(model, model.shape(spec.identity, spec.expression, POSE))
    return shape, HeadSurface.create(model, shape)


def mesh(parts, *names: str) -> np.ndarray:
    return np.concatenate([part.vertices for part in parts if part.name in names])


def poking_out(surface: HeadSurface, cover: HairCover, points: np.ndarray) -> float:
    """How far the head reaches out of a hat's mesh at most, metres; ears included.

    Seen from the hat's centre, a head vertex is compared with the outermost of the mesh's
    vertices in its direction.
    """
    azimuth, elevation, radius = cover.frame.polar(surface.vertices)
    rim = np.interp(
        np.mod(azimuth, 2 * np.pi), np.linspace(0, 2 * np.pi, len(cover.rim)), cover.rim
    )
    under = (elevation > rim + 0.06) & (radius < 0.2) & (surface.canonical[:, 2] > 0.85)
    directions = points - cover.frame.centre
    reach = np.linalg.norm(directions, axis=1)
    tree = cKDTree(directions / reach[:, None])
    wanted = surface.vertices[under] - cover.frame.centre
    _, nearest = tree.query(wanted / radius[under, None], k=6)
    return float((radius[under] - reach[nearest].max(axis=1)).max())


@pytest.mark.parametrize("kind", HATS)
@pytest.mark.parametrize("looseness", [0.0, 1.0])
def test_a_hat_encloses_the_head_and_sits_close(kind, looseness, surfaces):
    for surface in surfaces:
        parts, cover = hat(worn(kind, looseness=looseness, fit_seed=3), surface, "bald")
        shell = mesh(parts, "beanie", "beanie_cuff", "cap", "bucket_hat")
        assert poking_out(surface, cover, shell) < 0.0002
        gap = surface.field.distance(shell)
        assert gap.min() > -0.0015
        assert np.percentile(gap, 5) < 0.008  # it touches: it is no helmet
        assert all(np.isfinite(part.vertices).all() for part in parts)


@pytest.mark.parametrize("kind", HATS)
def test_folds_never_cut_into_the_hair(kind, surfaces):
    """A fold once let a patch of scalp show through the wall of a bucket hat."""
    for seed in range(4):
        parts, cover = hat(worn(kind, looseness=0.5, fit_seed=seed), surfaces[0], "curly_short")
        azimuth, elevation, radius = cover.frame.polar(mesh(parts, kind))
        assert (radius - cover.inside.at(azimuth, elevation)).min() > 0.0003


def test_hats_of_different_heads_differ(surfaces):
    first, second = (hat(worn("beanie"), s, "bald")[0][0].vertices for s in surfaces)
    assert np.abs((first - first.mean(axis=0)) - (second - second.mean(axis=0))).max() > 0.005


def test_a_hat_turns_with_the_head(model, surfaces):
    """The middle of the cap's brim lies in front of the turned forehead, not on -y."""
    surface = surfaces[1]
    parts, _ = hat(worn("cap"), surface, "bald")
    brim = mesh(parts, "cap_brim")
    out = brim.mean(axis=0) - surface.vertices[surface.canonical[:, 2] > 0.9].mean(axis=0)
    yaw = np.degrees(np.arctan2(out[0], -out[1]))
    assert 8 < yaw < 28


def test_a_backward_cap_has_its_brim_behind(surfaces):
    surface = surfaces[0]
    centre_y = surface.vertices[surface.canonical[:, 2] > 0.9, 1].mean()
    forward, backward = (
        mesh(hat(worn("cap", turn_deg=turn), surface, "bald")[0], "cap_brim")[:, 1].mean()
        for turn in (0.0, 180.0)
    )
    assert forward < centre_y - 0.04
    assert backward > centre_y + 0.04


def test_the_brim_of_a_cap_stands_in_front_and_points_down(surfaces):
    parts, _ = hat(worn("cap"), surfaces[0], "bald")
    brim = mesh(parts, "cap_brim")
    crown = mesh(parts, "cap")
    assert brim[:, 1].min() < crown[:, 1].min() - 0.045
    middle = brim[np.abs(brim[:, 0] - brim[:, 0].mean()) < 0.008]
    tip, root = middle[middle[:, 1].argmin()], middle[middle[:, 1].argmax()]
    slope = (tip[2] - root[2]) / (root[1] - tip[1])
    assert -0.45 < slope < -0.05


def test_looseness_makes_a_beanie_slouch(surfaces):
    tight, loose = (
        mesh(hat(worn("beanie", looseness=value), surfaces[0], "bald")[0], "beanie")
        for value in (0.0, 1.0)
    )
    assert loose[:, 1].max() > tight[:, 1].max() + 0.02


@pytest.fixture(scope="module")
def long_hair(surfaces) -> list[StrandSet]:
    spec = sample_head(DatasetConfig(size=64, samples=2), 3)
    hair = dataclasses.replace(spec.hair, style="long", length_scale=1.0, strands=2500)
    return groom(hair, surfaces[0], 64)


@pytest.mark.parametrize("kind", HATS)
def test_hair_lies_between_scalp_and_hat_and_comes_out_below(kind, surfaces, long_hair):
    surface = surfaces[0]
    _, cover = hat(worn(kind, looseness=0.2), surface, "long")

    def above_inside(strands: StrandSet) -> np.ndarray:
        """How far points above the rim lie outside the hat's inner face."""
        azimuth, elevation, radius = cover.frame.polar(strands.points)
        rim = np.interp(
            np.mod(azimuth, 2 * np.pi), np.linspace(0, 2 * np.pi, len(cover.rim)), cover.rim
        )
        covered = elevation > rim + 0.02
        return (radius - cover.inside.at(azimuth, elevation))[covered]

    before, after = long_hair[0], cover.press(long_hair[0])
    assert above_inside(before).max() > 0.005  # the hat was needed
    assert above_inside(after).max() < 0.0002
    assert after.points[..., 2].min() == pytest.approx(before.points[..., 2].min(), abs=0.002)
    assert 0.4 * len(before) < len(after) <= len(before)
    # nothing dives into the scalp
    assert (
        surface.field.distance(after.points).min()
        > surface.field.distance(before.points).min() - 0.002
    )


def test_short_hair_under_a_hat_is_left_out(surfaces):
    spec = sample_head(DatasetConfig(size=64, samples=2), 3)
    hair = dataclasses.replace(spec.hair, style="buzz", strands=2500)
    (strands,) = groom(hair, surfaces[0], 64)
    _, cover = hat(worn("beanie"), surfaces[0], "buzz")
    assert 0 < len(cover.press(strands)) < 0.5 * len(strands)


def test_thick_hair_lifts_the_hat(surfaces):
    bald, thick = (
        hat(worn("cap", looseness=0.0), surfaces[0], style)[1].inside.values[25:].mean()
        for style in ("bald", "afro")
    )
    assert bald + 0.004 < thick < bald + 0.02


# ---------------------------------------------------------------- headscarf


def test_a_headscarf_covers_hair_ears_and_neck_and_leaves_the_face(model, scarved):
    shape, surface = scarved
    parts, cover = headscarf(worn("headscarf", looseness=0.4, fit_seed=2), surface)
    cloth = parts[0]
    corners = cloth.vertices[cloth.faces]
    normals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    centres = corners.mean(axis=1)
    x, y, z = model.canonical.T
    ear = (np.abs(x) > 0.079) & (z > 0.848) & (z < 0.9)
    hairy = (model.masks["scalp_sd"] > 0.012) & (z > 0.83)
    neck = (z > 0.765) & (z < 0.80) & (y > -0.03)
    middle = shape.vertices[z > 0.9].mean(axis=0)
    away = ((centres - middle) * normals).sum(axis=1)
    normals = normals * np.sign(np.median(away))
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    tree = cKDTree(centres)
    for name, region in (("ear", ear), ("scalp", hairy), ("neck", neck)):
        skin = shape.vertices[region]
        _, nearest = tree.query(skin, k=3)
        height = ((skin[:, None] - centres[nearest]) * normals[nearest]).sum(axis=-1)
        assert height.mean(axis=1).max() < 0.0, name
    face = [shape.vertices[model.landmarks[n]] for n in ("nose_tip", "mouth_left", "mouth_right")]
    face += [eye.center for eye in shape.eyes]
    assert tree.query(np.stack(face))[0].min() > 0.02
    assert cover.hides_all
    assert len(cover.press(StrandSet.plain(np.zeros((3, 4, 3)), np.ones((3, 4))))) == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_a_headscarf_lies_on_head_and_clothes(seed, scarved):
    _, surface = scarved
    parts, _ = headscarf(worn("headscarf", looseness=0.9, fit_seed=seed), surface)
    for part in parts:
        assert np.isfinite(part.vertices).all()
        below = surface.field.distance(part.vertices)
        # rolled edges turn under the cloth by 2.8 mm
        assert np.percentile(below, 2) > -0.001
        assert below.min() > -0.006


def test_folds_differ_by_their_seed_and_looseness(scarved):
    _, surface = scarved
    base, other, loose = (
        headscarf(worn("headscarf", looseness=amount, fit_seed=seed), surface)[0][0].vertices
        for amount, seed in ((0.2, 1), (0.2, 2), (0.9, 1))
    )
    assert np.abs(base - other).max() > 0.004
    assert np.abs(base - loose).max() > 0.004


def test_a_loose_headscarf_stands_off_the_jaw_over_an_underscarf(model, scarved):
    shape, surface = scarved
    jaw = [shape.vertices[model.landmarks[n]] for n in ("mouth_left", "mouth_right")]
    tight, loose = (
        headscarf(worn("headscarf", looseness=amount, fit_seed=1), surface)[0]
        for amount in (0.0, 1.0)
    )
    assert [part.material for part in tight] == ["scarf", "scarf"]
    assert [part.material for part in loose] == ["scarf", "scarf", "underscarf"]
    to_tight, to_loose = (
        cKDTree(parts[0].vertices).query(jaw)[0].min() for parts in (tight, loose)
    )
    assert to_loose > to_tight + 0.006
    # what is worn over the underscarf hides it but for its edge around the face
    cap, outer = loose[2].vertices, loose[0].vertices
    place = surface.canonical_map.to_canonical(cap)
    above = (place[:, 2] > 0.93) & (place[:, 1] > -0.10)
    assert above.sum() > 100
    nearest = cKDTree(outer).query(cap[above])[1]
    over = surface.field.distance(outer[nearest]) - surface.field.distance(cap[above])
    assert np.mean(over > 0.0003) > 0.98, np.quantile(over, [0, 0.01, 0.05, 0.5])


def test_ears_are_pressed_flat_and_nothing_else_moves(model, spec):
    shape = model.shape(spec.identity, None, POSE)
    pressed = press_ears(model, shape)
    moved = np.linalg.norm(pressed.vertices - shape.vertices, axis=1)
    x, y, z = np.abs(model.canonical[:, 0]), model.canonical[:, 1], model.canonical[:, 2]
    assert moved[(x > 0.087) & (z > 0.86)].max() > 0.006
    assert moved[x < 0.075].max() == 0
    assert moved[(y < -0.09) | (z > 0.92) | (z < 0.83)].max() == 0
    assert np.isfinite(pressed.normals).all()
