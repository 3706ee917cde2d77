"""Loading Blender without its pool of threads; here with an empty module in its place."""

from __future__ import annotations

import os
import sys

import pytest

from synth.blender_scenes.start import import_blender


@pytest.fixture
def calls(tmp_path, monkeypatch) -> list[tuple[int, set[int]]]:
    """The affinities that are set; every thread but the first has ended when its turn comes."""
    (tmp_path / "bpy.py").write_text("import os; affinity = os.calls[-1]")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "bpy", raising=False)
    calls = []

    def set_affinity(task: int, cpus: set[int]) -> None:
        calls.append((task, set(cpus)))
        if task:
            raise ProcessLookupError(task)

    monkeypatch.setattr(os, "sched_setaffinity", set_affinity)
    monkeypatch.setattr(os, "sched_getaffinity", lambda task: {3, 5, 9})
    monkeypatch.setattr(os, "calls", calls, raising=False)
    yield calls
    sys.modules.pop("bpy", None)


def test_one_thread_sees_one_cpu_while_blender_is_loaded(calls):
    import_blender(1)
    task, cpus = sys.modules["bpy"].affinity
    assert task == 0 and len(cpus) == 1 and cpus < {3, 5, 9}
    assert (os.getpid(), {3, 5, 9}) in calls  # though threads have ended meanwhile


def test_several_threads_keep_their_cpus(calls):
    calls.append("nothing was set")
    import_blender(2)
    assert calls == ["nothing was set"] and "bpy" in sys.modules
