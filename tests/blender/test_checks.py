"""The checks accept a plausible picture and name what is wrong with each broken one."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from synth.blender_scenes import checks
from synth.blender_scenes.view import RenderedView
from synth.errors import RenderInvalid
from synth.spec import OrbitCamera

SIZE = 64


@pytest.fixture
def head(spec):
    cameras = (OrbitCamera("front", -90.0, 0.0), OrbitCamera("back", 90.0, 0.0))
    render = dataclasses.replace(spec.render, size=SIZE)
    return dataclasses.replace(spec, cameras=cameras, render=render)


def picture(level=140, radius=20.0, alpha=255):
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    inside = np.hypot(x - SIZE / 2, y - SIZE / 2) < radius
    rgba = np.zeros((SIZE, SIZE, 4), np.uint8)
    rgba[inside] = (level, level, level, alpha)
    return rgba


def views(head, front=None, back=None):
    pictures = (picture() if front is None else front, picture() if back is None else back)
    return [RenderedView(c, p) for c, p in zip(head.resolved_cameras(), pictures)]


def test_a_plain_picture_passes_and_is_described(head):
    meta = checks.after(head, views(head))
    assert meta["coverage"][0] == pytest.approx(np.pi * 20**2 / SIZE**2, rel=0.02)
    linear = ((140 / 255 + 0.055) / 1.055) ** 2.4
    assert meta["luminance"] == pytest.approx([linear, linear], abs=1e-4)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (picture(level=2), "too dark"),
        (picture(radius=2), "covers 0.00"),
        (np.full((SIZE, SIZE, 4), 255, np.uint8), "covers 1.000"),
        (picture(level=255), "burnt"),
        (picture(alpha=120), "half transparent"),
    ],
)
def test_each_flaw_is_named_with_head_and_view(head, broken, message):
    with pytest.raises(RenderInvalid, match=message) as caught:
        checks.after(head, views(head, back=broken))
    assert head.spec_id in str(caught.value)
    assert "'back'" in str(caught.value)


def test_black_hair_over_black_clothes_from_behind_is_no_flaw(head):
    meta = checks.after(head, views(head, back=picture(level=22)))
    assert meta["luminance"][1] == pytest.approx(0.008, abs=1e-3)


def test_a_black_face_in_a_bright_picture_is_found(head):
    front = picture(level=200, radius=26)
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    front[np.hypot(x - SIZE / 2, y - SIZE / 2) < 17, :3] = 20
    with pytest.raises(RenderInvalid, match="black face"):
        checks.after(head, views(head, front=front))


def test_a_missing_view_is_found(head):
    with pytest.raises(RenderInvalid, match="1 views for 2 cameras"):
        checks.after(head, views(head)[:1])


def landmarks(shape, model):
    return {n: shape.to_world(shape.vertices[v]) for n, v in model.landmarks.items()}


def test_a_head_that_leaves_the_frame_is_found(head, shape, model):
    built = SimpleNamespace(objects={}, landmarks=landmarks(shape, model))
    checks.before(head, built)
    near = dataclasses.replace(head, cameras=(OrbitCamera("front", -90.0, 0.0, radius=1.2),))
    with pytest.raises(RenderInvalid, match="projects to"):
        checks.before(near, built)


def test_broken_geometry_is_found(head, shape, model):
    points = landmarks(shape, model)
    with pytest.raises(RenderInvalid, match="chin"):
        checks.before(
            head, SimpleNamespace(objects={}, landmarks={**points, "chin": np.full(3, np.nan)})
        )
    with pytest.raises(RenderInvalid, match="beyond"):
        checks.before(
            head, SimpleNamespace(objects={}, landmarks={**points, "chin": np.array([0, 0, -2.0])})
        )


def test_a_hat_must_fit_into_the_frame(head, shape, model):
    low, high = np.array([-0.4, -0.4, 0.6]), np.array([0.4, 0.4, 1.0])
    corners = [np.where([i & 1, i & 2, i & 4], high, low).tolist() for i in range(8)]
    beanie = SimpleNamespace(name="beanie", bound_box=corners)
    built = SimpleNamespace(objects={"headwear": (beanie,)}, landmarks=landmarks(shape, model))
    checks.before(head, built)
    beanie.bound_box = [[x, y, 1.4 if z > 0.8 else z] for x, y, z in corners]
    with pytest.raises(RenderInvalid, match="the top of beanie"):
        checks.before(head, built)
