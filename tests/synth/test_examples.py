"""The examples run as they stand, without Headloom on the path."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "read_shard.py"


def test_a_shard_is_read_without_headloom(heads_dataset, tmp_path):
    assert not re.search(r"^(import|from) (synth|train|infer)", EXAMPLE.read_text(), re.MULTILINE)
    path = heads_dataset.shard_paths()[0]
    command = [sys.executable, "-I", str(EXAMPLE), str(path)]
    output = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    lines = output.stdout.splitlines()
    heads = list(heads_dataset.heads())[:2]
    assert [line.split()[0] for line in lines if line[0] != " "] == [h.spec_id for h in heads]
    size = heads[0].cameras[0].width
    assert f"  front ({size}, {size}, 4) sees the origin at {size / 2:.1f}, {size / 2:.1f}" in lines
    assert len(lines) == 2 * (1 + len(heads[0].cameras))
