"""`render_dataset` onto an object store: a driver is killed, another goes on."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ray_jobs.cluster import connect
from ray_jobs.events import Failure
from ray_jobs.failures import load_failures, write_failures
from ray_jobs.render import render_dataset
from synth import storage
from synth.dataset import Dataset
from synth.dataset_report import verify
from synth.sample import DatasetConfig, ViewsConfig
from synth.survey import list_shards

SYNTH = Path(__file__).parents[1] / "synth"
CONFIG = DatasetConfig(heads=6, size=16, samples=1, heads_per_shard=1, views=ViewsConfig(random=0))
DRIVER = """
import json, sys
from ray_jobs.cluster import connect
from ray_jobs.render import render_dataset
from synth.sample import DatasetConfig, ViewsConfig
config = DatasetConfig(heads=6, size=16, samples=1, heads_per_shard=1, views=ViewsConfig(random=0))
with connect(num_cpus=2):
    render_dataset(config, sys.argv[1], memory_bytes=10_000_000, command=json.loads(sys.argv[2]))
"""


def stub(**behaviour) -> tuple[str, ...]:
    return (sys.executable, str(SYNTH / "stub_worker.py"), json.dumps(behaviour))


@pytest.fixture
def server(tmp_path):
    spec = importlib.util.spec_from_file_location("headloom_s3_server", SYNTH / "s3_server.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.serve(tmp_path / "s3") as running:
        yield running


def test_a_list_of_failures_that_has_become_empty_goes(server):
    root = storage.place(server.url("heads"))
    failure = Failure("shard-000000.tar", 0, 1, "RenderInvalid", "black")
    write_failures(root, [failure])
    assert load_failures(root) == [failure]
    write_failures(root, [])
    assert load_failures(root) == []


@pytest.mark.ray
@pytest.mark.slow
def test_a_killed_driver_is_resumed_on_an_object_store(server):
    url = server.url("heads")
    command = [sys.executable, "-c", DRIVER, url, json.dumps(stub(sleep_s=2.0))]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    root = storage.place(url)
    try:
        deadline = time.monotonic() + 120
        while not list_shards(root):
            assert time.monotonic() < deadline, "no shard came"
            time.sleep(0.1)
    finally:
        driver.kill()
        driver.wait()
    with connect(num_cpus=2):
        summary = render_dataset(CONFIG, url, memory_bytes=10_000_000, command=stub())
    assert summary.heads == 6
    assert 0 < summary.rendered < 6
    dataset = Dataset.open(url)
    assert verify(dataset).ok
    assert storage.exists(dataset.root / "index.parquet")
    assert storage.exists(dataset.root / "contact.png")
