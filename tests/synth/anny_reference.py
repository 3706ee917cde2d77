"""Run as a script: evaluates anny itself for the specs in argv[1], writes vertices to argv[2]."""

import json
import sys
from pathlib import Path

import anny
import numpy as np
import torch
from anny.models.model_data import TopologyConfig


def main(source: str, target: str) -> None:
    torch.set_num_threads(2)
    topology = TopologyConfig(
        base_mesh="makehuman",
        nudity_edits=False,
        remove_unattached_vertices=False,
        triangulate_faces=False,
    )
    model = anny.Anny(
        topology=topology,
        local_changes="all",
        facial_actions="all",
        phenotypes="all",
        phenotype_blendshapes="original",
    )
    vertices = []
    for case in json.loads(Path(source).read_text()):
        _, *parameters = model.get_tensor_inputs(
            None, case["phenotype"], case["shape"], case["actions"]
        )
        weights = model._get_phenotype_blendshape_coefficients(*parameters)
        vertices.append(model.get_rest_vertices(weights)[0].numpy())
    np.save(target, np.stack(vertices))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
