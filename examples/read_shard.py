"""A shard without Headloom: who is on it, and where a point of the world is seen in every view.

python read_shard.py heads/shards/shard-000000.tar
"""

import json
import sys
import tarfile

import imageio.v3 as iio
import numpy as np

with tarfile.open(sys.argv[1]) as shard:
    for name in [name for name in shard.getnames() if name.endswith(".cameras.json")]:
        key = name.partition(".")[0]
        spec = json.load(shard.extractfile(f"{key}.spec.json"))
        print(key, spec["identity"]["identity_id"])
        for view, camera in enumerate(json.load(shard.extractfile(name))):
            rgba = iio.imread(shard.extractfile(f"{key}.rgba_{view:03d}.png").read())
            x, y, z = (
                np.array(camera["K"]) @ (np.array(camera["cam_from_world"]) @ [0, 0, 0, 1])[:3]
            )
            print(f"  {camera['name']} {rgba.shape} sees the origin at {x / z:.1f}, {y / z:.1f}")
