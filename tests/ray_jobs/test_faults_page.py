"""docs/faults.md names a test for every fault; they exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "faults.md").read_text()


def names_in(path: str) -> set[str]:
    """The tests that a file defines."""
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_test_that_the_page_names_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 20
    missing = [f"{path}::{name}" for path, name in named if name not in names_in(path)]
    assert missing == []


def test_every_fault_has_a_test_and_every_test_of_faults_is_on_the_page():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")][2:]
    assert [row for row in rows if "::test_" not in row] == []
    module = {name for name in names_in("tests/ray_jobs/test_faults.py") if name[:5] == "test_"}
    assert module - set(re.findall(r"test_faults\.py::(\w+)", PAGE)) == set()
