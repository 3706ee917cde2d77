"""One `render_dataset` in a process of its own, for the benches: prints its times as a RESULT line.

python tests/bench/farm_run.py CONFIG_JSON OUT TIMES_DIRECTORY WORKERS THREADS
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from ray_jobs.cluster import connect
from ray_jobs.render import render_dataset
from synth.config import from_dict
from synth.sample_config import DatasetConfig


def main(config_json: str, out: str, times: str, workers: str, threads: str) -> None:
    config = from_dict(DatasetConfig, json.loads(config_json))
    Path(times).mkdir(parents=True)
    worker = str(Path(__file__).with_name("timed_worker.py"))
    started = time.time()
    with connect(num_cpus=int(workers) * int(threads)):
        connected = time.time()
        summary = render_dataset(
            config,
            out,
            workers=int(workers),
            threads=int(threads),
            quiet=True,
            command=(sys.executable, worker, times),
        )
        finished = time.time()
    result = {
        "connect_s": connected - started,
        "render_s": finished - connected,
        "leave_s": time.time() - finished,
        "failed": [str(failure) for failure in summary.failed],
        "rendered_from": connected,
    }
    print("RESULT " + json.dumps(result), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
