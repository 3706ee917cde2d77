"""Small datasets for the verbs of `headloom dataset`, made once."""

from __future__ import annotations

import dataclasses
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


def render_stub(root: Path, config: DatasetConfig = SMALL) -> Dataset:
    """Render what is missing of a dataset, with discs for heads."""
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
def render():
    """`render_stub`; tests are no package to import it from."""
    return render_stub


@pytest.fixture(scope="session")
def rendered_once(tmp_path_factory) -> Path:
    """A dataset of 13 heads in 5 shards; nobody may write to it."""
    return render_stub(tmp_path_factory.mktemp("datasets") / "heads").root


@pytest.fixture(scope="session")
def other_once(tmp_path_factory) -> Path:
    """Five heads of the same seed, thus with the same identities, and of another configuration."""
    config = dataclasses.replace(SMALL, heads=5, size=8, heads_per_shard=2)
    return render_stub(tmp_path_factory.mktemp("datasets") / "other", config).root


def _copy(source: Path, target: Path) -> Dataset:
    shutil.copytree(source, target)
    return Dataset.open(target)


@pytest.fixture
def heads(rendered_once, tmp_path) -> Dataset:
    """The thirteen heads, for one test to change."""
    return _copy(rendered_once, tmp_path / "heads")


@pytest.fixture
def other(other_once, tmp_path) -> Dataset:
    """The five heads, for one test to change."""
    return _copy(other_once, tmp_path / "other")
