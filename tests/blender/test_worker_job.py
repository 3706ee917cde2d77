"""What a worker refuses, and how many CPUs it uses."""

from __future__ import annotations

import errno
import os

import pytest

pytestmark = pytest.mark.blender


@pytest.fixture(scope="module")
def result(run_scene):
    return run_scene("worker_job_scene.py")


@pytest.mark.parametrize(
    "check, message",
    [("scene", "projects to"), ("light", "the face is not lit"), ("views", "view 'far'")],
)
def test_a_worker_refuses_a_head_that_fails_a_check(result, check, message):
    error = result["refused"][check]
    assert error.startswith("RenderInvalid: ") and message in error, error


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="the pool needs a second CPU")
def test_no_thread_spins_while_another_one_renders(result):
    """With its pool, Blender spends a third to a half of its CPU time on a thread without work."""
    threads = result["threads"]
    assert threads["rendering_s"] > 0.3
    assert threads["idle_s"] < 0.05 * threads["rendering_s"]
    assert result["allowed_everywhere"]


def test_an_error_that_cycles_only_prints_is_raised(run_scene):
    error = run_scene("printed_error_scene.py")
    assert error.startswith("RenderError: view "), error
    assert "SVM stack" in error


def test_a_disk_that_fills_while_blender_writes_is_no_fault_of_the_head(run_scene):
    """Blender prints at most, and what it leaves is half a file, or that of the view before."""
    result = run_scene("full_disk_scene.py")
    for error in result.values():
        assert error.startswith(f"OSError {errno.EIO}: "), error
