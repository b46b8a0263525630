"""The files and commands of docs/cluster are ones that Ray, MLflow and Kubernetes take."""

import copy
import json
import os
import re
import shlex
import signal
import subprocess
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs" / "cluster"
LAUNCHER_FILES = [REPOSITORY / "cluster.yaml", DOCS / "on-premise.yaml"]
KUBERAY_FILES = [DOCS / "raycluster.yaml", DOCS / "rayjob.yaml"]
PAGES = [*sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("*.yaml")), REPOSITORY / "cluster.yaml"]


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


@pytest.fixture(params=LAUNCHER_FILES, ids=lambda path: path.name)
def launcher(request: pytest.FixtureRequest) -> dict[str, Any]:
    return _read(request.param)


def test_every_yaml_file_is_one_of_those_that_are_tested() -> None:
    assert sorted([*LAUNCHER_FILES, *KUBERAY_FILES]) == sorted(
        [REPOSITORY / "cluster.yaml", *DOCS.rglob("*.y*ml")]
    )


def test_a_launcher_file_as_written_fits_rays_schema(launcher: dict[str, Any]) -> None:
    # The file with Ray's defaults filled in would hide a missing name.
    schema = Path(ray.autoscaler.__file__).with_name("ray-schema.json")
    check = jsonschema.Draft7Validator(json.loads(schema.read_text()))
    if launcher["provider"]["type"] == "local":
        launcher.pop("min_workers")  # the schema lacks it, and the local provider needs it
    assert [error.message for error in check.iter_errors(launcher)] == []
    del launcher["cluster_name"]
    assert [error.message for error in check.iter_errors(launcher)] != []


def test_ray_accepts_a_launcher_file_with_its_defaults_filled_in(launcher: dict[str, Any]) -> None:
    # The schema alone takes a head node type that does not exist, and bounds that cross.
    validate_config(prepare_config(copy.deepcopy(launcher)))


def test_ray_refuses_a_launcher_file_whose_head_does_not_exist() -> None:
    launcher = _read(REPOSITORY / "cluster.yaml") | {"head_node_type": "nowhere"}
    with pytest.raises(Exception, match="head_node_type"):
        validate_config(prepare_config(launcher))


def test_every_cluster_asks_for_a_token_and_shows_its_dashboard_to_itself_alone(
    launcher: dict[str, Any],
) -> None:
    commands = " ".join([*launcher["head_start_ray_commands"], *launcher["setup_commands"]])
    assert "RAY_AUTH_MODE=token" in commands
    assert "--dashboard-host=127.0.0.1" in commands
    assert "0.0.0.0" not in commands
    assert "~/.ray/auth_token" in launcher["file_mounts"], "a file, so that no token is in git"


PLACEHOLDERS = re.compile(
    r"ami-0|fs-0|example\.org|\b10\.0\.0\.|us-west|claimName|http://mlflow|/poise-cluster"
    r"|#SBATCH --(?:nodes|gpus-per-node|time)"
)
"""Values that only the person knows who starts a cluster."""

FILES_TO_FILL_IN = [*LAUNCHER_FILES, *KUBERAY_FILES, DOCS / "slurm.sh"]


def _comment_of(lines: list[str], number: int) -> str:
    """The nearest comment above a line, as far as the next line without a comment."""
    comment: list[str] = []
    for line in reversed(lines[:number]):
        is_comment = line.strip().startswith("#") and not line.startswith("#SBATCH")
        if comment and not is_comment:
            break
        comment += [line] if is_comment else []
    return "\n".join(comment)


@pytest.mark.parametrize("path", FILES_TO_FILL_IN, ids=lambda path: path.name)
def test_every_value_that_must_be_filled_in_has_the_mark_change(path: Path) -> None:
    # Two of three images had no mark, so the nodes with GPUs never started.
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [
        (number, line)
        for number, line in enumerate(lines)
        if PLACEHOLDERS.search(line) and (not line.startswith("#") or "#SBATCH" in line)
    ]
    assert found
    unmarked = [line for number, line in found if "CHANGE" not in _comment_of(lines, number)]
    assert unmarked == []


def test_nodes_of_a_cloud_mount_the_shared_storage_before_ray_uses_it() -> None:
    commands = " ".join(_read(REPOSITORY / "cluster.yaml")["setup_commands"])
    assert 0 < commands.index("sudo mount -t nfs4") < commands.index("POISE_HOME=/shared/")


@pytest.mark.parametrize("path", FILES_TO_FILL_IN, ids=lambda path: path.name)
def test_every_cluster_has_a_server_for_the_runs_of_all_nodes(path: Path) -> None:
    assert "MLFLOW_TRACKING_URI" in path.read_text(encoding="utf-8")


def test_training_cannot_take_the_head_node_down() -> None:
    launcher = _read(REPOSITORY / "cluster.yaml")
    head = launcher["available_node_types"][launcher["head_node_type"]]
    assert head["resources"]["CPU"] == 0
    assert "InstanceMarketOptions" not in head["node_config"], "the head is never taken back"


def test_no_node_type_may_outgrow_the_cluster_and_gpu_workers_are_spot_machines() -> None:
    launcher = _read(REPOSITORY / "cluster.yaml")
    types = launcher["available_node_types"]
    assert sum(node.get("max_workers", 0) for node in types.values()) <= launcher["max_workers"]
    assert types["gpu"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}


@pytest.fixture(params=KUBERAY_FILES, ids=lambda path: path.name)
def ray_cluster_spec(request: pytest.FixtureRequest) -> dict[str, Any]:
    content = _read(request.param)
    assert content["apiVersion"] == "ray.io/v1"
    spec: dict[str, Any] = content["spec"]
    if content["kind"] == "RayJob":
        assert spec["shutdownAfterJobFinishes"] is True
        return dict(spec["rayClusterSpec"])
    assert content["kind"] == "RayCluster"
    return spec


def test_kubernetes_clusters_ask_for_a_token_and_stay_inside(
    ray_cluster_spec: dict[str, Any],
) -> None:
    assert ray_cluster_spec["authOptions"] == {"mode": "token"}
    assert ray_cluster_spec["rayVersion"] == version("ray")
    assert ray_cluster_spec["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert ray_cluster_spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_all_pods_have_the_same_image_the_shared_storage_and_time_for_a_checkpoint(
    ray_cluster_spec: dict[str, Any],
) -> None:
    groups = [ray_cluster_spec["headGroupSpec"], *ray_cluster_spec["workerGroupSpecs"]]
    images = set()
    for pod in (group["template"]["spec"] for group in groups):
        (container,) = pod["containers"]
        images.add(container["image"])
        variables = {each["name"]: each["value"] for each in container["env"]}
        (mount,) = container["volumeMounts"]
        assert variables["POISE_HOME"].startswith(f"{mount['mountPath']}/")
        assert mount["name"] in {volume["name"] for volume in pod["volumes"]}
        assert container["resources"]["limits"] == container["resources"]["requests"]
        assert pod["terminationGracePeriodSeconds"] > float(variables["POISE_LEAVE_WITHIN_S"]) > 60
    assert len(images) == 1
    for group in ray_cluster_spec["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def _commands(program: str) -> Iterator[tuple[str, list[str]]]:
    """Words of every command line of a program that a page or a file shows."""
    start = re.compile(rf"(?:^|[;#`]|\s|/)({program} [a-z-]+(?: [^`;#|&]*)?)")
    for path in PAGES:
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        text = re.sub(r">-\n((?: {4}.*\n)+)", lambda found: found[1].replace("\n", " "), text)
        for line in text.splitlines():
            for found in start.finditer(line):
                if "--" in found[1]:
                    yield path.name, shlex.split(found[1].replace("…", ""), comments=True)


def _unknown(group: Any, words: list[str]) -> list[str]:
    command = group.commands.get(words[0])
    if command is None:
        return words[:1]
    known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    written = [word.partition("=")[0] for word in words if word.startswith("--") and word != "--"]
    return [word for word in written if word not in known]


def test_every_command_of_ray_exists_with_its_options() -> None:
    from ray.scripts.scripts import cli

    commands = list(_commands("ray"))
    assert {words[1] for _, words in commands} >= {"start", "get-auth-token"}
    wrong = [(page, words, bad) for page, words in commands if (bad := _unknown(cli, words[1:]))]
    assert not wrong


def test_every_command_of_mlflow_exists_with_its_options() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about its own type hints
        from mlflow.cli import cli

    commands = list(_commands("mlflow"))
    assert "server" in {words[1] for _, words in commands}
    wrong = [(page, words, bad) for page, words in commands if (bad := _unknown(cli, words[1:]))]
    assert not wrong


STAND_INS = {
    "scontrol": "echo localhost",
    "srun": 'exec "$@"',
    "ray": 'echo "ray $@"; echo "token $(wc -c < "$RAY_AUTH_TOKEN_PATH")"; shift 7; exec "$@"',
    "poise": 'echo "poise $@ at $RAY_ADDRESS with $RAY_AUTH_MODE in $POISE_HOME"',
}


def _slurm(tmp_path: Path, stand_ins: dict[str, str]) -> "subprocess.Popen[str]":
    """Starts slurm.sh with programs that stand in for those of SLURM, Ray and Poise."""
    for name, body in stand_ins.items():
        path = tmp_path / ".venv" / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)
    return subprocess.Popen(
        ["bash", str(DOCS / "slurm.sh"), "sweep", "my space.yaml"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "SLURM_SUBMIT_DIR": str(tmp_path),
            "SLURM_JOB_ID": "77",
            "SLURM_JOB_NODELIST": "n[1-2]",
            "SLURM_JOB_NUM_NODES": "2",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_slurm_script_starts_ray_with_a_token_and_runs_the_command(tmp_path: Path) -> None:
    script = _slurm(tmp_path, STAND_INS)
    printed, errors = script.communicate()
    assert script.returncode == 0, errors
    started, token, ran = printed.splitlines()
    address = "127.0.0.1:20077"
    assert started.startswith(f"ray symmetric-run --address {address} --min-nodes 2 ")
    assert token.split() == ["token", "64"]
    assert ran == f"poise sweep my space.yaml at {address} with token in {tmp_path}/runs"
    assert list((tmp_path / ".ray").iterdir()) == [], "the token ends with the allocation"


def test_two_minutes_before_slurms_end_poise_alone_is_told(tmp_path: Path) -> None:
    # SLURM signalled every process of the steps. Ray ended, so no checkpoint was written.
    text = (DOCS / "slurm.sh").read_text()
    (seconds,) = re.findall(r"^#SBATCH --signal=B:TERM@(\d+)$", text, re.MULTILINE)
    (leave_within,) = re.findall(r"^export POISE_LEAVE_WITHIN_S=(\d+)$", text, re.MULTILINE)
    assert 60 < int(leave_within) < int(seconds)
    saves = 'trap "echo saved > $HOME/saved; exit 143" TERM; touch "$HOME/trains"; '
    stand_ins = STAND_INS | {
        "ray": 'trap "touch $HOME/ray-ended" TERM; shift 7; "$@"',
        "poise": f"{saves}for _ in $(seq 600); do sleep 0.1; done",
    }
    script = _slurm(tmp_path, stand_ins)
    wait_until(lambda: (tmp_path / "trains").exists())
    script.send_signal(signal.SIGTERM)
    _, errors = script.communicate()
    assert script.returncode == 143, errors
    assert (tmp_path / "saved").exists() and not (tmp_path / "ray-ended").exists()
    assert list((tmp_path / ".ray").iterdir()) == []
