"""`poise submit` against a real head node that asks for a token."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.waiting import wait_until

pytestmark = [pytest.mark.ray, pytest.mark.slow]

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Head:
    """A head node of our own, and the environment that may talk to it."""

    url: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    folder = tmp_path_factory.mktemp("head")
    port = _free_port()
    # Ray puts sockets into its folder, whose paths may have 107 bytes; pytest's folders are longer.
    with tempfile.TemporaryDirectory(prefix="poise-", dir="/tmp") as sockets:
        environment = _environment(folder, Path(sockets))
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                _start_command(port),
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            _wait_for(f"http://127.0.0.1:{port}/api/gcs_healthz", process, folder / "log")
            yield Head(f"http://127.0.0.1:{port}", environment)
        finally:
            _stop(process)


def _environment(folder: Path, sockets: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return inherited | {
        "HOME": str(folder),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_TMPDIR": str(sockets),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "POISE_HOME": str(folder / "runs"),
    }


def _start_command(dashboard_port: int) -> list[str]:
    ray = str(Path(sys.executable).parent / "ray")
    options = {
        "port": _free_port(),
        "dashboard-port": dashboard_port,
        "dashboard-host": "127.0.0.1",
        "node-ip-address": "127.0.0.1",
        "ray-client-server-port": _free_port(),
        "dashboard-agent-listen-port": _free_port(),
        "num-cpus": 1,
        "object-store-memory": 100_000_000,
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [ray, "start", "--head", "--block", *flags]


def _free_port() -> int:
    """A port outside those that Ray gives to its workers (10002 to 19999)."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port >= 20000:
            return port


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url).close()
        except OSError:
            return False
        return True

    wait_until(answers)


def _stop(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _submit(head: Head, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "poise.cli.main", "submit", *words],
        env=head.environment | variables,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )


def _with_client(head: Head, code: str, **variables: str) -> str:
    """What ``code`` prints, run beside a client of the head node.

    In a process of its own: Ray reads its authentication mode once per process.
    """
    opening = f"""
from pathlib import Path
from poise.cluster.address import ClusterAddress
from poise.cluster.jobs import connect, follow, submit
from poise.cluster.job_files import Job, package_command
cluster = ClusterAddress({head.url!r}, "the test")
client = connect(cluster)
"""
    return subprocess.run(
        [sys.executable, "-c", opening + code],
        env=head.environment | variables,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def test_a_command_runs_on_the_cluster_with_this_folders_code_and_no_data(head: Head) -> None:
    result = _submit(head, "--address", head.url, "--", "doctor", "--json")
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    first, _, output = result.stdout.partition("\n")
    assert first.startswith("job doctor-")
    findings = json.loads(output[output.index("\n{") : output.rindex("}") + 1])["findings"]
    by_name = {finding["name"]: finding["found"] for finding in findings}
    assert "Poise" in by_name["ray"], "a worker of the cluster could not import the package"
    assert str(head.environment["POISE_HOME"]) in by_name["disk"]


def test_a_failed_job_passes_its_exit_status_on_and_its_name_is_taken(head: Head) -> None:
    words = ("--name", "twice", "--", "doctor", "--no-such-option")
    failed = _submit(head, *words, RAY_ADDRESS=head.url)
    assert failed.returncode == 2
    assert "--no-such-option" in failed.stdout
    assert failed.stderr == "job twice failed with exit status 2\n"

    again = _submit(head, *words, RAY_ADDRESS=head.url)
    assert again.returncode == 2
    assert again.stderr.startswith("error: --name twice: ")
    assert len(again.stderr.splitlines()) == 1


def test_ctrl_c_stops_following_and_the_job_runs_on(head: Head) -> None:
    follower = subprocess.Popen(
        [sys.executable, "-m", "poise.cli.main", "submit", "--name", "on", "--", "doctor", "-h"],
        env=head.environment | {"RAY_ADDRESS": head.url},
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert follower.stdout is not None
    assert follower.stdout.readline().startswith("job on is on")
    follower.send_signal(signal.SIGINT)
    _, errors = follower.communicate()
    assert follower.returncode == 130, errors
    assert "no longer following; job on runs on" in errors
    assert f"ray job stop --address {head.url} on" in errors
    assert "Traceback" not in errors

    status = _with_client(head, 'print(follow(client, cluster, "on", lambda _: None))')
    assert status.strip() == "0"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"RAY_AUTH_MODE": "disabled"}, "asks for a token (401)"),
        ({"RAY_AUTH_TOKEN": "0" * 64}, "refuses the token (403)"),
    ],
)
def test_a_missing_or_wrong_token_is_one_line_with_the_fix(
    head: Head, variables: dict[str, str], expected: str
) -> None:
    result = _submit(head, "--address", head.url, "--", "doctor", **variables)
    assert result.returncode == 2
    assert expected in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_package_is_the_code_without_data_results_or_caches(head: Head, tmp_path: Path) -> None:
    kept = ["platform/poise/data/batch.py", "pipelines/recipes/a.yaml", "search_spaces/a.yaml"]
    left = ["data/train/shard-00000.parquet", "runs/mlflow.db", ".git/HEAD", ".venv/x", ".env"]
    left += ["scratch/notes.txt", "platform/poise/__pycache__/batch.pyc", "results/model.pt"]
    for name in [*kept, *left]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".gitignore").write_text("scratch/\n")
    code = f"""
packaged = package_command(["doctor"], Path({str(tmp_path)!r}))
submit(client, cluster, Job("find . -type f", packaged.runtime_env), "listing")
follow(client, cluster, "listing", lambda text: print(text, end=""))
"""
    log = _with_client(head, code, POISE_HOME=str(tmp_path / "results"))
    found = [line.removeprefix("./") for line in log.splitlines() if line.startswith("./")]
    assert sorted(found) == sorted([".gitignore", *kept])
