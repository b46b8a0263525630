"""A real MLflow store under real processes: many at once, killed, and over HTTP."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from poise.config.recipe import BackboneConfig
from poise.models.backbone import build_backbone
from poise.models.package import save_backbone
from poise.tracking import outbox
from poise.tracking.ending import controlled, reconcile
from poise.tracking.links import study_link
from poise.tracking.patience import Patience
from poise.tracking.points import history
from poise.tracking.registry.fetch import pull, read_files
from poise.tracking.registry.versions import find_model, list_models, register_model
from poise.tracking.run import (
    SPILL_FILE,
    Run,
    create_study_run,
    create_trial_run,
    log_environment,
    log_files,
    set_tags,
)
from poise.tracking.store import Store, open_store

pytestmark = pytest.mark.slow

CHECKPOINT_EVERY = 50
STEPS = 300

# Trains: writes its step into a file at each checkpoint, after the flush, and starts from there.
TRAIN = f"""
import sys, time
from pathlib import Path
from poise.tracking.run import Run
from poise.tracking.store import Store

uri, run_id, folder = sys.argv[1:4]
pause_s = float(sys.argv[4])
checkpoint = Path(folder) / "checkpoint"
first = int(checkpoint.read_text()) + 1 if checkpoint.exists() else 1
writer = Run(Store(uri, None), run_id, "", folder).open_writer()
for step in range(first, {STEPS} + 1):
    writer.log(step, {{f"metric/{{i}}": step + i for i in range(20)}})
    time.sleep(pause_s)
    if step % {CHECKPOINT_EVERY} == 0:
        writer.flush()
        checkpoint.write_text(str(step))
writer.close()
"""


def start_training(run: Run, pause_s: float = 0.0) -> subprocess.Popen[bytes]:
    Path(run.folder).mkdir(parents=True, exist_ok=True)
    arguments = [run.store.uri, run.run_id, run.folder, str(pause_s)]
    return subprocess.Popen([sys.executable, "-W", "ignore", "-c", TRAIN, *arguments])


def trials(store: Store, folder: Path, count: int) -> list[Run]:
    study = create_study_run(store, "scenes", "collapse", folder)
    return [create_trial_run(study, str(index), folder / str(index)) for index in range(count)]


def assert_complete(run: Run) -> None:
    stored = history(run.store, run.run_id, ["metric/0", "metric/19"])
    assert stored["metric/0"] == [(step, step) for step in range(1, STEPS + 1)]
    assert stored["metric/19"] == [(step, step + 19) for step in range(1, STEPS + 1)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"sqlite:///{tmp_path}/mlflow.db")


@dataclass
class Server:
    """The store, served by the command that Poise prints for it."""

    command: list[str]
    address: str
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment,
            )
        _await(f"{self.address}/health")

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)
        self.process = None


@pytest.fixture
def served(store: Store, tmp_path: Path) -> Iterator[Server]:
    run = create_study_run(store, "scenes", "served", tmp_path)
    link = study_link(store, run.run_id)
    assert link.command is not None
    setting, *command = shlex.split(link.command)
    assert setting == "MLFLOW_DISABLE_TELEMETRY=true"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    address = link.url.replace("5000", port).partition("/#")[0]
    server = Server([each.replace("5000", port) for each in command], address, tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def server(served: Server) -> Store:
    return open_store(served.address)


def _await(url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if requests.get(url, timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    raise TimeoutError(url)


def test_drivers_that_meet_a_new_store_at_once_all_open_it(tmp_path: Path) -> None:
    """Left to itself MLflow lets 7 of 8 such processes die in each other's migration."""
    code = "import sys; from poise.tracking.store import open_store; open_store(sys.argv[1])"
    command = [sys.executable, "-W", "ignore", "-c", code, f"sqlite:///{tmp_path}/new/mlflow.db"]
    drivers = [subprocess.Popen(command) for _ in range(2)]
    assert [driver.wait(120) for driver in drivers] == [0, 0]


def test_processes_that_write_at_once_lose_nothing(store: Store, tmp_path: Path) -> None:
    runs = trials(store, tmp_path, 3)
    processes = [start_training(run) for run in runs]
    assert [process.wait(400) for process in processes] == [0, 0, 0]
    for run in runs:
        assert_complete(run)


def test_a_killed_writer_resumes_at_its_checkpoint_with_every_step_stored(
    store: Store, tmp_path: Path
) -> None:
    (run,) = trials(store, tmp_path, 1)
    process = start_training(run, pause_s=0.01)
    checkpoint = Path(run.folder) / "checkpoint"
    while not checkpoint.exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.2)  # into the steps that no checkpoint knows of
    process.kill()
    process.wait()
    assert int(checkpoint.read_text()) < STEPS
    assert start_training(run).wait(120) == 0
    assert_complete(run)


def test_a_killed_sweep_is_closed_by_the_next_command(store: Store, tmp_path: Path) -> None:
    code = (
        "import sys, time; from poise.tracking.store import open_store;"
        "from poise.tracking.ending import controlled;"
        "from poise.tracking.run import create_study_run, create_trial_run\n"
        "study = create_study_run(open_store(sys.argv[1]), 'scenes', 'collapse', sys.argv[2])\n"
        "with controlled(study), controlled(create_trial_run(study, '0', sys.argv[2])):\n"
        "    print('running', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, store.uri, str(tmp_path)]
    for stop, closed_by_itself in ((signal.SIGKILL, False), (signal.SIGTERM, True)):
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"running\n"
        assert reconcile(store) == []
        process.send_signal(stop)
        process.wait()
        process.stdout.close()
        assert len(reconcile(store)) == (0 if closed_by_itself else 2)
        found = store.search_runs("attributes.status = 'KILLED'")
        assert len(found) == 2


def test_the_same_life_over_http(server: Store, tmp_path: Path) -> None:
    assert "MLflow" in requests.get(server.uri, timeout=10).text
    assert server.search_runs("tags.`poise.key` = 'study:served'")
    run, other = trials(server, tmp_path, 2)
    with controlled(run), controlled(other):
        processes = [start_training(each) for each in (run, other)]
        assert [process.wait(400) for process in processes] == [0, 0]
        log_environment(run)
        (tmp_path / "attention.png").write_bytes(b"picture")
        log_files(run, [tmp_path / "attention.png"])
    assert_complete(run)
    assert server.client.get_run(run.run_id).info.status == "FINISHED"

    config = BackboneConfig(name="resnet18")
    description = {"backbone": config.model_dump(mode="json"), "image_px": 32}
    save_backbone(tmp_path / "package", build_backbone(config, 32), description)
    for each in (run, other):
        register_model(server, tmp_path / "package", "scenes-resnet18", each.run_id, {})
    assert [(v.version, v.aliases) for v in list_models(server)] == [(2, ("candidate",)), (1, ())]
    assert set(read_files(server, find_model(server, "scenes-resnet18"))) == {
        "backbone.safetensors",
        "config.json",
    }
    pulled = pull(server, "scenes-resnet18@candidate", tmp_path / "pulled")
    weights = "backbone.safetensors"
    assert (pulled / weights).read_bytes() == (tmp_path / "package" / weights).read_bytes()


def test_a_server_that_dies_while_a_run_trains_holds_it_up_once_and_lacks_nothing_later(
    served: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (run,) = trials(open_store(served.address), tmp_path, 1)
    with controlled(run):
        patience = Patience(period_s=0.05, backoff_s=(), flush_s=2.0, retry_s=0.5)
        with closing(run.open_writer(patience)) as writer:
            writer.log(0, {"loss/total": 0.5})
            writer.flush()
            assert not (Path(run.folder) / SPILL_FILE).exists()
            served.kill()
            for step in range(1, 30):
                writer.log(step, {"loss/total": 0.5})
                writer.flush()
        monkeypatch.setattr(outbox, "ANSWER_WITHIN_S", 1.0)
        set_tags(run, {"poise.verdict": "healthy"})
    silences = [each for each in caplog.records if "does not take metrics" in each.getMessage()]
    assert len(silences) == 1

    monkeypatch.undo()
    served.start()
    assert reconcile(run.store) == []
    ended = run.store.client.get_run(run.run_id)
    assert (ended.info.status, ended.data.tags["poise.verdict"]) == ("FINISHED", "healthy")
    stored = history(run.store, run.run_id, ["loss/total"])["loss/total"]
    assert [step for step, _ in stored] == list(range(30))
