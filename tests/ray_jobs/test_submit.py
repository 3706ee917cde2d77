"""`headloom submit` against the job server of a real Ray, which runs the real command line."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

from ray_jobs import cli, submit
from ray_jobs.cli_flags import dataset_place, local_path
from synth.dataset import Dataset
from synth.dataset_report import verify
from synth.errors import ConfigError

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 90.0


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def processes_of(folder: str) -> list[int]:
    """Pids of the Ray that keeps its files in a folder of its own."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if folder.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def dashboard():
    """URL of a Ray that was started as on a head node, in the environment of this interpreter."""
    folder = tempfile.mkdtemp(prefix="hl-", dir="/tmp")  # Ray's sockets want short names
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block",
        f"--port={free_port()}", f"--dashboard-port={port}", "--include-dashboard=true",
        f"--ray-client-server-port={free_port()}",
        # the default is one port for every Ray of a machine; who comes second takes no jobs
        f"--dashboard-agent-listen-port={free_port()}",
        f"--temp-dir={folder}", "--num-cpus=2",
        f"--object-store-memory={80 * 2**20}", "--disable-usage-stats",
    ]  # fmt: skip
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    log = Path(folder, "start.log")
    with log.open("wb") as file:
        head = subprocess.Popen(command, env=environment, stdout=file, stderr=file, cwd=folder)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                urllib.request.urlopen(f"{url}/api/version", timeout=5).close()
                break
            except urllib.error.HTTPError:  # it wants the token, which Ray's client knows
                break
            except OSError:
                assert head.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
        yield url
    finally:
        head.terminate()
        try:
            head.wait(20)
        except subprocess.TimeoutExpired:
            head.kill()
        for pid in processes_of(folder):
            os.kill(pid, signal.SIGKILL)


def run(dashboard: str, *words: str) -> int:
    return cli.main(["submit", "--address", dashboard, *words])


pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_the_output_and_the_exit_code_are_those_of_the_command(dashboard, tmp_path, capfd):
    out = str(tmp_path / "heads")
    assert run(dashboard, "--", "render", "--out", out, "--heads", "3", "--dry-run") == 0
    captured = capfd.readouterr()
    assert captured.out.startswith("headloom-render-") and captured.out.count("\n") == 1
    assert "# plan: 3 of 3 heads to render into" in captured.err
    assert "address: auto" in captured.err  # there it knows its cluster

    assert run(dashboard, "--", "render", "--out", out, "--set", "haeds=3") == 1
    assert "did you mean 'heads'" in capfd.readouterr().err


def test_another_version_on_the_cluster_is_refused_before_anything_runs(
    dashboard, tmp_path, capfd, monkeypatch
):
    monkeypatch.setattr(submit, "installed_versions", lambda: (("bpy", "4.6.0"),))
    assert run(dashboard, "--", "render", "--out", str(tmp_path / "heads")) == 2
    assert "this cluster has bpy 4.5.15 instead of 4.6.0" in capfd.readouterr().err
    assert not (tmp_path / "heads").exists()


@pytest.mark.blender
def test_a_dataset_is_rendered_once_however_often_it_is_submitted(dashboard, tmp_path, capfd):
    out, config = tmp_path / "heads", tmp_path / "small.yaml"
    config.write_text("size: 16\nsamples: 1\nheads_per_shard: 1\nviews: {random: 0}\n")
    words = ("--", "render", "--config", str(config), "--out", str(out), "--heads", "2")
    assert run(dashboard, "--no-wait", *words) == 0
    first = capfd.readouterr()
    assert "submitted" in first.err
    assert run(dashboard, *words) == 0
    second = capfd.readouterr()
    assert "runs already" in second.err and second.out == first.out
    assert "2 of 2 heads, 2 rendered now" in second.err
    assert verify(Dataset.open(out)).ok and Dataset.open(out).config.size == 16
    assert run(dashboard, *words) == 0  # a new job, which has nothing to do
    third = capfd.readouterr()
    assert "2 of 2 heads, 0 rendered now" in third.err
    assert third.out.replace("-2\n", "-1\n") == first.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--", "doctor"), "submit runs render, train, lift, not doctor"),
        ((), "not nothing"),
        (("--", "render", "--out", "heads"), "render: heads (out) is a place on this machine"),
        (("--", "lift", "a.jpg", "--out", "/shared/x"), "lift: a.jpg (inputs) is a place on"),
        (("--", "render", "--out", "/x", "--address", "auto"), "the job runs on the cluster that"),
    ],
)
def test_what_cannot_run_over_there_is_refused_here(dashboard, words, message, capfd):
    assert run(dashboard, *words) == 1
    assert message in capfd.readouterr().err


def test_a_bucket_is_a_place_that_all_machines_see():
    arguments = cli.build_parser().parse_args(
        ["render", "--out", "s3://bucket/heads?region=eu-central-1"]
    )
    submit._require_shared_paths("render", arguments)


def test_a_setting_that_would_send_the_job_elsewhere_is_named(dashboard, monkeypatch, capfd):
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")
    assert run(dashboard, "--", "render", "--out", "/shared/heads") == 1
    assert "RAY_ADDRESS" in capfd.readouterr().err


def test_an_address_without_a_job_server_is_refused_at_once(capfd):
    words = ("--", "render", "--out", "/shared/heads")
    assert run("127.0.0.1:6379", *words) == 1
    assert "a job goes to the dashboard of the cluster, http://HOST:8265" in capfd.readouterr().err
    assert run("http://127.0.0.1:1", *words) == 1
    assert "no Ray answers at http://127.0.0.1:1" in capfd.readouterr().err


class StartingCluster:
    """A job server whose agents come up after a while."""

    def __init__(self, message: str, refusals: int):
        self.message, self.refusals, self.jobs = message, refusals, []

    def submit_job(self, **job) -> None:
        self.refusals -= 1
        if self.refusals >= 0:
            raise RuntimeError(f"Request failed with status code 500: {self.message}")
        self.jobs.append(job)


def test_a_cluster_that_has_just_started_is_waited_for(monkeypatch):
    starting = StartingCluster("No available agent to submit job, please try again later.", 2)
    submit._start(starting, pause_s=0.0, submission_id="x")
    assert starting.jobs == [{"submission_id": "x"}]
    with pytest.raises(ConfigError, match=r"refuses the job: .*disk"):
        submit._start(StartingCluster("the disk is full", 1), pause_s=0.0)
    monkeypatch.setattr(submit, "_AGENT_PATIENCE_S", -1.0)
    starting.refusals = 1
    with pytest.raises(ConfigError, match="takes no jobs"):
        submit._start(starting, pause_s=0.0)


def test_a_job_has_the_number_after_the_last_one():
    jobs = {"headloom-render-ab-2": "FAILED", "headloom-render-ab-10": "STOPPED",
            "headloom-render-abc-11": "RUNNING", None: "RUNNING"}  # fmt: skip
    server = SimpleNamespace(
        list_jobs=lambda: [SimpleNamespace(submission_id=i, status=s) for i, s in jobs.items()]
    )
    assert submit._job_of(server, "headloom-render-ab") == ("headloom-render-ab-11", False)
    jobs["headloom-render-ab-12"] = "PENDING"
    assert submit._job_of(server, "headloom-render-ab") == ("headloom-render-ab-12", True)
    assert submit._job_of(server, "headloom-train-ab") == ("headloom-train-ab-1", False)


@pytest.mark.parametrize("verb", submit.VERBS)
def test_every_flag_that_names_a_place_is_known(verb):
    (verbs,) = [a for a in cli.build_parser()._actions if hasattr(a, "choices") and a.choices]
    kinds = (Path, dataset_place, local_path)
    places = {action.dest for action in verbs.choices[verb]._actions if action.type in kinds}
    assert places and places <= set(submit._SHARED)


class FlakyServer:
    """A job server whose connection breaks after the first lines; each starts at the beginning."""

    def __init__(self, connections: list[list[str]], status: str, exit_code: int | None):
        self.connections = iter(connections)
        self.details = SimpleNamespace(status=status, driver_exit_code=exit_code, message="")

    async def tail_job_logs(self, _):
        for text in next(self.connections):
            if not text:
                raise ConnectionError("no route")
            yield text

    def get_job_info(self, _):
        return self.details


@pytest.mark.parametrize(
    ("status", "exit_code", "expected"),
    [("FAILED", 3, 3), ("STOPPED", None, 1), ("SUCCEEDED", None, 0)],
)
def test_output_goes_on_after_a_lost_connection(status, exit_code, expected, monkeypatch, capsys):
    monkeypatch.setattr(submit, "RECONNECT_S", 0.0)
    server = FlakyServer([["a\n", "b\n", ""], [""], ["a\nb\nc", "\n", "d\n"]], status, exit_code)
    assert asyncio.run(submit._follow(server, "job")) == expected
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if len(line) == 1] == ["a", "b", "c", "d"]
    assert sum("trying again" in line for line in lines) == 2


def test_a_cluster_that_stays_away_is_not_waited_for_for_ever(monkeypatch, capsys):
    monkeypatch.setattr(submit, "RECONNECT_S", 0.0)
    server = FlakyServer([[""]] * (submit.MAX_RECONNECTS + 1), "RUNNING", None)
    with pytest.raises(ConfigError, match="lost the cluster while job x ran: no route; the same"):
        asyncio.run(submit._follow(server, "x"))


@pytest.mark.parametrize("spelling", ["--config {}", "--config={}"])
def test_a_job_is_known_by_its_words_and_by_what_is_in_its_files(spelling, tmp_path, monkeypatch):
    jobs, carried = [], []

    def submit_job(**job) -> None:
        jobs.append(job)
        carried.append(Path(job["runtime_env"]["working_dir"], "config.yaml").read_text())

    server = SimpleNamespace(list_jobs=list, submit_job=submit_job)
    monkeypatch.setattr(submit, "_connect", lambda _: server)
    config = tmp_path / "mine.yaml"
    words = ["render", *spelling.format(config).split(), "--out", "/shared/heads"]
    for text in ("size: 16", "size: 16", "size: 32"):
        config.write_text(text)
        arguments = cli.build_parser().parse_args(words)
        submit.submit(words, arguments, "http://head:8265", wait=False)
    assert carried == ["size: 16", "size: 16", "size: 32"]
    first, again, other = (job["submission_id"] for job in jobs)
    assert first == again != other
    there = " ".join([*words, "--address", "auto"]).replace(str(config), "config.yaml")
    assert jobs[0]["entrypoint"].endswith(f" {there}")
