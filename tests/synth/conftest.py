"""A small dataset to export and import, shared by the tests of both."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def heads_module():
    """`export_heads.py`; tests are not a package, so it is loaded by its path."""
    name = "headloom_test_export_heads"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            name, Path(__file__).with_name("export_heads.py")
        )
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def heads_dataset(heads_module, tmp_path_factory):
    """Three heads, eleven views, with depth and landmarks; read only."""
    return heads_module.make_dataset(tmp_path_factory.mktemp("export") / "heads")
