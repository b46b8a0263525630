"""`poise submit` and `poise jobs` against a real head node that asks for a token."""

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pipelines.ray_nodes import free_port
from poise.cluster.jobs import ASKING
from poise.tracking.store import open_store
from tests.builders import tiny_recipe
from tests.data.builders import encode, smooth_image, write_dataset
from tests.integration.head_node import Head, head_node
from tests.waiting import wait_until

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SECRET = "QmV3YXJlT2ZU" + "aGVMZW9wYXJk"


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Iterator[Head]:
    folder = tmp_path_factory.mktemp("head")
    (folder / "runs").mkdir()
    shutil.copy(migrated_file, folder / "runs")
    with head_node(folder) as running:
        yield running


def _jobs(head: Head) -> dict[str, dict[str, object]]:
    listed = head.run("jobs", "list", "--json")
    return {job["name"]: job for job in json.loads(listed.stdout)}


def test_a_command_runs_on_the_cluster_with_this_folders_code_and_no_data(head: Head) -> None:
    result = head.run("submit", "--json", "--", "doctor", "--json")
    assert result.returncode == 0, (result.stdout, result.stderr)
    sent, log = json.loads(result.stdout), result.stderr
    assert sent["job"].startswith("doctor-") and sent["job"] in sent["follow"]
    findings = json.loads(log[log.index("\n{") : log.rindex("}") + 1])["findings"]
    by_name = {finding["name"]: finding["found"] for finding in findings}
    assert "Poise" in by_name["ray"], "a worker of the cluster could not import the package"
    assert str(head.environment["POISE_HOME"]) in by_name["disk"]


def test_a_failed_job_passes_its_exit_status_on_and_its_name_is_taken(head: Head) -> None:
    words = ("submit", "--name", "twice", "--", "data", "preview", "/nowhere")
    failed = head.run(*words)
    assert failed.returncode == 2
    assert "error: /nowhere" in failed.stdout
    assert failed.stderr.splitlines()[-1] == "job twice failed with exit status 2"

    again = head.run(*words)
    assert again.returncode == 2
    assert "error: --name twice: " in again.stderr
    assert "poise jobs attach --address" in again.stderr

    logs = head.run("jobs", "logs", "twice")
    assert (logs.returncode, logs.stdout) == (0, failed.stdout.partition("\n")[2])
    attached = head.run("jobs", "attach", "twice")
    assert (attached.returncode, attached.stdout) == (2, logs.stdout)
    unknown = head.run("jobs", "logs", "twise")
    assert "did you mean 'twice'?" in unknown.stderr


def _tiny_run(folder: Path, epochs: int) -> list[str]:
    """Words that pretrain 4 steps an epoch on a small dataset."""
    write_dataset(folder / "dataset", [encode(smooth_image(i, 24, 20)) for i in range(32)])
    recipe = tiny_recipe(data__dataset=str(folder / "dataset"), training__epochs=epochs)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    return ["submit", "--", "pretrain", "recipe.yaml"]


@pytest.mark.heavy
def test_a_run_that_is_sent_twice_is_continued_and_never_doubled(
    head: Head, tmp_path: Path
) -> None:
    words = _tiny_run(tmp_path, epochs=300)
    follower = head.start(*words, folder=tmp_path)
    assert follower.stdout is not None
    name = follower.stdout.readline().split()[1]
    assert name.startswith("recipe-")

    refused = head.run(*words, folder=tmp_path)
    assert refused.returncode == 2
    assert f"{name}: job {name} is working on it; follow it with `poise jobs attach" in (
        refused.stderr
    )

    folder = Path(head.environment["POISE_HOME"]) / name
    wait_until(lambda: follower.poll() is not None or any(folder.glob("**/state.pt")))
    follower.send_signal(signal.SIGINT)
    _, errors = follower.communicate()
    assert follower.returncode == 130, errors
    assert f"no longer following; job {name} runs on" in errors
    assert f"poise jobs stop --address {head.url} {name}" in errors
    assert "Traceback" not in errors
    assert _jobs(head)[name]["status"] == "RUNNING"

    stopped = head.run("jobs", "stop", name)
    assert stopped.stdout == f"job {name} has ended: STOPPED\n", stopped.stderr

    again = head.run("submit", "--no-wait", "--", *words[2:], folder=tmp_path)
    assert f"{name} has begun before: this job continues it" in again.stderr
    assert again.stdout.startswith(f"job {name}-2 is on {head.url}\n")
    head.run("jobs", "stop", f"{name}-2")
    store = open_store(f"sqlite:///{folder.parent / 'mlflow.db'}")
    runs = [run for run in store.search_runs("") if run.info.run_name == name]
    assert len(runs) == 1


def test_a_run_ends_with_its_job(head: Head, tmp_path: Path) -> None:
    # A run of 16 steps had printed its verdict and was reported as ended three minutes later.
    result = head.run(*_tiny_run(tmp_path, epochs=4), folder=tmp_path)
    assert result.returncode == 0, (result.stdout, result.stderr)
    assert "verdict:" in result.stdout


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
    result = head.run("submit", "--", "doctor", variables=variables)
    assert result.returncode == 2
    assert expected in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_tracking_is_tried_from_the_cluster_before_a_job_is_sent(head: Head) -> None:
    words = ("submit", "--name", "silent", "--", "doctor")
    silent = head.run(*words, variables={"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"})
    assert silent.returncode == 2
    assert "on the cluster: MLFLOW_TRACKING_URI=http://127.0.0.1:1: no MLflow" in silent.stderr
    listed = _jobs(head)
    assert "silent" not in listed
    assert not any(name.startswith(ASKING) for name in listed), "small jobs that only looked"


LISTING = """
import json, sys
from pathlib import Path
from poise.cluster.address import ClusterAddress
from poise.cluster.client import connect
from poise.cluster.job_entry import packaged
from poise.cluster.job_files import project_files
from poise.cluster.job_log import follow
from poise.cluster.jobs import submit
from dataclasses import replace

cluster = ClusterAddress(sys.argv[1], "the test")
client = connect(cluster)
with packaged(["doctor"], project_files(Path.cwd()), {"poise_command": "poise doctor"}) as job:
    everything = "find . -type f -exec echo {} ';' -exec cat {} ';'; env"
    submit(client, cluster, replace(job, entrypoint=everything), "listing")
follow(client, cluster, "listing", lambda text: print(text, end=""))
(details,) = [job for job in client.list_jobs() if job.submission_id == "listing"]
print(details.json())
"""


def test_no_secret_of_the_folder_or_the_shell_reaches_the_cluster(
    head: Head, tmp_path: Path
) -> None:
    planted = [
        ".env", "prod.env", ".aws/credentials", "credentials.json", "conf/tokens.json",
        "conf/hf_token.txt", "secrets.yaml", "server.pem", "id_rsa", "data/train.json",
    ]  # fmt: skip
    for name in [*planted, "recipe.yaml", "conf/space.yaml"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(SECRET if name in planted else "name: mine\n")
    log = subprocess.run(
        [sys.executable, "-c", LISTING, head.url],
        env=head.environment | {"AWS_SECRET_ACCESS_KEY": SECRET, "MLFLOW_TRACKING_TOKEN": SECRET},
        cwd=tmp_path,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    found = [line.removeprefix("./") for line in log.splitlines() if line.startswith("./")]
    assert sorted(found) == [".poise/job.sh", "conf/space.yaml", "recipe.yaml"]
    assert "name: mine" in log
    assert SECRET not in log
    described = log.splitlines()[-1]
    assert head.environment["RAY_AUTH_TOKEN"] not in described


@pytest.mark.heavy
def test_the_doctor_says_what_the_cluster_offers(head: Head) -> None:
    result = head.run("doctor", "--cluster", "--json")
    findings = json.loads(result.stdout)["findings"]
    by_name = {finding["name"]: finding for finding in findings}
    assert by_name["dashboard"]["found"] == f"{head.url} asks for a token"
    (ports,) = [finding for name, finding in by_name.items() if name.startswith("ports of")]
    assert "Ray asks for a token" in ports["found"] or ports["state"] == "works"
    assert result.returncode == 0


@pytest.mark.heavy
def test_a_head_whose_agent_is_not_up_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port()))
        other.listen()
        with head_node(tmp_path, agent_port=other.getsockname()[1]) as head:
            result = head.run("submit", "--", "doctor")
    assert result.returncode == 2
    assert "the agent of the head node, which runs jobs, is not up" in result.stderr
    assert "--dashboard-agent-listen-port" in result.stderr
