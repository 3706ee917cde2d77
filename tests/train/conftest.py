"""Tiny data and a tiny task, shared by the tests of training."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch


def _load(name: str):
    """A file beside this one as a module; tests are not a package, so it is loaded by its path."""
    module_name = f"headloom_test_{name}"
    if module_name not in sys.modules:
        path = Path(__file__).with_name(f"{name}.py")
        spec = importlib.util.spec_from_file_location(module_name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        spec.loader.exec_module(module)
    return sys.modules[module_name]


@pytest.fixture(scope="session")
def toy_module():
    return _load("toy")


@pytest.fixture(scope="session")
def resume_module():
    return _load("kill")


@pytest.fixture(scope="session")
def resume_check(resume_module):
    return resume_module.check_exact_resume


@pytest.fixture(scope="session")
def sphere_dataset(toy_module, tmp_path_factory) -> Path:
    """Root of a dataset of 4 coloured spheres, 8 views of 32 px each (six are canonical)."""
    return toy_module.make_dataset(tmp_path_factory.mktemp("spheres"))


@pytest.fixture(scope="session")
def heads(sphere_dataset):
    from train.data import HeadDataset

    return HeadDataset(sphere_dataset, "all", 16)


@pytest.fixture(scope="session")
def more_heads(toy_module, tmp_path_factory):
    from train.data import HeadDataset

    root = toy_module.make_dataset(tmp_path_factory.mktemp("more"), heads=5)
    return HeadDataset(root, "all", 16)


@pytest.fixture
def toy(toy_module):
    """A toy task from keyword arguments of `ToyConfig` and `TrainConfig`, on one thread."""
    torch.set_num_threads(1)

    def make(*, width=8, poison_batch=None, **options):
        from train.loop import TrainConfig

        options = {"steps": 4, "batch_size": 2, "warmup_steps": 1, "learning_rate": 1e-3} | options
        config = toy_module.ToyConfig(
            width=width, poison_batch=poison_batch, train=TrainConfig(**options)
        )
        return toy_module.ToyTask(config)

    return make
