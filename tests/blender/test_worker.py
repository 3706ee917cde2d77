"""The worker with Blender in it: equal pixels everywhere, and none that outlives its parent."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from synth.errors import AssetError, RenderCrashed, RenderError, SpecError
from synth.ground_truth import PASSES, stored_passes
from synth.headmodel import HeadModel
from synth.landmarks import SPARSE_NAMES, locate
from synth.launch import render_shard
from synth.record import HeadRecord, ShardReader
from synth.sample import DatasetConfig, ViewsConfig, sample_head
from synth.spec import Light

CONFIG = DatasetConfig(
    size=32,
    samples=2,
    views=ViewsConfig(canonical=False, random=2, random_elevation_deg=(0, 20)),
    passes=tuple(PASSES),
)


@pytest.mark.blender
@pytest.mark.slow
def test_two_processes_with_other_threads_give_equal_pixels(tmp_path):
    specs = [sample_head(CONFIG, 0)]
    for threads in (1, 2):
        result = render_shard(specs, tmp_path / f"{threads}.tar", threads=threads, timeout_s=300)
        assert 200e6 < result.peak_rss_bytes < 1.6e9
    first, second = (ShardReader(tmp_path / f"{n}.tar").heads()[0] for n in (1, 2))
    assert first.spec_id == second.spec_id == specs[0].spec_id
    assert first.meta["pixel_sha256"] == second.meta["pixel_sha256"]
    assert len(set(first.meta["pixel_sha256"])) == 2
    assert not np.array_equal(first.rgba(0), np.zeros_like(first.rgba(0)))
    check_ground_truth(first, second)
    stages = first.meta["timings_s"]
    assert stages["head_s"] >= stages["build_s"] + stages["render_s"] > 0


def check_ground_truth(first: HeadRecord, second: HeadRecord) -> None:
    """Every pass is in the shard, equal in both, and tells of the same head as spec and cameras."""
    assert {*first.passes, "landmarks"} == set(stored_passes(PASSES))
    for name in set(PASSES) - {"landmarks"}:
        one, other = first.pass_image(name, 1), second.pass_image(name, 1)
        assert np.array_equal(one, other, equal_nan=one.dtype != np.uint8), name
    spec, model = first.spec, HeadModel.load()
    shape = model.shape(spec.identity, spec.expression, spec.pose)
    expected = locate(spec, model, shape)
    assert np.abs(first.landmarks.sparse - expected.sparse).max() < 1e-5
    assert np.array_equal(first.landmarks.dense_visibility, second.landmarks.dense_visibility)
    assert first.landmarks.sparse_visibility.shape == (2, len(SPARSE_NAMES))
    pose = first.meta["head"]
    world_from_head = np.array(pose["world_from_head"])
    assert np.allclose(world_from_head, shape.world_from_model @ shape.model_from_rest_head)
    scale = np.cbrt(np.linalg.det(world_from_head[:3, :3]))
    assert scale == pytest.approx(pose["units_per_metre"]) == shape.units_per_metre


PARENT = """
import sys
from synth.launch import render_shard
from synth.sample import DatasetConfig, ViewsConfig, sample_head
config = DatasetConfig(size=256, samples=512, views=ViewsConfig(random=100))
render_shard([sample_head(config, 0)], sys.argv[1])
"""


@pytest.mark.blender
def test_an_asset_of_another_version_is_refused(tmp_path):
    """The same spec must mean the same pixels, so other bytes under an asset's id are an error."""
    spec = sample_head(CONFIG, 0)
    changed = dataclasses.replace(spec.assets[0], sha256="0" * 64)
    spec = dataclasses.replace(spec, assets=(changed, *spec.assets[1:]))
    with pytest.raises(AssetError, match=f"{changed.asset_id}.*{'0' * 16}"):
        render_shard([spec], tmp_path / "s.tar", threads=1, timeout_s=120)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.blender
@pytest.mark.slow
def test_a_bad_head_costs_its_shard_mates_nothing(tmp_path):
    """Not even a pixel: the next head starts from an empty scene, whatever failed before it."""
    config = dataclasses.replace(CONFIG, passes=())
    dark, good, lost = (sample_head(config, index) for index in range(3))
    dark = dataclasses.replace(dark, light=Light("ambient", strength=0.0))
    changed = dataclasses.replace(lost.assets[0], sha256="0" * 64)
    lost = dataclasses.replace(lost, assets=(changed, *lost.assets[1:]))
    together = render_shard([dark, good, lost], tmp_path / "together.tar", timeout_s=300)
    assert together.spec_ids == (good.spec_id,)
    unlit, missing = together.absent
    assert "RenderInvalid" in unlit.reason and "not lit" in unlit.reason
    assert "AssetError" in missing.reason and changed.asset_id in missing.reason
    render_shard([good], tmp_path / "alone.tar", timeout_s=300)
    one, other = (ShardReader(tmp_path / f"{name}.tar").heads() for name in ("together", "alone"))
    assert one[0].meta["pixel_sha256"] == other[0].meta["pixel_sha256"]


@pytest.mark.blender
def test_a_limit_of_memory_is_told_and_worth_a_retry(tmp_path):
    """Before Cycles gets none, of which it says nothing: it renders the picture without a mesh."""
    spec = sample_head(dataclasses.replace(CONFIG, passes=()), 0)
    with pytest.raises(RenderCrashed, match=r"out of memory in .*may allocate 0.40 GB") as e:
        render_shard([spec], tmp_path / "s.tar", timeout_s=300, memory_limit_bytes=400_000_000)
    assert e.value.spec_id == spec.spec_id
    assert list(tmp_path.iterdir()) == []


@pytest.mark.blender
@pytest.mark.slow
def test_blender_dies_with_its_parent(tmp_path):
    (tmp_path / "jobs").mkdir()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "shards" / "s.tar")],
        env={**os.environ, "TMPDIR": str(tmp_path / "jobs")},
    )
    try:
        blender = wait_for(lambda: blender_under(tmp_path / "jobs"))
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: not Path(f"/proc/{blender}").exists() or zombie(blender), timeout_s=60.0)
    assert not (tmp_path / "shards" / "s.tar").exists()


def blender_under(jobs: Path) -> int | None:
    """Pid of the worker of a job directory, once Blender itself is loaded in it."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
            ours = (
                b"synth.blender_scenes.worker" in arguments and str(jobs).encode() in arguments[3]
            )
            if ours and b"/bpy/" in (entry / "maps").read_bytes():
                return int(entry.name)
        except OSError:
            continue
    return None


def zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"


def wait_for(condition, timeout_s: float = 120.0):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise TimeoutError(f"nothing after {timeout_s} s")


# ------------------------------------------------------------- the parts that need no Blender

PROBE = """
import json, os, sys
from pathlib import Path
from synth.blender_scenes.worker_errors import LogScanner, describe_error
from synth import errors
log = Path(sys.argv[1])
log.touch()
scanner = LogScanner(log)
answers = []
for line in json.loads(sys.argv[2]):
    with log.open("a") as file:
        file.write("Fra:1 Mem:20M | Rendering 1 / 2 samples\\n" + line + "\\n")
    try:
        scanner.raise_errors()
        answers.append(None)
    except errors.HeadloomError as error:
        answers.append(describe_error(error, "abcd"))
print(json.dumps(answers))
"""


def test_printed_errors_are_found_once_and_typed(tmp_path):
    lines = [
        "Saved: '/tmp/view.exr'",
        "Error: Shader graph: out of SVM stack space",
        "System is out of GPU memory",
        "Warning: terror is not an error",
        "IMB_load: cannot open image '/a/b.hdr'",
        "File not found: texture wood.png",
        "00:01 | Error something",
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(tmp_path / "log"), json.dumps(lines)],
        capture_output=True,
        check=True,
        timeout=60,
    )
    answers = json.loads(done.stdout)
    kinds = [answer and answer["type"] for answer in answers]
    asset, crash, error = AssetError.__name__, RenderCrashed.__name__, RenderError.__name__
    assert kinds == [None, error, crash, None, asset, asset, error]
    assert answers[1]["message"].startswith("head abcd: Blender reported: Error: Shader graph")


def test_a_spec_that_cannot_be_read_is_a_typed_error(tmp_path):
    job = {"out": str(tmp_path / "s.tar"), "threads": 1, "dataset_id": "", "device": "CPU"}
    spec = sample_head(CONFIG, 0).to_json_dict()
    spec["hair"]["style"] = "mullet"
    (tmp_path / "job.json").write_text(json.dumps(job))
    (tmp_path / "specs.jsonl").write_text(json.dumps(spec))
    (tmp_path / "worker.log").touch()
    command = [sys.executable, "-m", "synth.blender_scenes.worker", str(tmp_path), str(os.getpid())]
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == 1
    error = json.loads((tmp_path / "error.json").read_text())
    assert error["type"] == SpecError.__name__
    assert "'mullet' is not one of" in error["message"]
    assert not (tmp_path / "s.tar").exists()
