"""The files in deploy/ are valid as far as a machine without a cluster can tell."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ray_jobs import cli, submit
from ray_jobs.doctor import SYSTEM_LIBRARIES

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FIELDS = yaml.safe_load(Path(__file__).with_name("kuberay_fields.yaml").read_text())
KUBERAY = sorted(DEPLOY.glob("kuberay-*.yaml"))
QUANTITY = re.compile(r"\d+(\.\d+)?(m|Ki|Mi|Gi|Ti|k|M|G|T)?")


def problems(value: Any, kind: Any, where: str) -> list[str]:
    """What Kubernetes would refuse of a value of a kind named in `kuberay_fields.yaml`."""
    if isinstance(kind, list):
        if not isinstance(value, list):
            return [f"{where}: expected a list"]
        return [p for i, v in enumerate(value) for p in problems(v, kind[0], f"{where}[{i}]")]
    if kind in ("strings", "quantities"):
        if not isinstance(value, dict):
            return [f"{where}: expected a mapping"]
        each = "str" if kind == "strings" else "quantity"
        return [p for k, v in value.items() for p in problems(v, each, f"{where}.{k}")]
    if kind == "quantity":
        good = isinstance(value, str) and QUANTITY.fullmatch(value)
        return [] if good else [f"{where}: {value!r} is no quantity in quotes"]
    if kind in ("str", "int", "bool"):
        right = {"str": str, "int": int, "bool": bool}[kind]
        return [] if type(value) is right else [f"{where}: {value!r} is not of type {kind}"]
    fields = {name.rstrip("!"): of for name, of in FIELDS[kind].items()}
    needed = {name.rstrip("!") for name in FIELDS[kind] if name.endswith("!")}
    found = [f"{where}: no field {name!r}" for name in needed - value.keys()]
    for name, inner in value.items():
        if name not in fields:
            found.append(f"{where}: unknown field {name!r} of {kind}")
        else:
            found += problems(inner, fields[name], f"{where}.{name}")
    return found


def kuberay_spec(path: Path) -> dict[str, Any]:
    data = yaml.safe_load(path.read_text())
    return data["spec"] if data["kind"] == "RayCluster" else data["spec"]["rayClusterSpec"]


@pytest.mark.parametrize("path", KUBERAY, ids=lambda path: path.name)
def test_kuberay_objects_have_the_fields_of_their_kind(path):
    data = yaml.safe_load(path.read_text())
    assert data["apiVersion"] == "ray.io/v1"
    assert problems(data, data["kind"], path.name) == []


@pytest.mark.parametrize("path", KUBERAY, ids=lambda path: path.name)
def test_kuberay_pods_are_consistent(path):
    spec = kuberay_spec(path)
    for group in [spec["headGroupSpec"], *spec["workerGroupSpecs"]]:
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes
        resources = container["resources"]
        assert resources["requests"] == resources["limits"]  # Ray takes the limits for its own
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_the_check_of_fields_finds_mistakes():
    text = (DEPLOY / "kuberay-cluster.yaml").read_text()
    for before, after, message in (
        ("minReplicas: 0", "minReplica: 0", "unknown field 'minReplica'"),
        ("groupName: cpu", "replicas: 1", "no field 'groupName'"),
        ('num-cpus: "0" ', "num-cpus: 0 ", "0 is not of type str"),
        ("memory: 40Gi", "memory: 40GB", "'40GB' is no quantity"),
    ):
        assert before in text
        data = yaml.safe_load(text.replace(before, after, 1))
        assert any(message in problem for problem in problems(data, "RayCluster", "x")), message


def test_the_launcher_file_fits_rays_own_schema():
    import ray.autoscaler

    schema = json.loads(Path(ray.autoscaler.__file__).with_name("ray-schema.json").read_text())
    data = yaml.safe_load((DEPLOY / "aws-spot.yaml").read_text())
    jsonschema.validate(data, schema)
    assert data["head_node_type"] in data["available_node_types"]
    (spot,) = [t for n, t in data["available_node_types"].items() if n != data["head_node_type"]]
    assert spot["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert spot["min_workers"] == 0 and spot["max_workers"] <= data["max_workers"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**data, "max_worker": 3}, schema)


def test_versions_are_our_pins():
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line
    )
    for path in KUBERAY:
        assert kuberay_spec(path)["rayVersion"] == pins["ray"] == metadata.version("ray")
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert f"torch=={pins['torch']}" in dockerfile
    assert re.search(r"^FROM python:3\.11-", dockerfile, re.MULTILINE)
    assert set(SYSTEM_LIBRARIES.values()) <= set(dockerfile.split())
    for path in [*KUBERAY, DEPLOY / "aws-spot.yaml", DEPLOY / "Dockerfile"]:
        for version in re.findall(r"REGISTRY/headloom:(\S+)", path.read_text()):
            assert version == metadata.version("headloom"), path


def test_what_the_dockerfile_copies_is_there():
    copies = re.findall(r"^COPY (.+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    names = [name for line in copies for name in line.split()[:-1]]
    assert {"synth", "train", "infer", "ray_jobs"} <= set(names)
    assert all((ROOT / name).exists() for name in names)


def commands() -> list[str]:
    """Every `headloom ...` in deploy/: in comments, and as the entrypoint of a job."""
    found = []
    for path in sorted(DEPLOY.iterdir()):
        found += re.findall(r"^(?:#? +)?(headloom \S.*)$", path.read_text(), re.MULTILINE)
    return found


@pytest.mark.parametrize("command", commands())
def test_commands_are_ours(command):
    words = shlex.split(command.removesuffix(' "$@" &'))
    arguments = cli.build_parser().parse_args(words[1:])
    if words[1] == "submit":
        inner = arguments.command[1:]
        assert inner[0] in submit.VERBS
        arguments = cli.build_parser().parse_args(inner)
    assert arguments.run.__name__ == "render"
    if arguments.cluster is not None:
        from ray_jobs.commands import cluster_config

        assert cluster_config(arguments).autoscaling


def test_there_are_commands_to_check():
    assert len(commands()) == 4


FAKES = {
    "activate": 'PATH="$(dirname "${BASH_SOURCE[0]}"):$PATH"',
    "ray": """
        echo "ray $*" >> "$LOG"
        [[ ! -e $LOG.no-ray ]] || exit 3
        if [[ $* == *--head* ]]; then
            mkdir "$scratch"
            echo 10.0.0.1:77 > "$scratch/ray_current_cluster"
        fi
        trap 'echo "ray ended" >> "$LOG"; exit 0' TERM
        sleep 60 & wait""",
    "srun": 'echo "srun $*" >> "$LOG"; while [[ $1 == -* ]]; do shift; done; exec "$@"',
    "scontrol": 'echo "scontrol $*" >> "$LOG"',
    "headloom": """
        echo "headloom $*" >> "$LOG"
        trap 'echo "headloom ended" >> "$LOG"; exit 130' TERM
        sleep ${HEADLOOM_S:-60} & wait""",
}
"""Stand-ins for what `deploy/slurm.sh` calls; each writes down how it was called."""


@pytest.fixture
def slurm(tmp_path):
    """Starts the script as SLURM would, with stand-ins for SLURM, Ray and Headloom."""
    (tmp_path / "bin").mkdir()
    for name, text in FAKES.items():
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
    log = tmp_path / "log"

    def start(**variables: str) -> subprocess.Popen:
        job_id = f"{os.getpid()}0"
        variables |= {
            "SLURM_JOB_ID": job_id, "SLURM_CPUS_PER_TASK": "4", "SLURM_MEM_PER_NODE": "8000",
            "SLURM_JOB_NUM_NODES": "3", "SLURMD_NODENAME": "n1", "VENV": str(tmp_path),
            "LOG": str(log),
        }  # fmt: skip
        return subprocess.Popen(
            ["bash", str(DEPLOY / "slurm.sh"), "/shared/heads", "--heads", "9"],
            env={**os.environ, **variables}, start_new_session=True,
        )  # fmt: skip

    start.log = log
    return start


def wait_for_line(log: Path, line: str) -> None:
    deadline = time.monotonic() + 20
    while not (log.exists() and line in log.read_text()):
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def test_a_slurm_job_ends_with_the_command_and_leaves_nothing(slurm):
    job = slurm(HEADLOOM_S="1")
    assert job.wait(20) == 0
    lines = slurm.log.read_text().splitlines()
    (head,) = [line for line in lines if "--head" in line and line.startswith("ray")]
    assert "--num-cpus=4 --memory=7200000000" in head and "agent-listen-port=0" in head
    assert "headloom render --address 10.0.0.1:77 --out /shared/heads --heads 9" in lines
    (step,) = [line for line in lines if line.startswith("srun")]
    assert "--nodes=2 --ntasks=2 --exclude=n1 --cpus-per-task=4" in step
    assert any(line.startswith("ray start --address=10.0.0.1:77 --num-cpus=4") for line in lines)
    assert lines.count("ray ended") == 2 and "scontrol" not in slurm.log.read_text()
    assert not Path(f"/tmp/ray-{os.getpid()}0").exists()


@pytest.mark.parametrize(("sent", "queued"), [(signal.SIGUSR1, True), (signal.SIGTERM, False)])
def test_a_slurm_job_is_queued_again_when_its_time_is_over_and_not_when_it_is_cancelled(
    slurm, sent, queued
):
    job = slurm()
    wait_for_line(slurm.log, "headloom render")
    wait_for_line(slurm.log, "ray start --address")
    job.send_signal(sent)
    assert job.wait(20) == 130
    lines = slurm.log.read_text().splitlines()
    assert lines.count("headloom ended") == 1 and lines.count("ray ended") == 2
    assert (f"scontrol requeue {os.getpid()}0" in lines) == queued


def test_a_slurm_job_whose_ray_does_not_start_fails(slurm):
    slurm.log.with_name("log.no-ray").touch()
    assert slurm().wait(20) != 0
    assert "headloom" not in slurm.log.read_text()
