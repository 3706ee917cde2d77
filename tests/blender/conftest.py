"""Runs scripts that need Blender in their own process, and shares a head model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from synth.headmodel import HeadModel, HeadShape
from synth.sample import DatasetConfig, sample_head
from synth.spec import HeadSpec

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def run_scene(tmp_path_factory: pytest.TempPathFactory):
    """run_scene("x_scene.py", *arguments) -> the JSON that the script wrote."""

    def run(script: str, *arguments: str) -> Any:
        out = tmp_path_factory.mktemp("scene") / "result.json"
        done = subprocess.run(
            [sys.executable, str(HERE / script), str(out), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert out.exists(), done.stdout[-3000:] + done.stderr[-3000:]
        return json.loads(out.read_text())

    return run


@pytest.fixture(scope="session")
def model() -> HeadModel:
    return HeadModel.load()


@pytest.fixture(scope="session")
def spec() -> HeadSpec:
    return sample_head(DatasetConfig(size=64, samples=2), 2)


@pytest.fixture(scope="session")
def shape(model: HeadModel, spec: HeadSpec) -> HeadShape:
    return model.shape(spec.identity, spec.expression, spec.pose)
