"""Facial actions: what they share, what they do together, and that faces stay human."""

from __future__ import annotations

import numpy as np
import pytest

from synth.headmodel import HeadModel
from synth.headmodel_expression import shape_weights
from synth.landmarks import EYEBALL_SCALE, SPARSE_NAMES, sparse_vertices
from synth.sample import DatasetConfig, sample_head
from synth.sample_expression import ExpressionConfig, draw_actions
from synth.sample_families import FAMILIES, FAMILY_NAMES, ONE_SIDED, VISEMES, WHOLE_ACTIONS
from synth.spec import Expression, Identity

PLAIN = Identity("test", {"gender": 0.5, "age": 0.7}, {}, 40.0, "female")
SIDES = ("Left", "Right")


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


def points(model: HeadModel, actions: dict[str, float], identity: Identity = PLAIN) -> dict:
    """Named landmarks in millimetres."""
    vertices = model.shape(identity, Expression("test", actions)).vertices
    return dict(zip(SPARSE_NAMES, 1000 * vertices[sparse_vertices(model)]))


def test_a_smile_lifts_and_widens_its_own_corner(model):
    rest, left = points(model, {}), points(model, {"mouthSmileLeft": 0.8})
    moved = {side: left[f"mouth_{side}"] - rest[f"mouth_{side}"] for side in ("left", "right")}
    assert moved["left"][0] > 3
    assert moved["left"][2] > 3
    assert np.linalg.norm(moved["right"]) < 0.2 * np.linalg.norm(moved["left"])


def test_a_laugh_is_no_open_mouth_with_a_smile_added(model):
    """The correction makes the corners stay up while the jaw drops."""
    smile = {f"mouthSmile{side}": 0.8 for side in SIDES}
    jaw = {"jawOpen": 0.4}
    rest, both = points(model, {}), points(model, {**smile, **jaw})
    apart = [points(model, actions)["mouth_left"] - rest["mouth_left"] for actions in (smile, jaw)]
    together = both["mouth_left"] - rest["mouth_left"]
    assert together[2] > sum(apart)[2] + 0.5
    gap = both["lip_upper_inner"][2] - both["lip_lower_inner"][2]
    assert gap > 10


def test_lips_do_not_pass_through_each_other(model):
    """As plain sums these cross by 2 to 3 mm on thin lips; the rims' curvature leaves one."""
    both = {f"{name}{side}": 0.6 for name in ("mouthFrown", "mouthPress") for side in SIDES}
    columns = ("lip_{}_inner", *(f"lip_{{}}_left_inner_{number}" for number in (1, 2, 3)))
    for actions in (both, {"mouthShrugLower": 0.5, **both}, {"mouthShrugLower": 0.5}):
        for index in range(6):
            person = sample_head(DatasetConfig(), index).identity
            at = points(model, actions, person)
            gaps = [
                at[column.format("upper")][2] - at[column.format("lower")][2] for column in columns
            ]
            assert min(gaps) > -1.0, (index, actions, gaps)
    rest, parted = points(model, {}), points(model, {"mouthShrugLower": 0.5})
    for far in ("chin", "nose_tip", "eye_left_outer"):
        assert np.linalg.norm(parted[far] - rest[far]) < 3.0


@pytest.mark.parametrize("closed", [0.0, 0.5, 1.0])
def test_the_eyeball_stays_behind_the_lids(model, closed):
    """As plain sums it comes out of long eyes by up to 1.7 mm."""
    plain = model.shape(PLAIN)
    blink = Expression("blink", {f"eyeBlink{side}": closed for side in SIDES})
    for index in range(6):
        shape = model.shape(sample_head(DatasetConfig(), index).identity, blink)
        for eye, plain_eye in zip(shape.eyes, plain.eyes):
            local = plain.vertices - plain_eye.center
            from_ball = np.linalg.norm(local, axis=1) - plain_eye.radius
            lid = (from_ball > 0.0003) & (from_ball < 0.005)
            lid &= -local[:, 1] > 0.5 * np.linalg.norm(local, axis=1)
            depth = np.linalg.norm(shape.vertices[lid] - eye.center, axis=1)
            assert (depth - EYEBALL_SCALE * eye.radius).min() > -0.0001, index


def test_actions_that_pull_at_the_same_lips_share_a_budget():
    weights = shape_weights({f"{name}Left": 1.0 for name in ("mouthSmile", "mouthFrown")})
    assert weights["mouthSmileLeft"] == pytest.approx(0.30 * 0.55)
    assert weights["mouthFrownLeft"] == pytest.approx(0.45 * 0.55)
    alone = shape_weights({"mouthSmileLeft": 1.0})
    assert alone["mouthSmileLeft"] == pytest.approx(0.30)
    whole = shape_weights({"mouthPucker": 1.0, "mouthSmileLeft": 1.0})
    assert whole["mouthPucker"] < 0.35
    assert "mouthSmileRight" not in whole


def test_an_unknown_action_passes_through_to_be_named():
    assert shape_weights({"mouthGrin": 0.5}) == {"mouthGrin": 0.5}


def test_brows_go_where_they_are_told(model):
    rest = points(model, {})
    for action, name, sign in (
        ("browInnerUp", "brow_left_upper_1", 1), ("browOuterUpLeft", "brow_left_upper_4", 1),
        ("browDownLeft", "brow_left_upper_1", -1),
    ):  # fmt: skip
        assert sign * (points(model, {action: 0.8})[name] - rest[name])[2] > 2, action


def test_every_family_stays_human_on_random_people(model):
    settings = ExpressionConfig()
    rng = np.random.default_rng(3)
    people = [sample_head(DatasetConfig(), index).identity for index in (1, 4, 9)]
    for number, family in enumerate(FAMILY_NAMES):
        identity = people[number % len(people)]
        found = points(model, draw_actions(family, rng, settings), identity)
        gap = found["lip_upper_inner"][2] - found["lip_lower_inner"][2]
        assert -4.5 < gap < 30, (family, "lips cross or tear", gap)
        width = np.linalg.norm(found["mouth_left"] - found["mouth_right"])
        assert 22 < width < 85, (family, width)
        lids = [
            found[f"eye_{s}_upper_3"][2] - found[f"eye_{s}_lower_3"][2] for s in ("left", "right")
        ]
        assert min(lids) > -3, (family, lids)


def test_a_wink_closes_one_eye_and_closed_eyes_close_both(model):
    settings, rng = ExpressionConfig(), np.random.default_rng(0)
    open_mm = {}
    for family in ("neutral", "wink", "closed_eyes"):
        found = points(model, draw_actions(family, rng, settings))
        open_mm[family] = sorted(
            found[f"eye_{s}_upper_3"][2] - found[f"eye_{s}_lower_3"][2] for s in ("left", "right")
        )
    assert open_mm["neutral"][0] > 5
    assert open_mm["wink"][0] < 1 < 5 < open_mm["wink"][1]
    assert open_mm["closed_eyes"][1] < 1


def test_a_closing_lid_is_not_held_open_by_a_squint():
    weights = shape_weights({"eyeBlinkLeft": 1.0, "eyeSquintLeft": 0.6, "eyeWideLeft": 0.5})
    assert weights["eyeBlinkLeft"] == 1
    assert weights["eyeSquintLeft"] == weights["eyeWideLeft"] == 0


def test_families_differ_and_no_two_faces_of_one_are_the_same():
    settings = ExpressionConfig()
    assert len(FAMILY_NAMES) >= 20
    for family in FAMILY_NAMES:
        a, b = (draw_actions(family, np.random.default_rng(seed), settings) for seed in (1, 2))
        assert a != b, family
    smile = draw_actions("smile", np.random.default_rng(5), settings)
    assert smile["mouthSmileLeft"] != smile["mouthSmileRight"]


def test_tables_name_real_actions(model):
    known = set(model.action_labels)
    tables = [
        *FAMILIES.values(),
        *VISEMES.values(),
        *(t for pair in ONE_SIDED.values() for t in pair),
    ]
    for table in tables:
        for name, (low, high) in table.items():
            names = {name} if name in WHOLE_ACTIONS else {name + side for side in SIDES}
            assert names <= known, name
            assert 0 <= low <= high <= 1
