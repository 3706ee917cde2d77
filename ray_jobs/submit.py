"""`headloom submit`: runs a command of Headloom on a cluster, as a Ray job, and follows it.

The job is the same command with `--address auto`, started on the cluster's head node by Ray's job
server. It lives on when this process ends; the same command finds it again.

    python -m ray_jobs.submit VERSIONS_JSON VERB ARGUMENTS...

is how it starts over there: after a check that both sides have the same versions.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ray_jobs.cluster import TOKEN_REMEDY, check_reachable, prepare_environment
from ray_jobs.node_check import installed_versions, version_differences
from synth.errors import ConfigError

VERBS = ("render", "train", "lift")
"""The commands that distribute their work."""
RECONNECT_S, MAX_RECONNECTS = 5.0, 60
_CARRIED = ("config", "cluster")
"""Flags that may name a local YAML file; it travels with the job."""
_SHARED = ("out", "data", "inputs", "vae", "diffusion", "gslrm", "fallback_weights")
"""Flags that name a place which the machines of the cluster must see."""
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_NO_AGENT = "No available agent"
"""What Ray's job server says while a cluster starts."""
_AGENT_PATIENCE_S = 90.0


@dataclass(frozen=True)
class Submission:
    """A job that was submitted, or found running.

    Attributes:
        job_id: of Ray.
        found: it ran already.
        exit_code: of the command; None while it runs.
    """

    job_id: str
    found: bool
    exit_code: int | None = None


def submit(
    words: Sequence[str],
    arguments: argparse.Namespace,
    address: str,
    *,
    wait: bool = True,
    python: str = "python",
) -> Submission:
    """Run a command on a cluster, or find the job that already runs it.

    Args:
        words: the command, `render --out ...`.
        arguments: the same, parsed: it was checked here before it travels.
        address: of the cluster's dashboard, `http://HOST:8265`.
        wait: print its output on stderr until it ends.
        python: the interpreter on the cluster.

    Raises:
        ConfigError: no job server answers, or the command names files that only this machine has.
    """
    client = _connect(address)
    _require_shared_paths(words[0], arguments)
    with _carried_files(words, arguments) as (carried_words, directory):
        digest = hashlib.sha256(json.dumps(carried_words).encode())
        for path in sorted(directory.iterdir()):
            digest.update(path.read_bytes())
        job_id, found = _job_of(client, f"headloom-{words[0]}-{digest.hexdigest()[:10]}")
        if not found:
            versions = json.dumps(dict(installed_versions()))
            command = [python, "-m", "ray_jobs.submit", versions, *carried_words]
            _start(
                client,
                entrypoint=shlex.join(command),
                submission_id=job_id,
                runtime_env={"working_dir": str(directory)} if any(directory.iterdir()) else None,
                metadata={"headloom": shlex.join(words)},
            )
    state = "runs already" if found else "submitted"
    print(f"job {job_id} {state}; its page: {address.rstrip('/')}/#/jobs/{job_id}", file=sys.stderr)
    if not wait:
        return Submission(job_id, found)
    try:
        return Submission(job_id, found, asyncio.run(_follow(client, job_id)))
    except KeyboardInterrupt:
        print(
            f"\nthe job goes on; the same command follows it again, and it ends with: "
            f"ray job stop {job_id} --address {address}",
            file=sys.stderr,
        )
        raise


def _job_of(client, prefix: str) -> tuple[str, bool]:
    """The id of the job that runs a command now, and True; or one for the next, and False."""
    jobs = {job.submission_id or "": str(job.status) for job in client.list_jobs()}
    earlier = [job_id for job_id in jobs if job_id.startswith(f"{prefix}-")]
    for job_id in earlier:
        if jobs[job_id] not in _ENDED:
            return job_id, True
    numbers = [int(job_id.rpartition("-")[2]) for job_id in earlier]  # old ones may be deleted
    return f"{prefix}-{max(numbers, default=0) + 1}", False


def _start(client, *, pause_s: float = 2.0, **job) -> None:
    """Hand a job to the server; a cluster that has just started may not have its agents yet.

    Args:
        client: of the job server.
        pause_s: between two attempts.
        job: arguments of `submit_job`.

    Raises:
        ConfigError: it was refused, or no agent took it for a minute and a half.
    """
    deadline = time.monotonic() + _AGENT_PATIENCE_S
    while True:
        try:
            client.submit_job(**job)
            return
        except RuntimeError as error:
            if _NO_AGENT not in str(error):
                raise ConfigError(f"the cluster refuses the job: {error}") from error
            if time.monotonic() > deadline:
                raise ConfigError(
                    f"the cluster takes no jobs: {error}; most likely another Ray on the head's "
                    "machine (`headloom render` without --address has one) held port 52365 when "
                    "it started; start the head with --dashboard-agent-listen-port=0"
                ) from error
        time.sleep(pause_s)


def _connect(address: str):
    if not address.startswith(("http://", "https://")):
        raise ConfigError(
            f"--address {address}: a job goes to the dashboard of the cluster, http://HOST:8265; "
            "to drive a cluster from one of its own nodes: headloom render --address auto"
        )
    check_reachable(address)
    prepare_environment()
    try:
        import aiohttp  # noqa: F401 - Ray's client says it less clearly
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise ConfigError(
            f"submitting jobs needs a package that is not installed ({error.name}); "
            "pip install 'headloom[cluster]'"
        ) from error
    import ray
    from ray._private.authentication import authentication_token_setup
    from ray.dashboard.utils import get_address_for_submission_client

    if (elsewhere := get_address_for_submission_client(address)) != address:
        raise ConfigError(
            f"--address {address}, but RAY_ADDRESS or RAY_API_SERVER_ADDRESS in the environment "
            f"would send the job to {elsewhere}; unset it"
        )
    # Ray's own commands do this too; its client sends the token of this machine only if told to.
    authentication_token_setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    try:
        client = JobSubmissionClient(address)
    except ray.exceptions.AuthenticationError as error:
        raise ConfigError(TOKEN_REMEDY.format(address=address)) from error
    except (ConnectionError, RuntimeError) as error:
        raise ConfigError(f"no job server of Ray at {address}: {error}") from error
    return client


def _require_shared_paths(verb: str, arguments: argparse.Namespace) -> None:
    """A path that is relative here would be another place over there."""
    for name in _SHARED:
        value = getattr(arguments, name, None)
        for place in value if isinstance(value, list) else [value]:
            if place is None or "://" in str(place) or Path(place).is_absolute():
                continue
            raise ConfigError(
                f"{verb}: {place} ({name}) is a place on this machine; a job needs one that all "
                "machines of the cluster see: an absolute path on a shared disk, or an object "
                "store (s3://...)"
            )
    if getattr(arguments, "address", None) is not None:
        raise ConfigError(f"{verb} --address: the job runs on the cluster that it is submitted to")


@contextmanager
def _carried_files(words: Sequence[str], arguments: argparse.Namespace):
    """The command as it will run over there, and a folder with the local files it names."""
    words = [*words, "--address", "auto"]
    with tempfile.TemporaryDirectory(prefix="headloom-submit-") as name:
        directory = Path(name)
        for flag in _CARRIED:
            value = getattr(arguments, flag, None)
            if value is None or not Path(value).is_file():
                continue  # a preset
            target = directory / f"{flag}.yaml"
            shutil.copy(value, target)
            words = [word if word != str(value) else target.name for word in words]
            words = [w if w != f"--{flag}={value}" else f"--{flag}={target.name}" for w in words]
        yield words, directory


async def _follow(client, job_id: str) -> int:
    """Print the output of a job until it ends, over lost connections; returns its exit code."""
    import aiohttp

    printed, lost = 0, 0
    while True:
        position = 0  # every connection starts at the beginning of the log
        try:
            async for text in client.tail_job_logs(job_id):
                print(text[max(0, printed - position) :], end="", file=sys.stderr, flush=True)
                position += len(text)
                printed, lost = max(printed, position), 0
            details = client.get_job_info(job_id)
        except (OSError, RuntimeError, aiohttp.ClientError) as error:
            lost += 1
            if lost > MAX_RECONNECTS:
                raise ConfigError(
                    f"lost the cluster while job {job_id} ran: {error}; the same command finds "
                    "the job again, or starts it again on a cluster that was started again"
                ) from error
            print(f"lost the job's output ({error}); trying again", file=sys.stderr)
            await asyncio.sleep(RECONNECT_S)
            continue
        if str(details.status) in _ENDED:
            print(f"job {job_id}: {details.status}: {details.message}", file=sys.stderr)
            if details.driver_exit_code is not None:
                return details.driver_exit_code
            return 0 if str(details.status) == "SUCCEEDED" else 1
        await asyncio.sleep(1.0)


def main(argv: Sequence[str]) -> int:
    """On the cluster: check the versions against those of the submitter, then run the command."""
    from ray_jobs import cli

    versions, *words = argv
    differing = version_differences(json.loads(versions).items())
    if differing:
        print(
            f"headloom: this cluster has {differing} (the machine that submitted); "
            "install the same versions on both",
            file=sys.stderr,
        )
        return 2
    return cli.main(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
