"""The numpy evaluation against anny itself (which needs torch and about a minute)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from synth.headmodel import HeadModel
from synth.headmodel_sculpt import SCULPTED
from synth.headmodel_shapes import ASYMMETRIES, EYEFOLD_CONTROLS, HEAD_FORMS
from synth.rng import stream
from synth.spec import Expression, Identity


@pytest.mark.slow
def test_base_vertices_equal_those_of_anny(tmp_path):
    model = HeadModel.load()
    ours = {*HEAD_FORMS, *EYEFOLD_CONTROLS, *SCULPTED, *(f"asym-{name}" for name in ASYMMETRIES)}
    controls = [label for label in model.local_labels if label not in ours]
    cases = []
    for number in range(3):
        rng = stream(7, number, "test.anny")
        names = ("gender", "muscle", "weight", "height", "proportions", "cupsize", "firmness")
        phenotype = {name: float(rng.random()) for name in names}
        phenotype["age"] = float(rng.uniform(-1 / 3, 1))
        phenotype |= {name: float(rng.random()) for name in ("african", "asian", "caucasian")}
        shape = {label: float(rng.uniform(-1, 1)) for label in controls}
        actions = {label: float(rng.random()) for label in model.action_labels[::5]}
        cases.append({"phenotype": phenotype, "shape": shape, "actions": actions})
    source, target = tmp_path / "cases.json", tmp_path / "vertices.npy"
    source.write_text(json.dumps(cases))
    script = Path(__file__).with_name("anny_reference.py")
    subprocess.run([sys.executable, str(script), str(source), str(target)], check=True)
    for case, expected in zip(cases, np.load(target)):
        identity = Identity("test", case["phenotype"], case["shape"], 30.0, "female")
        actual = model.rest_base_vertices(identity, Expression("test", case["actions"]))
        kept = np.isfinite(actual[:, 0])
        assert kept.sum() > 8000
        assert np.abs(actual - expected)[kept].max() < 1e-4
