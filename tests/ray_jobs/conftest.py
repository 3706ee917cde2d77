"""Small datasets for the verbs of `headloom dataset`, made once."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from synth.dataset import Dataset
from synth.launch import render_shard
from synth.sample import DatasetConfig, ViewsConfig

STUB = Path(__file__).parents[1] / "synth" / "stub_worker.py"
SMALL = DatasetConfig(heads=13, size=16, samples=1, heads_per_shard=3, views=ViewsConfig(random=0))


def render_stub(root: Path, config: DatasetConfig) -> Dataset:
    """Render what is missing with discs for heads."""
    dataset = Dataset.create(root, config)
    for plan in dataset.plan():
        render_shard(
            plan.specs(config),
            plan.path,
            dataset_id=dataset.dataset_id,
            command=(sys.executable, str(STUB), json.dumps({})),
        )
    return dataset


@pytest.fixture(scope="session")
def rendered_once(tmp_path_factory) -> Path:
    """A dataset of 13 heads in 5 shards; nobody may write to it."""
    return render_stub(tmp_path_factory.mktemp("datasets") / "heads", SMALL).root


@pytest.fixture
def heads(rendered_once, tmp_path) -> Dataset:
    """The same, for one test to change."""
    shutil.copytree(rendered_once, tmp_path / "heads")
    return Dataset.open(tmp_path / "heads")
