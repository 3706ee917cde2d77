"""Scores of the reconstructor: which views it is shown, and what is scored."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from infer.evaluate import evaluate_reconstructor, nearest_to_canonical
from synth.camera import CANONICAL_VIEWS, orbit, ring, stack
from synth.errors import InputError

CANONICAL = [name for name, _ in CANONICAL_VIEWS]


@pytest.fixture(scope="module")
def spheres(tmp_path_factory) -> Path:
    """Two coloured spheres, the canonical six and two other views each."""
    path = Path(__file__).parents[1] / "train" / "toy.py"
    spec = importlib.util.spec_from_file_location("headloom_toy_of_evaluate", path)
    toy = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = toy
    spec.loader.exec_module(toy)
    return toy.make_dataset(tmp_path_factory.mktemp("spheres"), heads=2)


def evaluate(spheres, tiny_weights, out, **options) -> dict:
    evaluate_reconstructor(spheres, tiny_weights / "gslrm", out, split="all", **options)
    return json.loads((out / "metrics.json").read_text())


def test_the_canonical_six_are_shown_and_all_others_scored(spheres, tiny_weights, tmp_path):
    record = evaluate(spheres, tiny_weights, tmp_path)
    assert record["inputs"] == "canonical"
    for head in record["heads"]:
        assert head["inputs"] == CANONICAL
        assert [view["name"] for view in head["views"]] == ["random_00", "random_01"]
        for view in head["views"]:
            assert 3 < view["psnr"] < 40 and 0 < view["lpips"] < 1.5
    every = [view["lpips"] for head in record["heads"] for view in head["views"]]
    assert record["mean"]["lpips"] == pytest.approx(np.mean(every), abs=1e-4)


def test_random_inputs_belong_to_the_head(spheres, tiny_weights, tmp_path):
    record = evaluate(spheres, tiny_weights, tmp_path / "a", inputs="random")
    shown = [head["inputs"] for head in record["heads"]]
    assert all(len(set(names)) == 6 for names in shown)
    assert shown[0] != shown[1] and CANONICAL not in shown
    for head in record["heads"]:
        assert not set(head["inputs"]) & {view["name"] for view in head["views"]}
        assert len(head["views"]) == 2
    again = evaluate(spheres, tiny_weights, tmp_path / "b", inputs="random", max_heads=1)
    assert again["heads"][0]["inputs"] == shown[0]


def test_a_ring_of_others_gives_the_views_nearest_to_the_canonical_six():
    """FaceLift's published ring: 32 views at elevation 20 degrees, every 11.25 degrees."""
    cameras = ring(32, 20.0)
    chosen = nearest_to_canonical(stack(cameras)[0])
    expected = [round((azimuth + 90.0) / 11.25) % 32 for _, azimuth in CANONICAL_VIEWS]
    assert list(chosen) == expected


def test_the_canonical_six_are_their_own_nearest_in_any_order():
    cameras = [orbit(azimuth, 0.0) for _, azimuth in CANONICAL_VIEWS]
    others = [orbit(float(azimuth), 8.0) for azimuth in range(-170, 180, 25)]
    order = np.random.default_rng(0).permutation(len(cameras) + len(others))
    mixed = [(cameras + others)[i] for i in order]
    chosen = nearest_to_canonical(stack(mixed)[0])
    assert [int(order[i]) for i in chosen] == list(range(6))


def test_two_canonical_views_do_not_take_one_camera():
    """All cameras in front: the six are distinct all the same."""
    cameras = [orbit(-90.0 + 4.0 * i, 5.0) for i in range(8)]
    assert len(set(nearest_to_canonical(stack(cameras)[0]))) == 6


def test_a_head_without_a_view_to_score_is_named(tiny_weights, spheres, tmp_path, monkeypatch):
    from infer import evaluate as module

    monkeypatch.setattr(module, "INPUT_VIEWS", 8)
    with pytest.raises(InputError, match=r"has 8 views.*views\.random"):
        evaluate_reconstructor(spheres, tiny_weights / "gslrm", tmp_path, split="all")
