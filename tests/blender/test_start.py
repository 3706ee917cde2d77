"""A worker with one thread uses one CPU, and may use any of them."""

from __future__ import annotations

import os

import pytest

pytestmark = pytest.mark.blender


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="the pool needs a second CPU")
def test_no_thread_spins_while_another_one_renders(run_scene):
    """With its pool, Blender spends a third to a half of its CPU time on a thread without work."""
    result = run_scene("start_scene.py")
    assert result["rendering_s"] > 0.3
    assert result["idle_s"] < 0.05 * result["rendering_s"]
    assert result["allowed_everywhere"]
