"""A real MLflow store under real processes: many at once, killed, and over HTTP."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from poise.config.recipe import BackboneConfig
from poise.models.backbone import build_backbone
from poise.models.package import save_backbone
from poise.tracking import unsent_messages
from poise.tracking.ending import controlled, reconcile
from poise.tracking.links import study_link
from poise.tracking.metric_values import history
from poise.tracking.registry.fetch import locate, read_files
from poise.tracking.registry.list_filters import Query, read_condition, read_order
from poise.tracking.registry.registration import register_model
from poise.tracking.registry.version_lookup import find_model
from poise.tracking.registry.version_search import list_versions, search_versions
from poise.tracking.run import (
    Run,
    create_study_run,
    create_trial_run,
    log_environment,
    log_files,
    set_tags,
)
from poise.tracking.store import Store, open_store
from poise.tracking.time_limits import Patience
from poise.tracking.unsent_metrics import SPILL_FILE
from tests.tracking.registry.test_version_search import add
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

CHECKPOINT_EVERY = 50
STEPS = 300

# Trains: writes its step into a file at each checkpoint, after the flush, and starts from there.
TRAIN = f"""
import sys
from pathlib import Path
from poise.tracking.run import Run
from poise.tracking.store import Store

uri, run_id, folder = sys.argv[1:4]
stuck_at = int(sys.argv[4])
checkpoint = Path(folder) / "checkpoint"
first = int(checkpoint.read_text()) + 1 if checkpoint.exists() else 1
writer = Run(Store(uri, None), run_id, "", folder).open_writer()
for step in range(first, {STEPS} + 1):
    writer.log(step, {{f"metric/{{i}}": step + i for i in range(20)}})
    if step == stuck_at:
        Path(folder, "stuck").touch()
        sys.stdin.read()  # until it is killed
    if step % {CHECKPOINT_EVERY} == 0:
        writer.flush()
        checkpoint.write_text(str(step))
writer.close()
"""


def start_training(run: Run, stuck_at: int = 0) -> subprocess.Popen[bytes]:
    Path(run.folder).mkdir(parents=True, exist_ok=True)
    arguments = [run.store.uri, run.run_id, run.folder, str(stuck_at)]
    command = [sys.executable, "-W", "ignore", "-c", TRAIN, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE if stuck_at else None)


def trials(store: Store, folder: Path, count: int) -> list[Run]:
    study = create_study_run(store, "scenes", "collapse", folder)
    return [create_trial_run(study, str(index), folder / str(index)) for index in range(count)]


def assert_complete(run: Run) -> None:
    stored = history(run.store, run.run_id, ["metric/0", "metric/19"])
    assert stored["metric/0"] == [(step, step) for step in range(1, STEPS + 1)]
    assert stored["metric/19"] == [(step, step + 19) for step in range(1, STEPS + 1)]


@pytest.fixture
def store(migrated_file: Path, tmp_path: Path) -> Store:
    shutil.copy(migrated_file, tmp_path)
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
        wait_until(lambda: answers(f"{self.address}/health"))

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
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


def answers(url: str) -> bool:
    try:
        return requests.get(url).ok
    except requests.RequestException:
        return False


def test_drivers_that_meet_a_new_store_at_once_all_open_it(tmp_path: Path) -> None:
    """Left to itself MLflow lets 7 of 8 such processes die in each other's migration."""
    code = "import sys; from poise.tracking.store import open_store; open_store(sys.argv[1])"
    command = [sys.executable, "-W", "ignore", "-c", code, f"sqlite:///{tmp_path}/new/mlflow.db"]
    drivers = [subprocess.Popen(command) for _ in range(2)]
    assert [driver.wait() for driver in drivers] == [0, 0]


def test_processes_that_write_at_once_lose_nothing(store: Store, tmp_path: Path) -> None:
    runs = trials(store, tmp_path, 3)
    processes = [start_training(run) for run in runs]
    assert [process.wait() for process in processes] == [0, 0, 0]
    for run in runs:
        assert_complete(run)


def test_a_killed_writer_resumes_at_its_checkpoint_with_every_step_stored(
    store: Store, tmp_path: Path
) -> None:
    (run,) = trials(store, tmp_path, 1)
    with start_training(run, stuck_at=CHECKPOINT_EVERY + 20) as process:
        wait_until(lambda: Path(run.folder, "stuck").exists() or process.poll() is not None)
        process.kill()
    assert Path(run.folder, "checkpoint").read_text() == str(CHECKPOINT_EVERY)
    assert start_training(run).wait() == 0
    assert_complete(run)


def test_a_killed_sweep_is_closed_by_the_next_command(store: Store, tmp_path: Path) -> None:
    code = (
        "import sys; from poise.tracking.store import open_store;"
        "from poise.tracking.ending import controlled;"
        "from poise.tracking.run import create_study_run, create_trial_run\n"
        "study = create_study_run(open_store(sys.argv[1]), 'scenes', 'collapse', sys.argv[2])\n"
        "with controlled(study), controlled(create_trial_run(study, '0', sys.argv[2])):\n"
        "    print('running', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, store.uri, str(tmp_path)]
    for stop, closed_by_itself in ((signal.SIGKILL, False), (signal.SIGTERM, True)):
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"running\n"
            assert reconcile(store) == []
            process.send_signal(stop)
            process.wait()
        assert len(reconcile(store)) == (0 if closed_by_itself else 2)
        found = store.search_runs("attributes.status = 'KILLED'")
        assert len(found) == 2


def test_the_same_life_over_http(server: Store, tmp_path: Path) -> None:
    assert "MLflow" in requests.get(server.uri).text
    assert server.search_runs("tags.`poise.key` = 'study:served'")
    run, other = trials(server, tmp_path, 2)
    with controlled(run), controlled(other):
        processes = [start_training(each) for each in (run, other)]
        assert [process.wait() for process in processes] == [0, 0]
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
    assert [(v.version, v.aliases) for v in list_versions(server)] == [(2, ("candidate",)), (1, ())]
    assert set(read_files(server, find_model(server, "scenes-resnet18"))) == {
        "backbone.safetensors",
        "config.json",
    }
    _, fetched = locate("scenes-resnet18@candidate", server)
    weights = "backbone.safetensors"
    assert (fetched / weights).read_bytes() == (tmp_path / "package" / weights).read_bytes()


def test_filters_and_orders_find_the_same_versions_through_a_server(
    store: Store, server: Store
) -> None:
    add(store, "a", 50.0, objective="dino", dataset="scenes")
    add(store, "a", 70.0, objective="dino", dataset="it's")
    add(store, "b", 60.0, objective="mae", dataset="scenes")
    store.client.set_registered_model_alias("a", "best", "2")
    store.client.set_registered_model_alias("b", "best", "1")
    for query, expected in (
        (Query(), ["b/1", "a/2", "a/1"]),
        (Query(name="a"), ["a/2", "a/1"]),
        (Query(tags={"objective": "dino", "dataset": "scenes"}), ["a/1"]),
        (Query(tags={"dataset": "it's"}), ["a/2"]),
        (Query(alias="best"), ["b/1", "a/2"]),
        (Query(alias="best", tags={"objective": "mae"}), ["b/1"]),
        (Query(conditions=(read_condition("eval/knn_top1>=60"),)), ["b/1", "a/2"]),
        (Query(order=read_order("eval/knn_top1")), ["a/2", "b/1", "a/1"]),
        (Query(order=read_order("eval/knn_top1"), limit=1), ["a/2"]),
    ):
        found = search_versions(server, query)
        assert [version.short for version in found.versions] == expected, query
        assert found.total == (3 if query.limit else len(expected))
    (best,) = search_versions(server, Query(name="a", alias="best")).versions
    assert best.aliases == ("best",)


def test_a_server_that_dies_while_a_run_trains_holds_it_up_once_and_lacks_nothing_later(
    served: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (run,) = trials(open_store(served.address), tmp_path, 1)
    with controlled(run):
        # A busy machine may take seconds for its first answer. Only silence is waited for briefly.
        with closing(run.open_writer()) as writer:
            writer.log(0, {"loss/total": 0.5})
            writer.flush()
            assert not (Path(run.folder) / SPILL_FILE).exists()
        served.kill()
        patience = Patience(period_s=0.05, backoff_s=(), flush_s=2.0, retry_s=0.5)
        with closing(run.open_writer(patience)) as writer:
            for step in range(1, 30):
                writer.log(step, {"loss/total": 0.5})
                writer.flush()
        monkeypatch.setattr(unsent_messages, "ANSWER_WITHIN_S", 1.0)
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
