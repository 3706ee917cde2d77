"""Photos of two people that ship inside packages, and tiny weights."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import matplotlib
import pytest

from infer.config import LiftConfig, TurntableConfig, WeightsConfig


def load_helper(name: str):
    """A helper module beside this file; tests are not a package."""
    full = f"headloom_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).with_name(f"{name}.py"))
        module = importlib.util.module_from_spec(spec)
        sys.modules[full] = module
        spec.loader.exec_module(module)
    return sys.modules[full]


@pytest.fixture(scope="session")
def astronaut() -> Path:
    """NASA portrait of Eileen Collins, public domain, 512 x 512, the face 106 px high."""
    spec = importlib.util.find_spec("skimage")
    return Path(spec.submodule_search_locations[0]) / "data" / "astronaut.png"


@pytest.fixture(scope="session")
def admiral() -> Path:
    """US Navy portrait of Grace Hopper, public domain, 512 x 600, with glasses and a cap."""
    return Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


@pytest.fixture(scope="session")
def preprocessor():
    from infer.preprocess import PreprocessConfig, Preprocessor

    return Preprocessor(PreprocessConfig(size=128))


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory) -> Path:
    return load_helper("tiny_weights").write_tiny_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="session")
def tiny_config(tiny_weights) -> LiftConfig:
    return LiftConfig(
        device="cpu",
        weights=WeightsConfig(fallback=tiny_weights),
        turntable=TurntableConfig(frames=4, size_px=32, fps=4, spin_frames=4, spin_size_px=16),
    )


@pytest.fixture(scope="session")
def lifter(tiny_config):
    from infer.lifter import Lifter

    return Lifter(tiny_config)
